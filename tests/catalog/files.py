"""Builders of model files for tests: good ones, and forty ways to be bad."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8, "intermediate_size": 16,
    "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 16,
    "max_position_embeddings": 64, "torch_dtype": "float32",
}  # fmt: skip
TOKENIZER: dict[str, Any] = {
    "version": "1.0",
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []},
}


def safetensors(
    tensors: dict[str, Any] | None = None, data: bytes | None = None, *, header_length: int | None = None
) -> bytes:
    """Bytes of a safetensors file; every part can be made to lie."""
    if tensors is None:
        tensors = {"weight": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}
    header = json.dumps(tensors).encode()
    return (
        struct.pack("<Q", len(header) if header_length is None else header_length)
        + header
        + (b"\0" * 16 if data is None else data)
    )


def config(**changes: Any) -> bytes:
    """``config.json`` with *changes*; a value of None removes the key."""
    return json.dumps({key: value for key, value in {**CONFIG, **changes}.items() if value is not None}).encode()


def tokenizer() -> bytes:
    """A minimal ``tokenizer.json``."""
    return json.dumps(TOKENIZER).encode()


def model_files(**changes: bytes) -> dict[str, bytes]:
    """The smallest complete internal model, by file name."""
    return {
        "config.json": config(),
        "model.safetensors": safetensors(),
        "tokenizer.json": tokenizer(),
        **changes,
    }


class Call:
    """Pickles to a call of *function* with *arguments*."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.parts = (function, arguments)

    def __reduce__(self) -> Any:
        return self.parts


def torch_zip(
    payload: bytes | None = None, *, members: dict[str, bytes] | None = None, compress: bool = False
) -> bytes:
    """A zip in the layout of torch.save, with *payload* as its data.pkl."""
    if payload is None:
        payload = pickle.dumps(OrderedDict(), protocol=2)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", payload)
        archive.writestr("archive/version", b"3\n")
        archive.writestr("archive/data/0", b"\0" * 16)
        for name, content in (members or {}).items():
            archive.writestr(name, content)
    return buffer.getvalue()


def gguf_string(text: str) -> bytes:
    """A GGUF text: length and UTF-8."""
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def gguf(
    *,
    version: int = 3,
    tensor_count: int | None = None,
    pairs: list[tuple[str, int, bytes]] | None = None,
    tensors: list[tuple[str, list[int], int, int]] | None = None,
    data: bytes = b"\0" * 64,
) -> bytes:
    """Bytes of a GGUF file: *pairs* are (key, type, raw value), *tensors* (name, shape, type, offset)."""
    if pairs is None:
        pairs = [
            ("general.architecture", 8, gguf_string("llama")),
            ("llama.context_length", 4, struct.pack("<I", 128)),
            ("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 2) + gguf_string("a") + gguf_string("b")),
        ]
    if tensors is None:
        tensors = [("weight", [4, 4], 0, 0)]
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors) if tensor_count is None else tensor_count, len(pairs))
    for key, kind, value in pairs:
        head += gguf_string(key) + struct.pack("<I", kind) + value
    for name, shape, kind, offset in tensors:
        head += gguf_string(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", size) for size in shape)
        head += struct.pack("<IQ", kind, offset)
    return head + b"\0" * (-len(head) % 32) + data


def write(directory: Path, files: dict[str, bytes]) -> Path:
    """Write *files* into *directory* and return it."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return directory
