"""JSON and plain-text files of a model directory: strict parsing with bounded memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from apps.catalog.scanning.types import corrupt

TEXT_LIMIT = 256 * 1024**2  # bytes; vocabularies and merges are tens of megabytes at most
JSON_LIMIT = 256 * 1024**2  # bytes; tokenizer.json of large vocabularies passes 30 MB
JSON_DEPTH_MESSAGE = "The JSON is nested too deeply to be a model file."


def read_limited(path: Path, limit: int) -> bytes:
    """Return the bytes of *path*, refusing files above *limit* bytes before reading them."""
    size = path.stat().st_size
    if size > limit:
        raise corrupt("too_large", f"The file has {size:,} bytes; at most {limit:,} are read for this type.")
    return path.read_bytes()


def parse_json(raw: bytes, *, what: str) -> Any:
    """Parse *raw* as strict JSON (UTF-8, no NaN, no doubled keys); raise ``FileRefused`` naming *what*."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise corrupt("not_utf8", f"The {what} is not UTF-8 text (byte {error.start:,}).") from None
    try:
        return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constants)
    except RecursionError:
        raise corrupt("json_depth", JSON_DEPTH_MESSAGE) from None
    except json.JSONDecodeError as error:
        raise corrupt(
            "not_json",
            f"The {what} is not valid JSON: line {error.lineno}, column {error.colno}: {error.msg}.",
        ) from None
    except ValueError as error:  # an integer of thousands of digits
        raise corrupt("not_json", f"The {what} holds a value that cannot be read: {str(error)[:120]}.") from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise corrupt("doubled_key", f"The key {key[:200]!r} occurs twice; readers disagree on which one counts.")
        result[key] = value
    return result


def _no_constants(name: str) -> Any:
    raise corrupt("json_constant", f"{name} is not JSON; use a number or null.")


def read_json_object(path: Path, *, what: str, limit: int = JSON_LIMIT) -> dict[str, Any]:
    """Parse *path* and insist on a JSON object."""
    data = parse_json(read_limited(path, limit), what=what)
    if not isinstance(data, dict):
        raise corrupt("not_an_object", f"The {what} must be a JSON object, not {type(data).__name__}.")
    return data


def read_plain_text(path: Path) -> dict[str, Any]:
    """Check that *path* is UTF-8 text without control characters; facts: ``lines``."""
    raw = read_limited(path, TEXT_LIMIT)
    if b"\x00" in raw:
        raise corrupt("binary", "The file holds NUL bytes; it is not text.")
    try:
        raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise corrupt("not_utf8", f"The file is not UTF-8 text (byte {error.start:,}).") from None
    return {"lines": raw.count(b"\n") + bool(raw and not raw.endswith(b"\n"))}
