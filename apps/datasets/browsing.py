"""Searching and sorting the rows of a dataset, a frame at a time: which rows to show, without holding them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
import polars as pl

from apps.datasets.reading.rows import RowsFile, physical
from apps.datasets.types import Column

# Sorting holds the keys of all rows up to the page; nobody pages this far, and a search is the better way there.
MAX_SORTED = 100_000
MAX_QUERY = 200
KEPT_MATCHES = 10_000
_FRAME_ROWS = 65_536
_SORT_LENGTH = 200
_NUMBERS = frozenset({"integer", "number"})


class BrowseRefused(ValueError):
    """What was asked for cannot be shown; ``field`` names the parameter and the message the remedy."""

    def __init__(self, field: str, code: str, message: str) -> None:
        super().__init__(message)
        self.field, self.code, self.message = field, code, message


@dataclass(frozen=True, slots=True)
class Browse:
    """What is asked for: text to find (in one column, or in any), and the column to sort by."""

    query: str = ""
    column: str = ""
    order: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether the rows are wanted as they stand."""
        return not self.query and not self.order

    def sorted_by(self, columns: Sequence[Column]) -> tuple[int, bool] | None:
        """(position, descending) of the column to sort by. A name is taken before it is read as “-name”."""
        names = [column.name for column in columns]
        if not self.order:
            return None
        if self.order in names:
            return names.index(self.order), False
        if self.order[0] == "-" and self.order[1:] in names:
            return names.index(self.order[1:]), True
        raise BrowseRefused("orderBy", "unknown_column", f"There is no column {self.order[:60]!r}. {_offer(names)}")

    def searched(self, columns: Sequence[Column]) -> list[int]:
        """Positions of the columns to look into."""
        names = [column.name for column in columns]
        if self.column and self.column not in names:
            raise BrowseRefused("column", "unknown_column", f"There is no column {self.column[:60]!r}. {_offer(names)}")
        if len(self.query) > MAX_QUERY:
            raise BrowseRefused("q", "too_long", f"Search for at most {MAX_QUERY} characters.")
        if not self.query:
            return []
        return [names.index(self.column)] if self.column else list(range(len(names)))


def _offer(names: Sequence[str]) -> str:
    shown = ", ".join(name[:40] for name in names[:12])
    return f"Use one of {shown}{' …' if len(names) > 12 else ''}."


@dataclass(frozen=True, slots=True)
class Found:
    """How many rows match, and the numbers (from 0) of some of them in the order asked for."""

    total: int
    numbers: list[int]


def browse(rows: RowsFile, asked: Browse, limit: int, offset: int) -> Found:
    """The rows ``offset`` to ``offset + limit`` of what was asked for.

    Reads only the columns that are searched or sorted by. Text is found wherever it stands, in any case. Numbers are
    sorted as numbers, text without regard to case, missing values come last, equal ones stay in order. Raises
    :class:`BrowseRefused`.
    """
    order = asked.sorted_by(rows.columns)
    searched = asked.searched(rows.columns)
    if order is not None and offset + limit > MAX_SORTED:
        raise BrowseRefused(
            "offset", "too_deep", f"Sorted rows are shown up to {MAX_SORTED:,}. Search, or sort the other way round."
        )
    condition = _condition(rows, searched, asked.query) if searched else None
    needed = sorted({*searched, *([order[0]] if order else [])})
    total = 0
    numbers: list[int] = []
    best: pl.DataFrame | None = None
    for start, frame in rows.frames(_FRAME_ROWS, [physical(index) for index in needed]):
        part = frame.with_row_index("n", offset=start)
        if condition is not None:
            part = part.filter(condition)
        before, total = total, total + part.height
        if order is None:
            numbers += part["n"].slice(max(0, offset - before), max(0, offset + limit - max(before, offset))).to_list()
            continue
        keyed = part.select(_sort_key(rows.columns[order[0]], order[0]).alias("key"), "n")
        together = keyed if best is None else pl.concat([best, keyed])
        best = together.sort(["key", "n"], descending=[order[1], False], nulls_last=True).head(offset + limit)
    if best is not None:
        numbers = best["n"].slice(offset, limit).to_list()
    return Found(total, numbers)


def _condition(rows: RowsFile, searched: Sequence[int], query: str) -> pl.Expr:
    plain = f"(?i){pl.escape_regex(query)}"
    # JSON text spells quotes, line ends and backslashes otherwise than a person who looks for them.
    spelt = f"(?i){pl.escape_regex(orjson.dumps(query).decode()[1:-1])}"
    return pl.any_horizontal(
        [
            pl.col(physical(index)).str.contains(spelt if rows.columns[index].stored == "json" else plain)
            for index in searched
        ]
    ).fill_null(False)


def _sort_key(column: Column, index: int) -> pl.Expr:
    cell = pl.col(physical(index))
    if column.kind in _NUMBERS:
        return cell.cast(pl.Float64, strict=False).fill_nan(None)
    return cell.str.slice(0, _SORT_LENGTH).str.to_lowercase()
