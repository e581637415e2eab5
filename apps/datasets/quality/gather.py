"""One pass over the rows that learns everything the statistics and the quality score ask for.

Frames of bounded size stream past; the next one is read while one is worked on. What is kept is bounded by the rows
file's groups and by ``memory`` (hashes of rows, numbers of columns), not by the number of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from apps.datasets.quality.sketches import Distinct, Duplicates, Frequent, Lengths, Numbers, RowList
from apps.datasets.reading.rows import RowsFile, physical
from apps.datasets.types import REQUIRED_COLUMNS, Column, DatasetType

MAX_COLUMNS = 200
DEFAULT_MEMORY = 1 << 30
FREQUENT_LENGTH = 80
FRAME_ROWS = 65_536
_SAMPLE = 4_096
_LEAST_NUMBERS = 50_000
_MIX = np.uint64(0x9E3779B97F4A7C15)
_CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
_BROKEN = r"\x{FFFD}|Ã[\x{80}-\x{BF}]|â€[\x{2122}\x{153}\x{9d}\x{a6}œ™“”]"
_MARKUP = r"(?i)</?(?:p|div|span|br|a|b|i|td|tr|table|script|style|html|body|li|ul|font)(?:\s[^<>]{0,500})?/?>"
BLEMISHES = {"broken characters": _BROKEN, "control characters": _CONTROL, "markup": _MARKUP}
# Markup by its first characters only, so that looking for all three at once stays fast.
_SCREEN = rf"{_CONTROL}|{_BROKEN}|</?[A-Za-z]"
_PAIRS = (("instruction", "response"), ("prompt", "completion"), ("question", "answer"), ("input", "reference"))

Mask = npt.NDArray[np.bool_]


def is_numeric(column: Column) -> bool:
    """Whether the values of a column are numbers."""
    return column.kind in {"integer", "number"}


def required_columns(rows: RowsFile, dataset_type: str) -> tuple[int, ...]:
    """Positions of the required columns that these rows have."""
    names = rows.names
    for way in REQUIRED_COLUMNS[dataset_type]:
        if set(way) <= set(names):
            return tuple(names.index(name) for name in way)
    return ()


@dataclass(slots=True)
class ColumnFacts:
    """What was learned about one column."""

    index: int
    column: Column
    numbers: Numbers
    nulls: int = 0
    missing: int = 0
    distinct: Distinct = field(default_factory=Distinct)
    lengths: Lengths = field(default_factory=Lengths)
    frequent: Frequent = field(default_factory=Frequent)
    # A column of mixed kinds: whether most of its values are texts; None for other columns.
    mostly_texts: bool | None = None

    @property
    def numeric(self) -> bool:
        """Whether numbers are measured, not lengths."""
        return is_numeric(self.column)


@dataclass(slots=True)
class Facts:
    """What was learned about the rows."""

    rows: RowsFile
    total: int
    dataset_type: str
    required: tuple[int, ...]
    columns: list[ColumnFacts]
    lacking: RowList = field(default_factory=RowList)
    incomplete: RowList = field(default_factory=RowList)
    repeated: RowList = field(default_factory=RowList)
    blemished: RowList = field(default_factory=RowList)
    blemishes: dict[str, RowList] = field(default_factory=lambda: {kind: RowList() for kind in BLEMISHES})
    padded: RowList = field(default_factory=RowList)
    # What a row breaks, in words → rows.
    breaches: dict[str, RowList] = field(default_factory=dict)
    non_compliant: RowList = field(default_factory=RowList)


def gather(
    rows: RowsFile,
    dataset_type: str,
    *,
    memory: int = DEFAULT_MEMORY,
    folder: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Facts:
    """Read all rows once.

    Args:
        memory: bytes that hashes and numbers may take; beyond that hashes go to files in ``folder`` and numbers are
            sampled.
        progress: called with rows done and in all.
    """
    total = rows.count()
    capacity = max(_LEAST_NUMBERS, memory // 4 // 8 // max(1, sum(map(is_numeric, rows.columns))))
    columns = [ColumnFacts(index, column, Numbers(capacity)) for index, column in enumerate(rows.columns)]
    for index in [index for index, column in enumerate(rows.columns) if column.kind == "mixed"]:
        columns[index].mostly_texts = _mostly_texts(rows, index)
    facts = Facts(rows, total, dataset_type, required_columns(rows, dataset_type), columns)
    duplicates = Duplicates(total, memory // 2, folder)
    asked = [expression for facts_of in columns for expression in _asked(facts_of)]
    for offset, frame in _ahead(rows.frames(FRAME_ROWS)):
        answers = frame.select(asked)
        hashes = np.zeros(frame.height, np.uint64)
        for column in columns:
            hashes = hashes * _MIX + answers[f"h{column.index}"].to_numpy()
        duplicates.add(offset, hashes)
        _Frame(facts, offset, frame, answers).learn()
        if progress:
            progress(offset + frame.height, total)
    facts.repeated = duplicates.result()
    return facts


def _mostly_texts(rows: RowsFile, index: int) -> bool:
    texts = values = 0
    for _offset, frame in rows.frames(FRAME_ROWS, [physical(index)]):
        cells = frame[physical(index)]
        texts += int(cells.str.starts_with('"').sum())
        values += cells.len() - cells.null_count()
    return texts * 2 >= values


def _ahead(frames: Iterator[tuple[int, pl.DataFrame]]) -> Iterator[tuple[int, pl.DataFrame]]:
    """The same frames, the next one read while one is worked on."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, frames, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, frames, None)
            yield item


