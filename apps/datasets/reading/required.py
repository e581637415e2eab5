"""Required columns and row shapes by dataset type."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from apps.datasets.reading.base import KIND_OF
from apps.datasets.types import REQUIRED_COLUMNS, ROLES_IN_MESSAGES, DatasetType, required_columns_help

_TEXT = frozenset({"string"})
_LOOSE = frozenset({"string", "integer", "number", "boolean", "list"})
_NAMES = {
    "string": "text",
    "integer": "a number",
    "number": "a number",
    "boolean": "true or false",
    "list": "a list",
    "object": "an object",
}


def allowed_kinds(dataset_type: str, column: str) -> frozenset[str]:
    """Kinds of values that a required column may hold (missing values are a matter of quality, not of
    form)."""
    if column == "messages":
        return frozenset({"list"})
    if dataset_type == DatasetType.BENCHMARK:
        return _LOOSE
    if column in {"context", "chosen", "rejected"}:
        return _TEXT | {"list"}
    return _TEXT


class RowRules:
    """Checks that rows have what their dataset type needs; the first file (or row) decides between
    spellings."""

    def __init__(self, dataset_type: str) -> None:
        self.dataset_type = dataset_type
        self.required: tuple[str, ...] | None = None

    def decide(self, names: Collection[str]) -> bool:
        """Whether ``names`` hold the required columns; remembers which spelling is used."""
        if self.required is not None:
            return all(name in names for name in self.required)
        for way in REQUIRED_COLUMNS[self.dataset_type]:
            if all(name in names for name in way):
                self.required = way
                return True
        return False

    def explain(self, names: Iterable[str]) -> str:
        """Why ``names`` do not do, with near misses."""
        found = list(names)
        wanted = {column for way in REQUIRED_COLUMNS[self.dataset_type] for column in way}
        if self.required is not None:
            missing = [column for column in self.required if column not in found]
            text = "is missing " + ", ".join(f"“{column}”" for column in missing) + ", which the rows before have."
            return f"The row {text}"
        shown = ", ".join(f"“{name[:40]}”" for name in found[:12]) or "none"
        text = f"{required_columns_help(self.dataset_type)} Found: {shown}{' …' if len(found) > 12 else ''}."
        near = [name for name in found if name not in wanted and name.strip().lower() in wanted]
        if near:
            text += " Rename " + ", ".join(f"“{name}” to “{name.strip().lower()}”" for name in near) + "."
        return text

    def wrong_values(self, column: str, cells: Sequence[Any]) -> Iterator[tuple[int, str, str]]:
        """(place, code, message) of values whose kind a required column cannot hold."""
        allowed = allowed_kinds(self.dataset_type, column)
        kinds = {KIND_OF.get(kind, "object") for kind in set(map(type, cells)) if kind is not type(None)}
        if kinds <= allowed and column != "messages":
            return
        wanted = "a list of messages" if column == "messages" else "text"
        for place, value in enumerate(cells):
            if value is None:
                continue
            kind = KIND_OF.get(type(value), "object")
            if kind not in allowed:
                yield place, "wrong_type", f"“{column}” is {_NAMES[kind]}; it must be {wanted}."
            elif column == "messages":
                fault = messages_fault(value)
                if fault:
                    yield place, "bad_messages", fault


def messages_fault(value: object) -> str:
    """What is wrong with a chat, or an empty string."""
    if not isinstance(value, list) or not value:
        return "“messages” must be a list with at least one message."
    answered = False
    for position, message in enumerate(value, start=1):
        if not isinstance(message, dict):
            return f"Message {position} must be an object with “role” and “content”."
        role, content = message.get("role"), message.get("content")
        if role not in ROLES_IN_MESSAGES:
            roles = ", ".join(sorted(ROLES_IN_MESSAGES))
            return f"Message {position} has the role {str(role)[:40]!r}; use one of {roles}."
        if content is not None and not isinstance(content, (str, list)):
            return f"The content of message {position} must be text."
        answered = answered or role == "assistant"
    return "" if answered else "“messages” holds no message of the assistant, so there is nothing to learn from."
