"""Weights in pickle formats (``.bin``, ``.pt``, ``.pth``, ``.ckpt``, ``.pkl``): what would loading them call?

The pickles are disassembled by picklescan, never loaded. What it knows to be dangerous and what nobody knows
to be harmless are both refused: a file of weights needs a dozen well-known names and no others.
"""

from __future__ import annotations

import io
import pickletools
import re
import struct
import zipfile
from pathlib import Path
from typing import IO, Any

from picklescan.scanner import SafetyLevel, scan_pickle_bytes

from apps.catalog.scanning.types import corrupt, unsafe

PICKLE_LIMIT = 256 * 1024**2  # bytes of one pickle inside an archive; tensors live beside it, not in it
MEMBER_LIMIT = 100_000
ZIP_MAGIC = b"PK\x03\x04"
# The long integer that legacy torch.save writes first, as its protocol-2 pickle.
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
# What pickletools raises at an opcode that it cannot read.
MALFORMED = (ValueError, IndexError, KeyError, EOFError, OverflowError, struct.error)
LEGACY_PICKLES = 5  # magic, protocol, system info, the object, the storage keys; raw tensors follow

# Harmless names beyond picklescan's own list: constructors of tensors, sizes and dtypes.
_HARMLESS = {
    ("torch._utils", "_rebuild_parameter"),
    ("torch._utils", "_rebuild_tensor_v3"),
    ("torch", "Size"),
    ("torch", "device"),
    ("torch.storage", "UntypedStorage"),
    ("torch.storage", "TypedStorage"),
    *(("torch", name) for name in ("float16", "bfloat16", "float32", "float64", "bool")),
    *(("torch", name) for name in ("int8", "uint8", "int16", "int32", "int64")),
    *(("torch", f"{name}Storage") for name in ("Float8_e4m3fn", "Float8_e5m2", "Untyped")),
}  # fmt: skip
_MEMBER = re.compile(
    r"^(?P<root>[^/]+)/(data\.pkl|data/\d+|version|byteorder|\.format_version|\.storage_alignment|\.data/serialization_id)$"
)
SAFETENSORS_REMEDY = "Save the weights as safetensors (save_pretrained does so by default) and upload those instead."


def read_pickle_weights(path: Path) -> dict[str, Any]:
    """Disassemble every pickle that loading *path* would execute; facts: ``container``, ``imports``.

    Raises ``FileRefused``: unsafe when a name is imported that weights do not need, corrupt when the
    container or the opcodes cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(8)
        if not start:
            raise corrupt("empty", "The file is empty.")
        # The same decision as torch.load takes: by the first bytes, not by a directory at the end.
        if start.startswith(ZIP_MAGIC):
            return {"container": "torch-zip", "imports": _scan_archive(path)}
        file.seek(0)
        if _is_legacy_torch(file):
            file.seek(0)
            imports: set[str] = set()
            for _ in range(LEGACY_PICKLES):
                imports |= _scan_one(file, multiple=False)
            return {"container": "torch-legacy", "imports": sorted(imports)}
        file.seek(0)
        return {"container": "pickle", "imports": sorted(_scan_one(file, multiple=True))}


def _is_legacy_torch(file: IO[bytes]) -> bool:
    """True when the first pickle is nothing but torch's magic number as a literal."""
    try:
        for count, (opcode, value, _) in enumerate(pickletools.genops(file)):
            if opcode.name in ("LONG1", "LONG4", "LONG", "INT") and value == LEGACY_MAGIC:
                return True
            if count > 4:
                return False
    except MALFORMED:
        return False
    return False


def _scan_one(file: IO[bytes], *, multiple: bool) -> set[str]:
    """Scan one pickle from the current position, or all up to the end; return the imported names.

    Each is walked twice: by pickletools for its end (picklescan calls an unreadable stream "not a pickle" and
    passes it), then by picklescan for what it imports.
    """
    imports: set[str] = set()
    while True:
        begin = file.tell()
        broken = ""
        try:
            for _ in pickletools.genops(file):
                pass
        except MALFORMED as error:
            broken = str(error)[:200] or type(error).__name__
        end = file.tell()
        file.seek(begin)
        try:
            found = scan_pickle_bytes(file, "weights", multiple_pickles=False).globals
        except ValueError:
            raise unsafe("hidden_import", "The pickle hides what it imports.", SAFETENSORS_REMEDY) from None
        imports |= _judge(found)  # also of a broken pickle: what comes before the fault would still run
        if broken:
            raise corrupt("pickle", f"The file is not a readable pickle: {broken}.")
        file.seek(end)
        if not multiple or not file.read(1):
            return imports
        file.seek(end)


def _judge(found: list[Any]) -> set[str]:
    names: set[str] = set()
    for item in sorted(found, key=lambda entry: (entry.module, entry.name)):
        name = f"{item.module}.{item.name}"[:200]
        if item.safety is SafetyLevel.Dangerous:
            raise unsafe(
                "dangerous_import",
                f"Loading this file would call {name}, which can run any command.",
                SAFETENSORS_REMEDY,
            )
        if item.safety is SafetyLevel.Suspicious and (item.module, item.name) not in _HARMLESS:
            raise unsafe(
                "unknown_import",
                f"Loading this file would call {name}, which weights do not need.",
                SAFETENSORS_REMEDY,
            )
        names.add(name)
    return names


def _scan_archive(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            pickles = _check_members(archive.infolist())
            imports: set[str] = set()
            for info in pickles:
                imports |= _scan_one(io.BytesIO(archive.read(info)), multiple=True)
            return sorted(imports)
    except (
        zipfile.BadZipFile,
        EOFError,
        NotImplementedError,
        RuntimeError,
        OSError,
        UnicodeDecodeError,
    ) as error:
        raise corrupt("archive", f"The archive cannot be read: {str(error)[:200]}.") from None


def _check_members(members: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    """Insist on the layout that torch.save writes: stored members under one root, no doubles, no code."""
    if len(members) > MEMBER_LIMIT:
        raise corrupt("archive", f"The archive has {len(members):,} members; at most {MEMBER_LIMIT:,} are read.")
    roots: set[str] = set()
    names: set[str] = set()
    pickles = []
    for info in members:
        shown = info.filename[:200]
        if info.filename in names:
            raise corrupt("archive_double", f"The archive holds {shown!r} twice; readers disagree on which one counts.")
        names.add(info.filename)
        if "/code/" in info.filename or info.filename.endswith((".py", "constants.pkl")):
            raise unsafe(
                "archived_code",
                f"The archive holds program code ({shown!r}), not only weights.",
                SAFETENSORS_REMEDY,
            )
        match = _MEMBER.match(info.filename)
        if match is None:
            raise corrupt(
                "archive_member",
                f"The archive holds {shown!r}, which torch.save never writes.",
                SAFETENSORS_REMEDY,
            )
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise corrupt(
                "compressed",
                f"{shown!r} is compressed ({info.compress_size:,} → {info.file_size:,} bytes); torch.save "
                "stores weights uncompressed, and a compressed one could unpack without end.",
                SAFETENSORS_REMEDY,
            )
        roots.add(match["root"])
        if info.filename.endswith("/data.pkl"):
            if info.file_size > PICKLE_LIMIT:
                raise corrupt(
                    "pickle_size",
                    f"{shown!r} has {info.file_size:,} bytes; at most {PICKLE_LIMIT:,} are read.",
                )
            pickles.append(info)
    if len(roots) != 1 or len(pickles) != 1:
        raise corrupt("archive", "The archive is not one torch checkpoint (exactly one data.pkl is expected).")
    return pickles