def _asked(facts: ColumnFacts) -> Iterator[pl.Expr]:
    """What the engine works out for each cell of a column; it does columns side by side."""
    index, kind = facts.index, facts.column.kind
    cell = pl.col(physical(index))
    yield cell.hash(seed=17).alias(f"h{index}")
    yield cell.is_null().alias(f"n{index}")
    if facts.numeric:
        yield cell.cast(pl.Float64, strict=False).alias(f"v{index}")
        return
    yield cell.str.len_chars().alias(f"l{index}")
    yield cell.str.strip_chars().str.len_bytes().alias(f"s{index}")
    if kind in {"boolean", "null"}:
        return
    yield cell.str.contains(_SCREEN).fill_null(False).alias(f"b{index}")
    if facts.column.stored == "text":
        yield cell.str.len_bytes().alias(f"w{index}")


class _Frame:
    """One frame and what it adds to the facts."""

    def __init__(self, facts: Facts, offset: int, frame: pl.DataFrame, answers: pl.DataFrame) -> None:
        self.facts, self.offset, self.frame, self.answers = facts, offset, frame, answers
        self.stripped: dict[int, npt.NDArray[Any]] = {}
        self.blank: dict[int, Mask] = {}

    def learn(self) -> None:
        """Everything."""
        for column in self.facts.columns:
            self._column(column)
        self._missing()
        self._blemishes()
        self._compliance()

    def _column(self, facts: ColumnFacts) -> None:
        index = facts.index
        null = self.answers[f"n{index}"].to_numpy()
        nulls = int(np.count_nonzero(null))
        facts.nulls += nulls
        there = ~null
        if facts.numeric:
            self.blank[index] = null
        else:
            size = self.answers[f"s{index}"].fill_null(0).to_numpy()
            self.stripped[index] = size
            self.blank[index] = size == 0
        facts.missing += int(np.count_nonzero(self.blank[index]))
        if index >= MAX_COLUMNS and not facts.numeric and index not in self.facts.required:
            return
        hashes = self.answers[f"h{index}"].to_numpy()
        hashes = hashes if not nulls else hashes[there]
        facts.distinct.add(hashes)
        if facts.numeric:
            facts.numbers.add(self.answers[f"v{index}"].drop_nulls().to_numpy())
        else:
            facts.lengths.add(self.answers[f"l{index}"].drop_nulls().to_numpy())
        sample = hashes[:_SAMPLE]
        # Where nearly everything is different, nothing is frequent.
        if len(np.unique(sample)) <= 0.98 * len(sample) or len(hashes) <= _SAMPLE:
            cells = self.frame[physical(index)].drop_nulls()
            facts.frequent.add(cells.filter(cells.str.len_chars() <= FREQUENT_LENGTH))

    def _any(self, masks: Iterator[Mask]) -> Mask:
        hits = np.zeros(self.frame.height, bool)
        for mask in masks:
            hits |= mask
        return hits

    def _missing(self) -> None:
        self.facts.lacking.add(self.offset, self._any(self.blank[index] for index in self.facts.required))
        self.facts.incomplete.add(self.offset, self._any(iter(self.blank.values())))

    def _blemishes(self) -> None:
        names = self.answers.columns
        suspects = {int(name[1:]): self.answers[name].to_numpy() for name in names if name[0] == "b"}
        rows = np.flatnonzero(self._any(iter(suspects.values())))
        if len(rows):
            near = self.frame.select([physical(index) for index in suspects])[rows]
            hits = np.zeros(self.frame.height, bool)
            for kind, pattern in BLEMISHES.items():
                found = near.select(pl.any_horizontal(pl.all().str.contains(pattern).fill_null(False)).alias("hit"))
                mask = np.zeros(self.frame.height, bool)
                mask[rows] = found["hit"].to_numpy()
                self.facts.blemishes[kind].add(self.offset, mask)
                hits |= mask
            self.facts.blemished.add(self.offset, hits)
        wide = (int(name[1:]) for name in names if name[0] == "w")
        self.facts.padded.add(
            self.offset,
            self._any(self.answers[f"w{index}"].fill_null(0).to_numpy() != self.stripped[index] for index in wide),
        )

    def _compliance(self) -> None:
        facts, broken = self.facts, np.zeros(self.frame.height, bool)
        names = {facts.rows.columns[index].name: index for index in facts.required}
        found: list[tuple[str, Mask]] = [(f"“{name}” is empty", self.blank[index]) for name, index in names.items()]
        if facts.dataset_type == DatasetType.RLHF_PAIR and {"chosen", "rejected"} <= set(names):
            same = self._same(names["chosen"], names["rejected"])
            found.append(("“chosen” and “rejected” are the same", same))
        for asked, answered in _PAIRS:
            if asked in names and answered in names:
                found.append((f"“{answered}” repeats “{asked}”", self._same(names[asked], names[answered])))
        for column in facts.columns:
            if column.mostly_texts is not None:
                texts = self.frame[physical(column.index)].str.starts_with('"')
                odd = (~texts if column.mostly_texts else texts).fill_null(False).to_numpy()
                found.append((f"“{column.column.name}” holds texts and other values", odd))
        for text, mask in found:
            if mask.any():
                facts.breaches.setdefault(text, RowList()).add(self.offset, mask)
                broken |= mask
        facts.non_compliant.add(self.offset, broken)

    def _same(self, one: int, other: int) -> Mask:
        """Rows in which two columns hold the same text, white space around it aside; both missing is not the same."""
        if one not in self.stripped or other not in self.stripped:
            null = self.blank[one] | self.blank[other]
            equal = (self.frame[physical(one)] == self.frame[physical(other)]).fill_null(False).to_numpy()
            return np.asarray(equal & ~null)
        hits = self.stripped[one] == self.stripped[other]
        rows = np.flatnonzero(hits)
        texts = [self.frame[physical(index)].gather(rows).str.strip_chars() for index in (one, other)]
        hits[rows] = (texts[0] == texts[1]).fill_null(False).to_numpy()
        return np.asarray(hits)


def rows_where(facts: Facts, conditions: dict[int, pl.Expr]) -> tuple[RowList, dict[int, int]]:
    """A second look, at these columns only: rows in which any condition holds, and how often each does."""
    hits, counts = RowList(), dict.fromkeys(conditions, 0)
    columns = [physical(index) for index in conditions]
    asked = [condition.fill_null(False).alias(str(index)) for index, condition in conditions.items()]
    for offset, frame in _ahead(facts.rows.frames(FRAME_ROWS, columns)):
        answers = frame.select(asked)
        whole = np.zeros(frame.height, bool)
        for index in conditions:
            mask = answers[str(index)].to_numpy()
            counts[index] += int(np.count_nonzero(mask))
            whole |= mask
        hits.add(offset, whole)
    return hits, counts
