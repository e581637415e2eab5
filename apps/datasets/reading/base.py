"""What every reader hands out: batches of columns, cells kept as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

# Kinds of JSON values, by the Python type that carries them.
KIND_OF: dict[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "list",
    dict: "object",
}
Cell = Any


@dataclass(slots=True)
class Batch:
    """Some rows as columns of values (``None`` = missing), all lists of the same length."""

    columns: dict[str, list[Cell]]
    rows: int


@dataclass(slots=True)
class FileInfo:
    """What was learned about one file while reading it."""

    format: str
    encoding: str = ""
    delimiter: str = ""
    rows: int = 0
    kinds: dict[str, set[str]] = field(default_factory=dict)
    nulls: dict[str, int] = field(default_factory=dict)
    largest_cell: int = 0


class Reader(Protocol):
    """Reads one file. ``batches`` may be called twice: once to check, once to write; only the first one
    logs."""

    info: FileInfo

    @property
    def position(self) -> int:
        """Bytes of the file that ``batches`` has read, for progress."""
        ...

    def batches(self) -> Iterator[Batch]:
        """Hand out the rows in order; problems go to the log given at construction."""
        ...


def encode(value: Cell, *, as_json: bool) -> str | None:
    """A cell as it is kept in the rows file: text as it is, everything else (or all, if ``as_json``) as JSON
    text."""
    if value is None:
        return None
    if not as_json:
        return str(value)
    return orjson.dumps(value).decode()


def decode(text: str | None, *, as_json: bool) -> Cell:
    """The value that :func:`encode` took."""
    if text is None or not as_json:
        return text
    return orjson.loads(text)
