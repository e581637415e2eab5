"""Checks of the free-form ``metadata`` and of the fields that external models must have in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from apps.catalog.prices import price_errors
from apps.catalog.types import Provider
from apps.core.errors import FieldError, ValidationFailed

METADATA_LIMIT = 262_144  # bytes of JSON
DEPTH_LIMIT = 20
SECRET_KEYS = ("api_key", "apiKey")
ANSWERED_KEYS = ("apiKeySet",)  # ours, echoed by clients that send back what they read
KEY_LIMIT = 4_096
OPENAI_URL = "https://api.openai.com/v1"

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def clean_metadata(metadata: object) -> dict[str, Any]:
    """Return *metadata* as it may be stored; raises ``ValidationFailed`` on field ``metadata``."""
    if not isinstance(metadata, Mapping):
        raise ValidationFailed.field("metadata", "invalid", 'metadata must be an object, for example {"purpose": "…"}.')
    _check_depth(metadata)
    try:
        size = len(json.dumps(metadata, allow_nan=False).encode())
    except (TypeError, ValueError):
        raise ValidationFailed.field(
            "metadata", "invalid", "metadata holds a value that JSON cannot express."
        ) from None
    if size > METADATA_LIMIT:
        raise ValidationFailed.field(
            "metadata",
            "too_large",
            f"metadata has {size:,} bytes; at most {METADATA_LIMIT:,} are kept. Link to long texts.",
        )
    return {key: value for key, value in metadata.items() if key not in ANSWERED_KEYS}


def _check_depth(metadata: object) -> None:
    for value, depth in _walk(metadata):
        if depth > DEPTH_LIMIT:
            raise ValidationFailed.field(
                "metadata", "too_deep", f"metadata is nested deeper than {DEPTH_LIMIT} levels."
            )
        if isinstance(value, str) and "\x00" in value:
            raise ValidationFailed.field("metadata", "nul", "metadata holds a NUL character; remove it.")


def _walk(root: object) -> Iterator[tuple[object, int]]:
    """Yield every value and key with its depth; iterative, so that depth costs no stack."""
    pending: list[tuple[object, int]] = [(root, 0)]
    while pending:
        value, depth = pending.pop()
        yield value, depth
        if depth > DEPTH_LIMIT:
            continue
        if isinstance(value, Mapping):
            pending.extend((item, depth + 1) for pair in value.items() for item in pair)
        elif isinstance(value, list | tuple):
            pending.extend((item, depth + 1) for item in value)


class Unset:
    """The client said nothing about the key: keep what is stored."""


UNSET = Unset()


def take_secret(metadata: dict[str, Any], *, external: bool) -> str | Unset | None:
    """Remove the API key from *metadata* (in place) and return it.

    ``None`` (sent as null or empty) means "remove the stored key"; ``UNSET`` means that none was sent. A key on
    a model that is not external is refused: it would be stored and shown in the clear.
    """
    sent = [metadata.pop(key) for key in SECRET_KEYS if key in metadata]
    if not sent:
        return UNSET
    if not external:
        raise ValidationFailed.field(
            "metadata.api_key",
            "not_external",
            "Only external models have an API key; remove it, metadata is shown openly.",
        )
    value = sent[0]
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > KEY_LIMIT or _CONTROL.search(value):
        raise ValidationFailed.field(
            "metadata.api_key", "invalid", f"api_key must be one line of text of at most {KEY_LIMIT:,} characters."
        )
    return value.strip() or None


def check_external(metadata: Mapping[str, Any]) -> None:
    """Validate ``provider``, ``model_name`` and ``base_url``; raises with one error per field."""
    errors: list[FieldError] = []
    provider = metadata.get("provider")
    if provider not in Provider.values:
        errors.append(
            FieldError(
                "metadata.provider",
                "required" if not provider else "invalid_choice",
                f"An external model needs metadata.provider: one of {', '.join(Provider.values)}.",
            )
        )
    name = metadata.get("model_name")
    if not isinstance(name, str) or not name.strip():
        errors.append(
            FieldError(
                "metadata.model_name",
                "required",
                "An external model needs metadata.model_name, the provider's name for it.",
            )
        )
    elif len(name) > 200 or _CONTROL.search(name):
        errors.append(
            FieldError("metadata.model_name", "invalid", "model_name must be one line of at most 200 characters.")
        )
    errors += price_errors(metadata)
    if (problem := _url_problem(provider, metadata.get("base_url"))) is not None:
        errors.append(FieldError("metadata.base_url", *problem))
    if errors:
        raise ValidationFailed(errors[0].message, errors=errors)


def _url_problem(provider: object, url: object) -> tuple[str, str] | None:
    if url in (None, ""):
        if provider == Provider.OPENAI:
            return None  # has one well-known address
        return "required", "This provider needs metadata.base_url, for example http://host:11434/v1."
    if not isinstance(url, str) or len(url) > 500 or _CONTROL.search(url) or " " in url:
        return "invalid", "base_url must be an http or https address of at most 500 characters."
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return "invalid", "base_url is not a well-formed address."
    if parts.scheme not in ("http", "https") or not host:
        return "invalid", "base_url must start with http:// or https:// and name a host."
    if parts.username is not None or parts.password is not None:
        return "credentials", "base_url must not hold a user name or password; send the key as api_key."
    if parts.query or parts.fragment:
        return "invalid", "base_url must not have a query (?…) or fragment (#…)."
    return None


def base_url_of(metadata: Mapping[str, Any]) -> str:
    """Return the provider's address without a trailing slash; OpenAI has a default."""
    url = metadata.get("base_url")
    if isinstance(url, str) and url:
        return url.rstrip("/")
    return OPENAI_URL if metadata.get("provider") == Provider.OPENAI else ""
