"""Tokenizer files: ``tokenizer.json``, ``tokenizer_config.json``, SentencePiece ``.model`` files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from apps.catalog.scanning.text_files import read_json_object, read_limited
from apps.catalog.scanning.types import corrupt, unsafe

SENTENCEPIECE_LIMIT = 256 * 1024**2
TEMPLATE_LIMIT = 1024**2  # characters of a chat template


def read_tokenizer(path: Path) -> dict[str, Any]:
    """Check ``tokenizer.json``: a model with its vocabulary; facts: ``vocab_size``, ``kind``."""
    data = read_json_object(path, what="tokenizer.json")
    model = data.get("model")
    if not isinstance(model, dict):
        raise corrupt("tokenizer_model", "tokenizer.json has no model section.")
    vocabulary = model.get("vocab")
    if not isinstance(vocabulary, dict | list) or not vocabulary:
        raise corrupt("tokenizer_vocab", "tokenizer.json has no vocabulary (model.vocab).")
    if isinstance(vocabulary, dict) and not all(
        isinstance(index, int) and not isinstance(index, bool) and 0 <= index < 2**31 for index in vocabulary.values()
    ):
        raise corrupt("tokenizer_vocab", "tokenizer.json: every entry of model.vocab must map to a whole number.")
    return {"vocab_size": len(vocabulary), "kind": str(model.get("type", ""))[:50]}


def read_tokenizer_config(path: Path) -> dict[str, Any]:
    """Check ``tokenizer_config.json``; unsafe when it asks for the model's own code."""
    data = read_json_object(path, what="tokenizer_config.json")
    if data.get("auto_map"):
        raise unsafe(
            "remote_code",
            "tokenizer_config.json has an auto_map: loading it would run Python code that ships with it.",
            "Use a tokenizer class that Transformers knows itself, and remove auto_map.",
        )
    template = data.get("chat_template")
    if isinstance(template, str) and len(template) > TEMPLATE_LIMIT:
        raise corrupt(
            "chat_template",
            f"The chat template has {len(template):,} characters; at most {TEMPLATE_LIMIT:,} are read.",
        )
    return {
        "tokenizer_class": str(data.get("tokenizer_class", ""))[:100],
        "has_chat_template": bool(template),
    }


def read_sentencepiece(path: Path) -> dict[str, Any]:
    """Walk the top level of a SentencePiece protobuf; facts: ``vocab_size`` (its pieces)."""
    raw = read_limited(path, SENTENCEPIECE_LIMIT)
    position, pieces = 0, 0
    while position < len(raw):
        tag, position = _varint(raw, position)
        field, wire = tag >> 3, tag & 7
        if wire == 2:
            length, position = _varint(raw, position)
            position += length
            pieces += field == 1
        elif wire == 0:
            _, position = _varint(raw, position)
        elif wire in (1, 5):
            position += 8 if wire == 1 else 4
        else:
            raise corrupt("sentencepiece", f"The file is not a SentencePiece model (wire type {wire}).")
        if field == 0 or position > len(raw):
            raise corrupt("sentencepiece", "The file is not a whole SentencePiece model.")
    if not pieces:
        raise corrupt("sentencepiece", "The SentencePiece model holds no pieces.")
    return {"vocab_size": pieces, "kind": "sentencepiece"}


def _varint(raw: bytes, position: int) -> tuple[int, int]:
    value, shift = 0, 0
    while position < len(raw) and shift < 64:
        byte = raw[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise corrupt("sentencepiece", "The file is not a SentencePiece model (a number runs past its end).")
