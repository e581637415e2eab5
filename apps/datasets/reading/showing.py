"""Rows for showing to people: long cells are cut while they are still Arrow, so that a page holds bounded memory
whatever the cells hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from apps.datasets.reading.base import decode, encode
from apps.datasets.types import Column

# Characters of one cell; of nested values, of their JSON.
MAX_TEXT = 20_000
# Bytes of all cells of one page. What Python makes of it is at most four times as much (one character of four bytes
# widens a whole text), besides some eighty bytes a cell.
PAGE_BYTES = 16 * 1024 * 1024
# Python spends a list, a dictionary or a number on each of these, however few characters they take.
_MARKS = r"[,\[{]"
_MARK_BYTES = 64
# Below this a page is small however many cells it has, and a cell tells nothing any more.
_LEAST = 20
# An escape in JSON text is at most six characters; a cut may fall into one.
_ESCAPE = 6
_SEED = 29


class CutText(str):
    """The beginning of a cell with its whole length behind; ``digest`` stands for the whole cell."""

    digest: int


def same_cell(one: Any, other: Any, *, one_json: bool, other_json: bool) -> bool:
    """Whether two shown cells were the same before they were cut; ``…_json``: how their columns are stored."""
    if isinstance(one, CutText) or isinstance(other, CutText):
        return _digest_of(one, as_json=one_json) == _digest_of(other, as_json=other_json)
    return bool(one == other)


def _digest_of(value: Any, *, as_json: bool) -> int | None:
    if value is None:
        return None
    if isinstance(value, CutText):
        return value.digest
    return int(_digests(pa.array([encode(value, as_json=as_json)], pa.large_string()))[0].as_py())


def _digests(cells: pa.Array) -> pa.Array:
    return pl.Series(cells).hash(_SEED).to_arrow()


class _Cells(NamedTuple):
    """Cells of one column."""

    cut: pa.Array
    lengths: pa.Array
    digests: pa.Array


class Shown:
    """Collects rows of the rows file for one page.

    Every cell keeps its first :data:`MAX_TEXT` characters. When all together are more than ``most`` bytes, all cells
    of the page are cut at half of that, a quarter, and so on. A cut cell is text that ends in its whole length.
    """

    def __init__(self, columns: Sequence[Column], most: int = PAGE_BYTES) -> None:
        self.columns, self.most = list(columns), most
        self.cap = MAX_TEXT
        self.held = 0
        # Per part and column: what is left of the cells, how many characters they have, and their digests.
        self._parts: list[list[_Cells]] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Take the cells of some rows; of the batch itself nothing is kept."""
        part = [_Cells(self._cut(cells), pc.utf8_length(cells), _digests(cells)) for cells in batch.columns]
        self._parts.append(part)
        self.held += self._weight(part)
        while self.held > self.most and self.cap > _LEAST:
            self.cap //= 2
            self._parts = [
                [_Cells(self._cut(one.cut), one.lengths, one.digests) for one in part] for part in self._parts
            ]
            self.held = sum(self._weight(one) for one in self._parts)

    def rows(self) -> list[dict[str, Any]]:
        """The rows under their uploaded names, in the order they were added; call it once, nothing is kept."""
        names = [column.name for column in self.columns]
        shown: list[dict[str, Any]] = []
        parts, self._parts = self._parts, []
        while parts:
            values = [
                self._values(cells, as_json=column.stored == "json")
                for column, cells in zip(self.columns, parts.pop(0), strict=True)
            ]
            shown += [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
        return shown

    def _cut(self, cells: pa.Array) -> pa.Array:
        # A copy, unlike a slice or a view: nothing keeps the long texts alive.
        return pc.utf8_slice_codeunits(cells, 0, self.cap)

    def _weight(self, part: Sequence[_Cells]) -> int:
        """About the bytes that the cells of a part will take."""
        weight = 0
        for column, cells in zip(self.columns, part, strict=True):
            weight += pc.sum(pc.binary_length(cells.cut)).as_py() or 0
            if column.stored == "json":
                # What is cut is shown as text.
                whole = cells.cut.filter(pc.less_equal(cells.lengths, self.cap))
                weight += _MARK_BYTES * (pc.sum(pc.count_substring_regex(whole, _MARKS)).as_py() or 0)
        return weight

    def _values(self, cells: _Cells, *, as_json: bool) -> list[Any]:
        values = []
        for place, (cell, length) in enumerate(zip(cells.cut.to_pylist(), cells.lengths.to_pylist(), strict=True)):
            if cell is not None and length > self.cap:
                text = CutText(_marked(cell, length, as_json=as_json))
                text.digest = cells.digests[place].as_py()
                values.append(text)
            else:
                values.append(decode(cell, as_json=as_json))
        return values


def _marked(began: str, length: int, *, as_json: bool) -> str:
    if not as_json:
        return f"{began}… ({length:,} characters)"
    if began.startswith('"'):
        return f"{_text_of(began)}… ({length - 2:,} characters)"
    return f"{began}… ({length:,} characters of JSON)"


def _text_of(began: str) -> str:
    """The text whose JSON begins so."""
    for end in range(len(began), max(0, len(began) - _ESCAPE), -1):
        try:
            return str(orjson.loads(f'{began[:end]}"'))
        except orjson.JSONDecodeError:
            continue
    return began
