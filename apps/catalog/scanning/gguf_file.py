"""GGUF: magic, version, typed metadata, tensor infos, then aligned tensor data. Only the head is read."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import IO, Any

from apps.catalog.scanning.types import corrupt

HEAD_LIMIT = 512 * 1024**2  # bytes of metadata and tensor infos; vocabularies take tens of megabytes
KEY_VALUE_LIMIT = 100_000
TENSOR_LIMIT = 1_000_000
STRING_LIMIT = 64 * 1024**2
ARRAY_LIMIT = 20_000_000

_SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_STRING, _ARRAY = 8, 9
# type id: (name, values per block, bytes per block)
_TENSOR_TYPES = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 36), 10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292), 16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8),
    28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
}  # fmt: skip


class _Reader:
    """Reads little-endian values and refuses to run past the end of the file or the head's limit."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._end = min(size, HEAD_LIMIT)

    @property
    def position(self) -> int:
        return self._file.tell()

    def take(self, count: int) -> bytes:
        if self.position + count > self._end:
            raise corrupt("truncated", f"The head ends after {self._end:,} bytes, in the middle of a value.")
        return self._file.read(count)

    def skip(self, count: int) -> None:
        if self.position + count > self._end:
            raise corrupt("truncated", f"The head ends after {self._end:,} bytes, in the middle of a list.")
        self._file.seek(count, 1)

    def number(self, code: str) -> Any:
        return struct.unpack(code, self.take(struct.calcsize(code)))[0]

    def string(self, limit: int = STRING_LIMIT) -> str:
        length = self.number("<Q")
        if length > limit:
            raise corrupt("string_length", f"A text claims {length:,} bytes; at most {limit:,} are read.")
        return self.take(length).decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        """Read one value; lists are checked and skipped, only their length is returned."""
        if kind in _SCALARS:
            return self.number(_SCALARS[kind])
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            raise corrupt("value_type", f"The metadata uses the unknown value type {kind}.")
        item, count = self.number("<I"), self.number("<Q")
        if count > ARRAY_LIMIT:
            raise corrupt("array_length", f"A list claims {count:,} values; at most {ARRAY_LIMIT:,} are read.")
        if item in _SCALARS:
            self.skip(count * struct.calcsize(_SCALARS[item]))
        elif item == _STRING:
            for _ in range(count):
                length = self.number("<Q")
                if length > STRING_LIMIT:
                    raise corrupt(
                        "string_length", f"A text claims {length:,} bytes; at most {STRING_LIMIT:,} are read."
                    )
                self.skip(length)
        else:
            raise corrupt("value_type", f"The metadata holds a list of the unsupported type {item}.")
        return count


def read_gguf(path: Path) -> dict[str, Any]:
    """Check head, tensor infos and offsets of *path*; return facts (parameters, family, context length …).

    Raises ``FileRefused`` (corrupt) at the first contradiction.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        reader = _Reader(file, size)
        if size < 24 or reader.take(4) != b"GGUF":
            raise corrupt("magic", "The file does not start with the letters GGUF.")
        version = reader.number("<I")
        if version not in (2, 3):
            raise corrupt("version", f"GGUF version {version} is not known (2 and 3 are).")
        tensor_count, pair_count = reader.number("<Q"), reader.number("<Q")
        if not 0 < tensor_count <= TENSOR_LIMIT or pair_count > KEY_VALUE_LIMIT:
            raise corrupt("counts", f"The head claims {tensor_count:,} tensors and {pair_count:,} metadata entries.")
        metadata: dict[str, Any] = {}
        for _ in range(pair_count):
            key = reader.string(limit=65_535)
            if key in metadata:
                raise corrupt("doubled_key", f"The metadata key {key[:200]!r} occurs twice.")
            metadata[key] = reader.value(reader.number("<I"))
        spans, parameters, bytes_by_dtype = _tensor_infos(reader, tensor_count)
        data_start = _aligned(reader.position, _alignment(metadata))
    _check_spans(spans, size - data_start)
    architecture = str(metadata.get("general.architecture", ""))[:100]
    return {
        "parameters": parameters,
        "bytes_by_dtype": bytes_by_dtype,
        "tensors": tensor_count,
        "family": architecture.replace("_", "-"),
        "context_length": _whole(metadata.get(f"{architecture}.context_length")),
        "layers": _whole(metadata.get(f"{architecture}.block_count")),
        **_heads(metadata, architecture),
        "vocab_size": _whole(metadata.get("tokenizer.ggml.tokens")),
    }


def _heads(metadata: dict[str, Any], architecture: str) -> dict[str, int | None]:
    """Key-value heads and head size, as the head counts say; None where they differ by layer (a list)."""
    heads = _whole(metadata.get(f"{architecture}.attention.head_count"))
    kv_heads = metadata.get(f"{architecture}.attention.head_count_kv", heads)
    width = _whole(metadata.get(f"{architecture}.embedding_length"))
    size = _whole(metadata.get(f"{architecture}.attention.key_length"))
    if size is None and heads and width:
        size = width // heads
    return {"kv_heads": _whole(kv_heads), "head_dim": size}


def _tensor_infos(reader: _Reader, count: int) -> tuple[list[tuple[int, int, str]], int, dict[str, int]]:
    spans: list[tuple[int, int, str]] = []
    names: set[str] = set()
    parameters = 0
    bytes_by_dtype: dict[str, int] = {}
    for _ in range(count):
        name = reader.string(limit=1_024)
        if name in names:
            raise corrupt("doubled_tensor", f"Tensor {name[:200]!r} occurs twice.")
        names.add(name)
        dimensions = reader.number("<I")
        if dimensions > 8:
            raise corrupt("tensor_shape", f"Tensor {name[:200]!r} claims {dimensions} dimensions.")
        shape = [reader.number("<Q") for _ in range(dimensions)]
        kind, offset = reader.number("<I"), reader.number("<Q")
        if kind not in _TENSOR_TYPES:
            raise corrupt("tensor_dtype", f"Tensor {name[:200]!r} has the unknown type {kind}.")
        dtype, per_block, block_bytes = _TENSOR_TYPES[kind]
        elements = math.prod(shape)
        if not 0 < elements < 2**53 or (shape and shape[0] % per_block):
            raise corrupt("tensor_shape", f"Tensor {name[:200]!r} has the impossible shape {shape} for type {dtype}.")
        length = elements // per_block * block_bytes
        spans.append((offset, offset + length, name))
        parameters += elements
        bytes_by_dtype[dtype] = bytes_by_dtype.get(dtype, 0) + length
    return spans, parameters, bytes_by_dtype


def _check_spans(spans: list[tuple[int, int, str]], data_size: int) -> None:
    position = 0
    for begin, end, name in sorted(spans):
        if begin < position:
            raise corrupt("overlap", f"Tensor {name[:200]!r} overlaps the tensor before it.")
        if end > data_size:
            raise corrupt(
                "truncated",
                f"Tensor {name[:200]!r} ends at byte {end:,}; the data ends at {max(data_size, 0):,}.",
                "The upload was probably cut short; upload the file again.",
            )
        position = end


def _alignment(metadata: dict[str, Any]) -> int:
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 0 < alignment <= 65_536:
        raise corrupt("alignment", f"general.alignment is {str(alignment)[:40]!r}.")
    return alignment


def _aligned(position: int, alignment: int) -> int:
    return -(-position // alignment) * alignment


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53 else None
