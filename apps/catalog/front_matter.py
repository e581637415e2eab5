"""Hugging Face model cards: a README whose YAML front matter carries the metadata. Pure functions, in and out.

The layout is the Hub's: a block between two ``---`` lines, then Markdown. What the Hub has no field for (purpose,
scope, contact …) travels under ``llm_ops``, which the Hub and its clients ignore.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import yaml

from apps.catalog.cards import PROSE_KEYS, as_text

README = "README.md"
README_LIMIT = 1_048_576  # bytes that are read of a card
FRONT_LIMIT = 65_536  # characters of YAML; the Hub's own cards stay far below
BODY_LIMIT = 40_000  # characters kept as the description; with four bytes each they fit into the metadata
DEPTH_LIMIT = 12
INTEGER_BITS = 64
TOO_LARGE = "The front matter holds a number that is too large."
OWN_KEY = "llm_ops"
#: Of the Hub's front matter, what is kept under the same name in the metadata.
HUB_KEYS = (
    "license", "license_name", "license_link", "language", "tags", "base_model", "datasets", "pipeline_tag",
    "library_name", "metrics",
)  # fmt: skip
OWN_FIELDS = ("purpose", "scope", "contact", *PROSE_KEYS)


class CardUnreadable(ValueError):
    """The front matter cannot be used; the message says why, for the person who wrote it."""


class _NoAliases(yaml.SafeLoader):
    """YAML without references: a few lines of them can stand for gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse ``*name``."""
        if self.check_event(yaml.AliasEvent):
            raise CardUnreadable("The front matter uses YAML references (&name, *name); write the values out.")
        return super().compose_node(parent, index)


def split_card(text: str) -> tuple[dict[str, Any], str]:
    """Return the front matter as JSON-ready values, and the Markdown below it.

    A text without front matter has an empty one. Raises ``CardUnreadable``.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    if not text.startswith("---\n"):
        return {}, text.strip()
    head, separator, body = text[4:].partition("\n---")
    if text.startswith("---\n---"):
        head, separator, body = "", "\n---", text[7:]
    if not separator or body[:1] not in ("", "\n", " "):
        raise CardUnreadable("The front matter begins with --- but does not end with a line of ---.")
    if len(head) > FRONT_LIMIT:
        raise CardUnreadable(f"The front matter has more than {FRONT_LIMIT:,} characters.")
    try:
        loader = _NoAliases(head)
        try:
            read = loader.get_single_data()
        finally:
            loader.dispose()
    except CardUnreadable:
        raise
    except (
        yaml.YAMLError,
        ValueError,
        ArithmeticError,
        LookupError,
        AttributeError,
        TypeError,
        RecursionError,
    ) as error:
        # PyYAML lets its own mistakes through where a tag and its text do not fit (`!!timestamp x`, `!!bool x`).
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 2}" if mark is not None else ""
        raise CardUnreadable(f"The front matter is not valid YAML{where}.") from error
    if read is None:
        read = {}
    if not isinstance(read, dict):
        raise CardUnreadable("The front matter must be a list of `name: value` lines.")
    return _plain_map(read, 0), body.strip()


def _plain_map(value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    return {_text(key): _plain(item, depth + 1) for key, item in value.items()}


def _text(value: Any) -> str:
    try:
        return str(value).replace("\x00", "")
    except ValueError as error:  # Python writes no numbers of thousands of digits
        raise CardUnreadable(TOO_LARGE) from error


def _plain(value: Any, depth: int) -> Any:
    """What JSON can hold: YAML also knows dates, sets, bytes and infinities."""
    if depth > DEPTH_LIMIT:
        raise CardUnreadable(f"The front matter is nested deeper than {DEPTH_LIMIT} levels.")
    if isinstance(value, Mapping):
        return _plain_map(value, depth)
    if isinstance(value, list | tuple | set):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and value.bit_length() > INTEGER_BITS:
        raise CardUnreadable(TOO_LARGE)
    return value if value is None or isinstance(value, bool | int | float) else _text(value)


def metadata_from_card(text: str) -> dict[str, Any]:
    """Return the metadata that a README's card gives: the Hub's fields, ours, and the text as description.

    Raises ``CardUnreadable``.
    """
    front, body = split_card(text)
    found = {key: front[key] for key in HUB_KEYS if front.get(key) not in (None, "", [], {})}
    if found.get("license") == "other" and isinstance(front.get("license_name"), str):
        found["license"] = front["license_name"]
    own = front.get(OWN_KEY)
    if isinstance(own, dict):
        # Written by a portal: the body only repeats these fields for people.
        found |= {key: own[key] for key in OWN_FIELDS if as_text(own.get(key))}
        return found
    found |= {key: front[key] for key in OWN_FIELDS if as_text(front.get(key))}
    if body:
        found.setdefault("description", body[:BODY_LIMIT])
    return found


def card_from_metadata(*, title: str, metadata: Mapping[str, Any], family: str = "") -> str:
    """Return the README of a model: front matter that the Hub's clients read, and a text for people."""
    front: dict[str, Any] = {
        key: metadata[key] for key in HUB_KEYS if metadata.get(key) not in (None, "", [], {}) and key != "license"
    }
    licence = as_text(metadata.get("license")) or as_text(metadata.get("licence"))
    if licence:
        front = {"license": licence, **front}
    if family:
        front["model_family"] = family
    own = {key: as_text(metadata.get(key)) for key in OWN_FIELDS if as_text(metadata.get(key))}
    if own:
        front[OWN_KEY] = own
    lines = [f"# {title}"]
    for key in OWN_FIELDS:
        if key in own:
            lines += ["", f"## {key.replace('_', ' ').capitalize()}", "", own[key]]
    if licence:
        lines += ["", "## Licence", "", licence]
    # `default_flow_style=False` and sorted off: the order above is the one people expect.
    head = yaml.safe_dump(front, allow_unicode=True, sort_keys=False, width=1_000) if front else ""
    return f"---\n{head}---\n\n" + "\n".join(lines) + "\n"
