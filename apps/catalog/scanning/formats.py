"""Which files belong to a model, what each is for, and which reader checks it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from enum import StrEnum
from pathlib import Path
from typing import Any

from apps.catalog.scanning.config_file import read_config
from apps.catalog.scanning.gguf_file import read_gguf
from apps.catalog.scanning.pickle_files import read_pickle_weights
from apps.catalog.scanning.safetensors_file import read_safetensors
from apps.catalog.scanning.text_files import read_json_object, read_plain_text
from apps.catalog.scanning.tokenizer_files import read_sentencepiece, read_tokenizer, read_tokenizer_config

Reader = Callable[[Path], dict[str, Any]]


class FileKind(StrEnum):
    """What a file is for."""

    WEIGHTS = "weights"
    CONFIG = "config"
    TOKENIZER = "tokenizer"
    OTHER = "other"


def _read_json(path: Path) -> dict[str, Any]:
    return {"keys": len(read_json_object(path, what=path.name))}


_WEIGHTS: dict[str, tuple[str, Reader]] = {
    ".safetensors": ("safetensors", read_safetensors),
    ".gguf": ("gguf", read_gguf),
    ".bin": ("pickle", read_pickle_weights),
    ".pt": ("pickle", read_pickle_weights),
    ".pth": ("pickle", read_pickle_weights),
    ".ckpt": ("pickle", read_pickle_weights),
    ".pkl": ("pickle", read_pickle_weights),
}
_BY_NAME: dict[str, tuple[str, FileKind, Reader]] = {
    "config.json": ("config", FileKind.CONFIG, read_config),
    "tokenizer.json": ("tokenizer", FileKind.TOKENIZER, read_tokenizer),
    "tokenizer_config.json": ("tokenizer-config", FileKind.TOKENIZER, read_tokenizer_config),
    "vocab.json": ("json", FileKind.TOKENIZER, _read_json),
    "merges.txt": ("text", FileKind.TOKENIZER, read_plain_text),
    "vocab.txt": ("text", FileKind.TOKENIZER, read_plain_text),
}
_BY_SUFFIX: dict[str, tuple[str, FileKind, Reader]] = {
    ".model": ("sentencepiece", FileKind.TOKENIZER, read_sentencepiece),
    ".tiktoken": ("text", FileKind.TOKENIZER, read_plain_text),
    ".json": ("json", FileKind.OTHER, _read_json),
    ".jinja": ("text", FileKind.OTHER, read_plain_text),
    ".md": ("text", FileKind.OTHER, read_plain_text),
    ".txt": ("text", FileKind.OTHER, read_plain_text),
}
ALLOWED_SUFFIXES = tuple(sorted({*_WEIGHTS, *_BY_SUFFIX}))
# A tokenizer is complete with any one of these.
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")


def classify(filename: str) -> tuple[str, FileKind, Reader] | None:
    """Return ``(format, kind, reader)`` for *filename*, or None when its type does not belong in a model."""
    if filename in _BY_NAME:
        return _BY_NAME[filename]
    suffix = Path(filename).suffix.lower()
    if suffix in _WEIGHTS:
        name, reader = _WEIGHTS[suffix]
        return name, FileKind.WEIGHTS, reader
    return _BY_SUFFIX.get(suffix)


def missing_files(filenames: Collection[str]) -> list[str]:
    """Return what an internal model still lacks, in words; empty when it can be loaded.

    A GGUF file carries its own configuration and tokenizer, so it is complete alone.
    """
    names = set(filenames)
    suffixes = {Path(name).suffix.lower() for name in names}
    if ".gguf" in suffixes:
        return []
    missing = []
    if "config.json" not in names:
        missing.append("config.json")
    if not suffixes & set(_WEIGHTS):
        missing.append("weights (for example model.safetensors)")
    if not any(name in names for name in _TOKENIZERS) and ".tiktoken" not in suffixes:
        missing.append("a tokenizer (for example tokenizer.json)")
    return missing
