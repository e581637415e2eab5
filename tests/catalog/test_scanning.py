"""FR-001a: the safety scan. Hostile files get a verdict and a reason, good files their facts."""

from __future__ import annotations

import json
import os
import pickle
import struct
import subprocess
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from apps.catalog.scanning import FileReport, Verdict, missing_files, scan_directory
from apps.catalog.scanning.directory import scan_file
from tests.catalog.files import (
    CONFIG,
    Call,
    config,
    gguf,
    gguf_string,
    model_files,
    safetensors,
    tokenizer,
    torch_zip,
    write,
)


def one(path: Path, content: bytes) -> FileReport:
    """Scan *content* under the name of *path* in this process."""
    path.write_bytes(content)
    return scan_file(path, siblings={path.name})


def entry(dtype: str = "F32", shape: object = None, begin: int = 0, end: int = 16) -> dict[str, object]:
    return {"dtype": dtype, "shape": [4] if shape is None else shape, "data_offsets": [begin, end]}


SAFETENSORS = {
    "empty": (b"", "too_short"),
    "seven_bytes": (b"\1" * 7, "too_short"),
    "header_longer_than_file": (safetensors(header_length=5_000), "header_length"),
    "header_of_exabytes": (safetensors(header_length=2**63), "header_length"),
    "header_shorter_than_json": (safetensors(header_length=10), "not_json"),
    "header_is_list": (struct.pack("<Q", 2) + b"[]", "header_json"),
    "header_not_utf8": (struct.pack("<Q", 3) + b'{"\xff', "not_utf8"),
    "header_nested": (struct.pack("<Q", 200_005) + b'{"a":' + b"[" * 200_000, "json_depth"),
    "truncated_data": (safetensors(data=b"\0" * 8), "truncated"),
    "overlapping": (safetensors({"a": entry(), "b": entry(begin=8, end=24)}, b"\0" * 24), "overlap"),
    "aliased": (safetensors({"a": entry(), "b": entry()}), "overlap"),
    "gap": (safetensors({"a": entry(), "b": entry(begin=20, end=36)}, b"\0" * 36), "gap"),
    "trailing_bytes": (safetensors(data=b"\0" * 16 + b"PK\3\4hidden"), "trailing_bytes"),
    "end_before_begin": (safetensors({"a": entry(begin=16, end=0)}), "tensor_offsets"),
    "negative_offset": (safetensors({"a": entry(begin=-16, end=0)}), "tensor_offsets"),
    "negative_shape": (safetensors({"a": entry(shape=[-2, -2])}), "tensor_shape"),
    "boolean_shape": (safetensors({"a": entry(shape=[True, 4])}), "tensor_shape"),
    "shape_of_text": (safetensors({"a": entry(shape=["4"])}), "tensor_shape"),
    "shape_overflow": (safetensors({"a": entry(shape=[2**62, 2**62])}), "tensor_size"),
    "unknown_dtype": (safetensors({"a": entry(dtype="F7")}), "tensor_dtype"),
    "dtype_lies": (safetensors({"a": entry(dtype="F64")}), "tensor_size"),
    "doubled_tensor": (
        struct.pack("<Q", 2 * 58 + 3)
        + b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]      },'
        + b'"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]      }}'.ljust(59)
        + b"\0" * 16,
        None,
    ),
    "no_tensors": (safetensors({}, b""), "no_tensors"),
    "metadata_not_text": (safetensors({"__metadata__": {"a": {"b": 1}}, "w": entry()}), "header_metadata"),
    "pickle_in_disguise": (pickle.dumps(Call(os.system, "true")), "header_length"),
}


@pytest.mark.parametrize("name", SAFETENSORS)
def test_safetensors_that_lie_are_corrupt(tmp_path: Path, name: str) -> None:
    """FR-001a: every contradiction between header and file is found, with a reason."""
    content, code = SAFETENSORS[name]
    report = one(tmp_path / "model.safetensors", content)
    assert report.verdict is Verdict.CORRUPT
    assert report.reasons[0].message
    if code is not None:
        assert report.reasons[0].code == code


