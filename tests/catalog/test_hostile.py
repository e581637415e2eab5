"""FR-001a: model files that mean harm are judged in small memory, whatever sizes they claim."""

from __future__ import annotations

import json
import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

from launcher.paths import ROOT
from tests.catalog.files import config, gguf, gguf_string, safetensors, tokenizer

GIB = 1024**3
MIB = 1024**2

_MEASURE = """
import json, sys
from pathlib import Path
from apps.catalog.scanning.directory import scan_file
for line in sys.stdin:
    path = Path(json.loads(line))
    report = scan_file(path, siblings={path.name})
    high = next(int(row.split()[1]) for row in open("/proc/self/status") if row.startswith("VmHWM"))
    codes = [reason.code for reason in report.reasons]
    print(json.dumps([path.name, report.verdict.value, codes, high // 1024]), flush=True)
"""


def _grown(path: Path, head: bytes, size: int) -> Path:
    """A sparse file of ``size`` bytes that begins with ``head``."""
    path.write_bytes(head)
    with path.open("r+b") as handle:
        handle.truncate(size)
    return path


def _zip_bomb(path: Path) -> Path:
    """A checkpoint whose pickle unpacks to half a gigabyte."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("archive/data.pkl", "w") as member:
        for _ in range(512):
            member.write(b"\0" * MIB)
    return path


def _many_members(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(20_000):
            archive.writestr(f"archive/data/{number}", b"")
    return path


def test_memory_stays_bounded_whatever_is_scanned(tmp_path: Path) -> None:
    """FR-001a: headers of exabytes, gigabytes of nothing, bombs and endless nesting are refused by a process
    whose peak, read from the kernel, stays small."""
    huge = struct.pack("<Q", 2**60)
    memo = b"\x80\x04" + b"".join(b"\x8c\x08" + b"%08d" % n + b"\x94" for n in range(500_000)) + b"."
    files = {
        "header of a gigabyte.safetensors": (struct.pack("<Q", GIB), 2 * GIB),
        "header of exabytes.safetensors": (huge, GIB),
        "nothing but zeros.safetensors": (b"", GIB),
        "short data.safetensors": (safetensors(data=b"\0" * 8), 0),
        "a million tensors.safetensors": (
            safetensors({f"t{n}": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]} for n in range(200_000)}),
            0,
        ),
        "tensors without end.gguf": (gguf(tensor_count=2**60), GIB),
        "text without end.gguf": (gguf(pairs=[("general.name", 8, huge + b"x")]), GIB),
        "list without end.gguf": (gguf(pairs=[("tokens", 9, struct.pack("<IQ", 8, 2**60))]), GIB),
        "list of lists.gguf": (gguf(pairs=[("tokens", 9, struct.pack("<IQ", 9, 1) * 5_000)]), 0),
        "name without end.gguf": (gguf(tensors=[("n" * 200_000, [4], 0, 0)]), 0),
        "zeros.gguf": (b"GGUF", GIB),
        "names.gguf": (
            gguf(pairs=[("k", 8, gguf_string("../../etc/passwd"))], tensors=[("../x", [2**62, 2**62], 0, 0)]),
            0,
        ),
        "zeros.bin": (b"", GIB),
        "memo.bin": (memo, 0),
        "deep.bin": (pickle.dumps(1)[:-1] + b"(" * 2_000_000 + b".", 0),
        "text.pt": (b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"x", GIB),
        "config.json": (b'{"a":' + b"[" * 3_000_000, 0),
        "tokenizer.json": (b'{"model": {"vocab": {' + b'"a": 1,' * 1_000_000, 0),
        "numbers.json": (config(num_hidden_layers=int("9" * 4_000)), 0),
        "tokenizer_config.json": (b'"' + b"x" * MIB, 2 * GIB),
        "vocab.json": (tokenizer()[:-1], GIB),
    }
    paths = [_grown(tmp_path / name, head, size or len(head)) for name, (head, size) in files.items()]
    paths += [_zip_bomb(tmp_path / "bomb.pt"), _many_members(tmp_path / "members.pt")]
    (tmp_path / "good.safetensors").write_bytes(safetensors())
    orders = [json.dumps(str(path)) for path in [tmp_path / "good.safetensors", *paths]]
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE], input="\n".join(orders), capture_output=True, text=True, cwd=ROOT, check=False
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == len(orders), (told[-1], done.stderr[-1500:])
    assert told[0][1:3] == ["safe", []]
    # Large, but they neither run code nor lie.
    harmless = {"memo.bin", "deep.bin", "numbers.json"}
    assert {name for name, verdict, _codes, _high in told[1:] if verdict == "safe"} <= harmless, told
    assert all(codes for name, _verdict, codes, _high in told[1:] if name not in harmless)
    assert told[-1][3] - told[0][3] < 400, told
