"""JSON read strictly: UTF-8, one object or array, no NaN, no duplicate keys, no NUL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from django.conf import settings
from rest_framework.parsers import BaseParser, MultiPartParser

from apps.core.errors import TooLarge, ValidationFailed

MAX_DEPTH_MESSAGE = "The JSON body is nested too deeply."


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for key, value in pairs:
        if key in seen:
            raise ValueError(f"the key {key!r} stands twice in one object")
        seen[key] = value
    return seen


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(_has_nul(key) or _has_nul(item) for key, item in value.items())
    if isinstance(value, list):
        return any(map(_has_nul, value))
    return False


def parse_json(raw: bytes) -> Any:
    """The value of a JSON body.

    Raises:
        ValidationFailed: not UTF-8, not JSON, or holding what PostgreSQL's text cannot (NUL).
    """
    try:
        text = raw.decode("utf-8-sig")
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_no_duplicates)
        nul = _has_nul(value)
        text.encode()
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeError as error:
        raise ValidationFailed(
            "The body is not valid UTF-8 text. Send JSON encoded as UTF-8.", code="bad_json"
        ) from error
    except RecursionError as error:
        raise ValidationFailed(MAX_DEPTH_MESSAGE, code="bad_json") from error
    except ValueError as error:
        raise ValidationFailed(f"The body is not valid JSON: {error}.", code="bad_json") from error
    if nul:
        raise ValidationFailed(
            "The body holds a NUL character (\\u0000), which cannot be stored. Remove it.", code="bad_json"
        )
    return value


class StrictJSONParser(BaseParser):
    """``application/json`` bodies, bounded by ``LLMOPS_API_MAX_BODY_BYTES``."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        """Read and parse; an empty body counts as ``{}``."""
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raw = stream.read(limit + 1)
        if len(raw) > limit:
            raise TooLarge(f"The body is larger than the {limit} bytes allowed.")
        if not raw.strip():
            return {}
        return parse_json(raw)


class UploadParser(MultiPartParser):
    """``multipart/form-data``; files are spooled to disk, never held in memory."""