@pytest.mark.parametrize("name", SAFETENSORS)
def test_nothing_passes_that_the_reference_library_refuses(tmp_path: Path, name: str) -> None:
    """FR-001a: what the safetensors library cannot open is never called safe."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(SAFETENSORS[name][0])
    try:
        with safe_open(path, framework="numpy"):
            return
    except (SafetensorError, OSError, ValueError):
        assert scan_file(path, siblings=set()).verdict is Verdict.CORRUPT


def test_safetensors_of_the_library_are_safe_and_counted(tmp_path: Path) -> None:
    """FR-001a: parameters and types are read from a real file, empty and scalar tensors included."""
    path = tmp_path / "model.safetensors"
    tensors = {
        "a": torch.zeros(3, 5, dtype=torch.bfloat16),
        "b": torch.zeros(7),
        "c": torch.zeros(()),
        "d": torch.zeros(0, 4),
    }
    save_file(tensors, path, metadata={"format": "pt"})
    report = scan_file(path, siblings=set())
    assert (report.verdict, report.reasons) == (Verdict.SAFE, [])
    assert report.facts == {"parameters": 23, "bytes_by_dtype": {"BF16": 30, "F32": 32}, "tensors": 4}


def _hidden_call() -> bytes:
    # STACK_GLOBAL whose names come out of the memo: the name is not visible next to the opcode.
    return b"\x80\x04\x8c\x02os\x94\x8c\x06system\x940h\x00h\x01\x93\x8c\x04true\x85R."


PICKLES = {
    "os_system": (pickle.dumps(Call(os.system, "true")), Verdict.UNSAFE),
    "os_system_protocol_0": (pickle.dumps(Call(os.system, "true"), protocol=0), Verdict.UNSAFE),
    "eval": (pickle.dumps(Call(eval, "1")), Verdict.UNSAFE),
    "subprocess": (pickle.dumps(Call(subprocess.check_output, ["true"])), Verdict.UNSAFE),
    "memo_indirection": (_hidden_call(), Verdict.UNSAFE),
    "unknown_name": (pickle.dumps(Call(json.loads, "1")), Verdict.UNSAFE),
    "nested_in_dict": (pickle.dumps({"weight": [1, {"x": Call(os.system, "true")}]}), Verdict.UNSAFE),
    "second_pickle": (pickle.dumps({}) + pickle.dumps(Call(os.system, "true")), Verdict.UNSAFE),
    "call_then_garbage": (pickle.dumps(Call(os.system, "true"))[:-1] + b"\xff", Verdict.UNSAFE),
    "garbage_after_call": (pickle.dumps(Call(os.system, "true")) + b"\xff\xff", Verdict.UNSAFE),
    "stack_global_without_names": (b"\x80\x04\x93.", Verdict.UNSAFE),
    "zip_with_call": (torch_zip(pickle.dumps(Call(os.system, "true"))), Verdict.UNSAFE),
    "zip_with_code": (torch_zip(members={"archive/code/__torch__.py": b"import os"}), Verdict.UNSAFE),
    "pickle_with_zip_behind": (pickle.dumps(Call(os.system, "true")) + torch_zip(), Verdict.UNSAFE),
    "garbage": (b"\xff" * 64, Verdict.CORRUPT),
    "empty": (b"", Verdict.CORRUPT),
    "text": (b"weights go here", Verdict.CORRUPT),
    "truncated_pickle": (pickle.dumps({"a": list(range(100))})[:-20], Verdict.CORRUPT),
    "truncated_zip": (torch_zip()[:-40], Verdict.CORRUPT),
    "zip_bomb": (torch_zip(members={"archive/data/1": b"\0" * 50_000_000}, compress=True), Verdict.CORRUPT),
    "zip_of_other_things": (torch_zip(members={"../../etc/passwd": b"x"}), Verdict.CORRUPT),
    "zip_with_two_roots": (torch_zip(members={"other/data.pkl": b"N."}), Verdict.CORRUPT),
}


@pytest.mark.parametrize("name", PICKLES)
def test_pickles_that_call_or_lie_are_refused(tmp_path: Path, name: str) -> None:
    """FR-001a: a pickle that imports anything beyond tensors is unsafe, an unreadable one is corrupt."""
    content, verdict = PICKLES[name]
    report = one(tmp_path / "pytorch_model.bin", content)
    assert report.verdict is verdict
    assert report.reasons[0].message
    assert report.reasons[0].remedy


@pytest.mark.parametrize("legacy", [False, True])
def test_weights_of_torch_save_are_safe(tmp_path: Path, legacy: bool) -> None:
    """FR-001a: real checkpoints, both containers of torch.save, pass."""
    path = tmp_path / "pytorch_model.bin"
    state = OrderedDict(a=torch.nn.Parameter(torch.zeros(2, 3)), b=torch.zeros(4, dtype=torch.bfloat16))
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    report = scan_file(path, siblings=set())
    assert (report.verdict, report.reasons) == (Verdict.SAFE, [])
    assert report.facts["container"] == ("torch-legacy" if legacy else "torch-zip")


def test_legacy_checkpoint_with_call_is_unsafe(tmp_path: Path) -> None:
    """FR-001a: the magic number in front hides nothing."""
    path = tmp_path / "pytorch_model.bin"
    torch.save({"a": Call(os.system, "true")}, path, _use_new_zipfile_serialization=False)
    assert scan_file(path, siblings=set()).verdict is Verdict.UNSAFE


GGUF = {
    "empty": b"",
    "wrong_magic": b"GGML" + gguf()[4:],
    "future_version": gguf(version=9),
    "absurd_tensor_count": gguf(tensor_count=2**40),
    "fewer_tensors_than_claimed": gguf(tensor_count=50),
    "no_tensors": gguf(tensors=[]),
    "text_of_exabytes": gguf(pairs=[("a", 8, struct.pack("<Q", 2**62))]),
    "list_of_exabytes": gguf(pairs=[("a", 9, struct.pack("<IQ", 4, 2**62))]),
    "unknown_value_type": gguf(pairs=[("a", 77, b"")]),
    "doubled_key": gguf(pairs=[("a", 8, gguf_string("x")), ("a", 8, gguf_string("y"))]),
    "zero_alignment": gguf(pairs=[("general.alignment", 4, struct.pack("<I", 0))]),
    "truncated_data": gguf(data=b"\0" * 10),
    "overlapping": gguf(tensors=[("a", [4, 4], 0, 0), ("b", [4, 4], 0, 32)], data=b"\0" * 256),
    "doubled_tensor": gguf(tensors=[("a", [4], 0, 0), ("a", [4], 0, 32)]),
    "unknown_tensor_type": gguf(tensors=[("a", [4], 99, 0)]),
    "half_a_block": gguf(tensors=[("a", [33], 2, 0)]),
    "shape_overflow": gguf(tensors=[("a", [2**40, 2**40], 0, 0)]),
}


@pytest.mark.parametrize("name", GGUF)
def test_gguf_that_lies_is_corrupt(tmp_path: Path, name: str) -> None:
    """FR-001a: a GGUF head that contradicts itself or the file is found."""
    report = one(tmp_path / "model.gguf", GGUF[name])
    assert report.verdict is Verdict.CORRUPT
    assert report.reasons[0].message


def test_gguf_facts_are_read(tmp_path: Path) -> None:
    """FR-001a: architecture, context length, vocabulary and parameters come from the file."""
    report = one(tmp_path / "model.gguf", gguf())
    assert (report.verdict, report.reasons) == (Verdict.SAFE, [])
    assert report.facts["parameters"] == 16
    assert (report.facts["family"], report.facts["context_length"], report.facts["vocab_size"]) == (
        "llama",
        128,
        2,
    )


CONFIGS = {
    "not_json": (b"{model_type: llama}", Verdict.CORRUPT),
    "list": (b"[]", Verdict.CORRUPT),
    "nan": (b'{"model_type": "llama", "rope_theta": NaN}', Verdict.CORRUPT),
    "doubled_key": (b'{"model_type": "llama", "model_type": "gpt2"}', Verdict.CORRUPT),
    "utf16": ("{}".encode("utf-16"), Verdict.CORRUPT),
    "no_model_type": (config(model_type=None), Verdict.CORRUPT),
    "negative_layers": (config(num_hidden_layers=-1), Verdict.CORRUPT),
    "layers_as_text": (config(num_hidden_layers="twelve"), Verdict.CORRUPT),
    "absurd_vocabulary": (config(vocab_size=10**15), Verdict.CORRUPT),
    "heads_do_not_divide": (config(num_attention_heads=3, num_key_value_heads=2), Verdict.CORRUPT),
    "architectures_as_text": (config(architectures="Llama"), Verdict.CORRUPT),
    "integer_of_10000_digits": (
        b'{"model_type": "llama", "vocab_size": ' + b"9" * 10_000 + b"}",
        Verdict.CORRUPT,
    ),
    "nested": (b'{"a":' * 100_000, Verdict.CORRUPT),
    "too_large": (b" " * (4 * 1024**2 + 1), Verdict.CORRUPT),
    "remote_code": (config(auto_map={"AutoModel": "someone/repo--model.Evil"}), Verdict.UNSAFE),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_config_nonsense_is_refused(tmp_path: Path, name: str) -> None:
    """FR-001a: config.json must be a plausible configuration that needs no foreign code."""
    content, verdict = CONFIGS[name]
    report = one(tmp_path / "config.json", content)
    assert report.verdict is verdict
    assert report.reasons[0].message


OTHERS = {
    "tokenizer_without_vocabulary": ("tokenizer.json", b'{"model": {}}'),
    "tokenizer_with_text_indices": ("tokenizer.json", b'{"model": {"vocab": {"a": "0"}}}'),
    "sentencepiece_of_noise": ("tokenizer.model", b"\xff" * 100),
    "sentencepiece_empty": ("tokenizer.model", b""),
    "text_with_nul": ("merges.txt", b"a b\x00c"),
    "text_of_pickle": ("README.md", b"\x80\x04\x95\xff\xfe"),
    "index_without_map": ("model.safetensors.index.json", b"{}"),
    "index_of_missing_shard": (
        "model.safetensors.index.json",
        b'{"weight_map": {"w": "model-00001-of-00002.safetensors"}}',
    ),
    "index_out_of_the_directory": (
        "model.safetensors.index.json",
        b'{"weight_map": {"w": "../other/model.safetensors"}}',
    ),
    "python_code": ("modeling.py", b"import os"),
    "no_suffix": ("model", b""),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_files_are_held_to_their_type(tmp_path: Path, name: str) -> None:
    """FR-001a: tokenizer, text and index files are read too; unknown types are refused."""
    filename, content = OTHERS[name]
    report = one(tmp_path / filename, content)
    assert report.verdict is Verdict.CORRUPT
    assert report.reasons[0].message


def test_tokenizer_code_is_unsafe(tmp_path: Path) -> None:
    """FR-001a: a tokenizer that needs its own Python code is refused."""
    report = one(tmp_path / "tokenizer_config.json", b'{"auto_map": {"AutoTokenizer": ["a--b.C", null]}}')
    assert report.verdict is Verdict.UNSAFE


def test_whole_model_is_scanned_in_its_own_process(tmp_path: Path) -> None:
    """FR-001a: facts of the whole come from the files, with progress after each."""
    seen: list[tuple[int, str]] = []
    directory = write(tmp_path / "model", model_files())
    names = sorted(model_files())
    report = scan_directory(directory, names, on_file=lambda done, file: seen.append((done, file.filename)))
    assert report.verdict is Verdict.SAFE
    assert seen == [(1, "config.json"), (2, "model.safetensors"), (3, "tokenizer.json")]
    facts = report.facts
    assert (facts.parameter_count, facts.dtype, facts.context_length, facts.weight_bytes) == (
        4,
        "float32",
        64,
        16,
    )
    assert (facts.family, facts.architecture, facts.vocab_size) == (
        "llama",
        "LlamaForCausalLM",
        CONFIG["vocab_size"],
    )
    # cache: 2 * 2 layers * 1 head * 4 wide * 64 tokens * 2 bytes
    assert facts.memory_bytes == int((16 + 2048) * 1.2)


def test_one_bad_file_makes_the_model_bad(tmp_path: Path) -> None:
    """FR-001a: the model's verdict is the gravest of its files'."""
    files = model_files(**{"extra.bin": pickle.dumps(Call(os.system, "true"))})
    report = scan_directory(write(tmp_path / "model", files), sorted(files))
    assert report.verdict is Verdict.UNSAFE
    assert [file.filename for file in report.files if file.verdict is not Verdict.SAFE] == ["extra.bin"]


def test_scanner_that_runs_out_of_memory_blames_the_file_and_goes_on(tmp_path: Path) -> None:
    """FR-001a: limits hold in the scanner's process; the other files still get their verdict."""
    greedy = b'{"model": {"vocab": [' + b"[]," * 8_000_000 + b"1]}}"
    files = model_files(**{"tokenizer.json": greedy, "zz.txt": b"fine"})
    report = scan_directory(write(tmp_path / "model", files), sorted(files), memory_bytes=256 * 1024**2)
    by_name = {file.filename: file for file in report.files}
    assert by_name["tokenizer.json"].verdict is Verdict.FAILED
    assert by_name["tokenizer.json"].reasons[0].code == "scan_limits"
    assert by_name["zz.txt"].verdict is Verdict.SAFE


def test_scanner_out_of_time_passes_nothing(tmp_path: Path) -> None:
    """FR-001a: a file that could not be read in time is not called safe."""
    report = scan_directory(write(tmp_path / "model", model_files()), sorted(model_files()), seconds=0)
    assert {file.verdict for file in report.files} == {Verdict.FAILED}
    assert len(report.files) == 3


def test_required_files_are_named() -> None:
    """FR-001a: an internal model needs configuration, weights and tokenizer; GGUF carries all three."""
    assert missing_files(["README.md"]) == [
        "config.json", "weights (for example model.safetensors)", "a tokenizer (for example tokenizer.json)",
    ]  # fmt: skip
    assert missing_files(model_files()) == []
    assert missing_files(["model.gguf"]) == []
    assert missing_files({"config.json": b"", "model.safetensors": tokenizer()}) == [
        "a tokenizer (for example tokenizer.json)"
    ]
