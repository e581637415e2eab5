"""Safetensors: an 8-byte length, a JSON header, then one gapless buffer of tensor data.

Only the header is read, so a file of any size is checked in constant memory and a few milliseconds.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from apps.catalog.scanning.text_files import parse_json
from apps.catalog.scanning.types import corrupt

HEADER_LIMIT = 100_000_000  # bytes; the reference implementation's own limit
TENSOR_LIMIT = 1_000_000
DIMENSION_LIMIT = 64

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E5M2FNUZ": 8, "F8_E4M3FNUZ": 8,
    "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32,
    "U64": 64, "I64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
DTYPE_NAMES = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}


def read_safetensors(path: Path) -> dict[str, Any]:
    """Check header and offsets of *path*; return facts ``parameters``, ``bytes_by_dtype``, ``tensors``.

    Raises ``FileRefused`` (corrupt) at the first contradiction between header and file.
    """
    size = path.stat().st_size
    if size < 8:
        raise corrupt("too_short", f"The file has {size} bytes; a safetensors file starts with an 8-byte length.")
    with path.open("rb") as file:
        header_length = int.from_bytes(file.read(8), "little")
        if header_length > HEADER_LIMIT:
            raise corrupt(
                "header_length",
                f"The header claims {header_length:,} bytes; at most {HEADER_LIMIT:,} are allowed.",
            )
        if header_length > size - 8:
            raise corrupt("header_length", f"The header claims {header_length:,} bytes, but only {size - 8:,} follow.")
        raw = file.read(header_length)
    if not raw.startswith(b"{"):
        raise corrupt("header_json", "The header is not a JSON object.")
    header = parse_json(raw, what="safetensors header")
    if not isinstance(header, dict):
        raise corrupt("header_json", "The header is not a JSON object.")
    if len(header) > TENSOR_LIMIT:
        raise corrupt(
            "too_many_tensors",
            f"The header lists {len(header):,} tensors; at most {TENSOR_LIMIT:,} are read.",
        )
    _check_metadata(header.pop("__metadata__", {}))
    return _check_tensors(header, buffer_size=size - 8 - header_length)


def _check_metadata(metadata: object) -> None:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise corrupt("header_metadata", "The header's __metadata__ must map names to strings.")


def _check_tensors(header: dict[str, Any], buffer_size: int) -> dict[str, Any]:
    spans: list[tuple[int, int, str]] = []
    parameters = 0
    bytes_by_dtype: dict[str, int] = {}
    for name, info in header.items():
        dtype, shape, begin, end = _tensor_info(name, info)
        elements = math.prod(shape)
        bits = elements * BITS[dtype]
        if bits % 8 or bits // 8 != end - begin:
            raise corrupt(
                "tensor_size",
                f"Tensor {name[:200]!r} of shape {shape} and type {dtype} needs {bits / 8:,.0f} bytes, "
                f"but its offsets span {end - begin:,}.",
            )
        if end > buffer_size:
            raise corrupt(
                "truncated",
                f"Tensor {name[:200]!r} ends at byte {end:,}; the file holds {buffer_size:,} bytes of data.",
                "The upload was probably cut short; upload the file again.",
            )
        spans.append((begin, end, name))
        parameters += elements
        bytes_by_dtype[dtype] = bytes_by_dtype.get(dtype, 0) + end - begin
    if not spans:
        raise corrupt("no_tensors", "The file holds no tensors.")
    _check_coverage(spans, buffer_size)
    return {"parameters": parameters, "bytes_by_dtype": bytes_by_dtype, "tensors": len(spans)}


def _tensor_info(name: str, info: object) -> tuple[str, list[int], int, int]:
    shown = name[:200]
    if not isinstance(info, dict):
        raise corrupt("tensor_entry", f"The header entry of tensor {shown!r} is not an object.")
    dtype = info.get("dtype")
    if not isinstance(dtype, str) or dtype not in BITS:
        raise corrupt("tensor_dtype", f"Tensor {shown!r} has the unknown type {str(dtype)[:50]!r}.")
    shape = info.get("shape")
    if not isinstance(shape, list) or len(shape) > DIMENSION_LIMIT or not all(_is_size(item) for item in shape):
        raise corrupt("tensor_shape", f"The shape of tensor {shown!r} is not a list of non-negative whole numbers.")
    offsets = info.get("data_offsets")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(_is_size(item) for item in offsets):
        raise corrupt("tensor_offsets", f"The data_offsets of tensor {shown!r} are not two non-negative whole numbers.")
    begin, end = offsets
    if end < begin:
        raise corrupt("tensor_offsets", f"Tensor {shown!r} ends (byte {end:,}) before it begins (byte {begin:,}).")
    return dtype, shape, begin, end


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _check_coverage(spans: list[tuple[int, int, str]], buffer_size: int) -> None:
    """Tensors must tile the buffer: overlaps alias memory, gaps hide foreign bytes."""
    position = 0
    for begin, end, name in sorted(spans):
        if begin < position:
            raise corrupt(
                "overlap",
                f"Tensor {name[:200]!r} overlaps the tensor before it (byte {begin:,} < {position:,}).",
            )
        if begin > position:
            raise corrupt("gap", f"{begin - position:,} bytes before tensor {name[:200]!r} belong to no tensor.")
        position = end
    if position != buffer_size:
        raise corrupt("trailing_bytes", f"{buffer_size - position:,} bytes after the last tensor belong to no tensor.")
