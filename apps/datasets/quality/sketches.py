"""What is remembered of a column while its rows stream past: bounded, whatever the number of rows.

Exact where that is cheap (counts, lengths, moments, the first rows of each kind); estimated beyond a bound where it
must be (distinct values, the middle of very many numbers), and then said so.
"""

from __future__ import annotations

import heapq
import math
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

SHOWN_ROWS = 20
_DISTINCT = 8_192
_DENSE = 65_536
_FREQUENT = 100_000
_SPAN = 2.0**64

Floats = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]


@dataclass(slots=True)
class RowList:
    """How many rows, and the numbers (from 1) of the first ones."""

    count: int = 0
    first: list[int] = field(default_factory=list)

    def add(self, offset: int, hits: npt.NDArray[np.bool_]) -> None:
        """Rows of a frame that begins at ``offset``, as a mask."""
        count = int(np.count_nonzero(hits))
        if count:
            self.count += count
            missing = SHOWN_ROWS - len(self.first)
            if missing > 0:
                self.first += (np.flatnonzero(hits)[:missing] + offset + 1).tolist()


@dataclass(slots=True)
class Distinct:
    """How many different values: exact up to 8,192, beyond that from the smallest hashes (k minimum values, Bar-Yossef
    and others 2002; standard error about 1 %)."""

    smallest: Hashes = field(default_factory=lambda: np.empty(0, np.uint64))

    def add(self, hashes: Hashes) -> None:
        """More values."""
        if len(self.smallest) == _DISTINCT:
            hashes = hashes[hashes < self.smallest[-1]]
        if len(hashes):
            self.smallest = np.union1d(self.smallest, hashes)[:_DISTINCT]

    def estimate(self) -> int:
        """The number."""
        if len(self.smallest) < _DISTINCT:
            return len(self.smallest)
        return round((_DISTINCT - 1) * _SPAN / float(self.smallest[-1]))


@dataclass(slots=True)
class Lengths:
    """How often each length occurs; exact."""

    dense: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))
    long: dict[int, int] = field(default_factory=dict)

    def add(self, lengths: npt.NDArray[Any]) -> None:
        """Lengths of more texts, none missing."""
        short = lengths
        if len(lengths) and int(lengths.max()) >= _DENSE:
            for length, count in zip(*np.unique(lengths[lengths >= _DENSE], return_counts=True), strict=True):
                self.long[int(length)] = self.long.get(int(length), 0) + int(count)
            short = lengths[lengths < _DENSE]
        counted = np.bincount(short)
        if len(counted) > len(self.dense):
            self.dense = np.pad(self.dense, (0, len(counted) - len(self.dense)))
        self.dense[: len(counted)] += counted

    def table(self) -> tuple[Floats, npt.NDArray[np.int64]]:
        """Lengths in order, and how often each occurs."""
        there = np.flatnonzero(self.dense)
        long = sorted(self.long)
        values = np.concatenate([there, np.array(long, np.int64)])
        counts = np.concatenate([self.dense[there], np.array([self.long[length] for length in long], np.int64)])
        return values.astype(np.float64), counts.astype(np.int64)


@dataclass(slots=True)
class Numbers:
    """Moments of numbers, exact, and the numbers themselves: all up to ``capacity``, beyond that every second, fourth
    … in order."""

    capacity: int
    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    stride: int = 1
    kept: list[Floats] = field(default_factory=list)
    held: int = 0
    skip: int = 0

    def add(self, values: Floats) -> None:
        """More numbers, none missing."""
        if not len(values):
            return
        with np.errstate(all="ignore"):
            mean, squares = float(values.mean()), float(((values - values.mean()) ** 2).sum())
            # Chan, Golub, LeVeque 1979: moments of two parts together.
            whole = self.count + len(values)
            delta = mean - self.mean
            self.squares += squares + delta * delta * self.count * len(values) / whole
            self.mean += delta * len(values) / whole
        self.count = whole
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        some = values[self.skip :: self.stride].copy()
        self.skip = (self.skip - len(values)) % self.stride
        self.kept.append(some)
        self.held += len(some)
        while self.held > self.capacity:
            self.kept = [np.concatenate(self.kept)[::2].copy()]
            self.held = len(self.kept[0])
            self.stride *= 2
            self.skip = -self.count % self.stride

    @property
    def deviation(self) -> float | None:
        """Standard deviation of a sample (n - 1)."""
        return math.sqrt(self.squares / (self.count - 1)) if self.count > 1 and self.squares >= 0 else None

    def values(self) -> Floats:
        """What was kept."""
        return np.concatenate(self.kept) if self.kept else np.empty(0)


@dataclass(slots=True)
class Frequent:
    """The frequent short values; exact while there are at most 100,000 different ones."""

    table: pl.DataFrame | None = None
    pruned: bool = False

    def add(self, texts: pl.Series) -> None:
        """More values, none missing."""
        counted = pl.DataFrame({"value": texts}).group_by("value").len()
        if self.table is not None:
            counted = pl.concat([self.table, counted]).group_by("value").agg(pl.col("len").sum())
        if counted.height > _FREQUENT:
            counted, self.pruned = counted.sort("len", descending=True).head(_FREQUENT // 2), True
        self.table = counted

    def top(self, count: int, least: int = 2) -> list[tuple[str, int]]:
        """The most frequent ones that occur ``least`` times."""
        if self.table is None:
            return []
        ordered = self.table.filter(pl.col("len") >= least).sort(["len", "value"], descending=[True, False])
        return [(str(value), int(times)) for value, times in ordered.head(count).iter_rows()]

    def all(self) -> list[tuple[str, int]]:
        """All of them, the rarest first."""
        if self.table is None:
            return []
        return [(str(value), int(times)) for value, times in self.table.sort(["len", "value"]).iter_rows()]


class Duplicates:
    """Which rows repeat an earlier one, by hashes of eight bytes; beyond ``memory`` bytes they wait in files, a part of
    the range of hashes in each."""

    def __init__(self, rows: int, memory: int, folder: Path | None = None) -> None:
        # Hash, place and the engine's table of them.
        self.parts = max(1, math.ceil(rows * 40 / max(1, memory)))
        self.held: list[Hashes] = []
        self.folder: tempfile.TemporaryDirectory[str] | None = None
        if self.parts > 1:
            # A power of two, so that the first bits tell the part.
            self.parts = min(1 << (self.parts - 1).bit_length(), 4_096)
            self.folder = tempfile.TemporaryDirectory(dir=folder, prefix="hashes-")

    def add(self, offset: int, hashes: Hashes) -> None:
        """The rows of a frame."""
        if self.folder is None:
            self.held.append(hashes)
            return
        numbers = np.arange(offset + 1, offset + 1 + len(hashes), dtype=np.uint64)
        part = (hashes >> np.uint64(64 - self.parts.bit_length() + 1)).astype(np.int64)
        order = np.argsort(part, kind="stable")
        edges = np.searchsorted(part[order], np.arange(self.parts + 1))
        pairs = np.stack([hashes, numbers], axis=1)[order]
        for number in range(self.parts):
            chunk = pairs[edges[number] : edges[number + 1]]
            if len(chunk):
                with (Path(self.folder.name) / str(number)).open("ab") as handle:
                    chunk.tofile(handle)

    def result(self) -> RowList:
        """How many rows repeat an earlier one, and the first of them."""
        if self.folder is None:
            hashes = np.concatenate(self.held) if self.held else np.empty(0, np.uint64)
            found = RowList()
            found.add(0, _repeated(hashes))
            return found
        count = 0
        first: list[int] = []
        try:
            for file in Path(self.folder.name).iterdir():
                pairs = np.fromfile(file, dtype=np.uint64).reshape(-1, 2)
                again = pairs[_repeated(np.ascontiguousarray(pairs[:, 0])), 1]
                count += len(again)
                first = heapq.nsmallest(SHOWN_ROWS, [*first, *again[:SHOWN_ROWS].tolist()])
        finally:
            self.folder.cleanup()
        return RowList(count, [int(number) for number in first])


def _repeated(hashes: Hashes) -> npt.NDArray[np.bool_]:
    return ~pl.Series(hashes).is_first_distinct().to_numpy()
