"""Rows as pairs of hashes, spread over partitions on disk, so that any number of rows fits into little memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from apps.datasets.reading.rows import RowsFile, physical

# Row number, hash of the key (or of the row), hash of the row: 20 bytes a row.
RECORD = np.dtype([("n", "<u4"), ("key", "<u8"), ("row", "<u8")])
MAX_ROWS = 2**32 - 1
_RAW_KINDS = frozenset({"integer", "number", "boolean", "null"})
_FRAME_ROWS = 65_536
# A join holds its input, a hash table over it and its output; measured, with room to spare.
_JOIN_FACTOR = 8
MAX_PARTITIONS = 200


def partitions_for(rows: int, memory: int) -> int:
    """How many partitions keep the joins of ``rows`` rows (both sides) within ``memory`` bytes."""
    needed = rows * RECORD.itemsize * _JOIN_FACTOR
    return max(1, min(MAX_PARTITIONS, -(-needed // max(1, memory))))


@dataclass(frozen=True, slots=True)
class Spread:
    """One side's rows in partition files."""

    paths: tuple[Path, ...]
    empty_keys: int

    def load(self, partition: int) -> npt.NDArray[np.void]:
        """The records of one partition, in order of their rows."""
        return np.fromfile(self.paths[partition], dtype=RECORD)


def spread_rows(
    rows: RowsFile,
    other: RowsFile,
    key: Sequence[str],
    shared: Sequence[str],
    folder: Path,
    partitions: int,
    progress: Callable[[int], None] | None = None,
) -> Spread:
    """Hash every row of ``rows`` and write the records to ``partitions`` files in ``folder``.

    Equal keys (without key: equal rows) of both sides land in the partition of the same number. ``progress`` is
    called with the rows done.
    """
    row_hash = pl.struct([comparable(rows, other, name) for name in shared] or [pl.lit("").alias("nothing")]).hash(7)
    asked = [row_hash.alias("row")]
    if key:
        asked.append(pl.struct([comparable(rows, other, name) for name in key]).hash(11).alias("key"))
        asked.append(pl.any_horizontal([pl.col(physical(rows.index(name))).is_null() for name in key]).alias("empty"))
    needed = sorted({rows.index(name) for name in (*shared, *key)})
    folder.mkdir(parents=True, exist_ok=True)
    paths = tuple(folder / f"{number}.bin" for number in range(partitions))
    empty = 0
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("wb")) for path in paths]
        for offset, frame in _frames(rows, needed):
            hashed = frame.select(asked) if needed else pl.DataFrame({"row": np.zeros(frame.height, "<u8")})
            records = np.empty(frame.height, RECORD)
            records["n"] = np.arange(offset, offset + frame.height, dtype=np.uint32)
            records["row"] = _spread_evenly(hashed["row"].to_numpy(), frame.height)
            records["key"] = _spread_evenly(hashed["key"].to_numpy(), frame.height) if key else records["row"]
            if key:
                empty += int(hashed["empty"].sum())
            place = (records["key"] % np.uint64(partitions)).astype(np.int64)
            order = np.argsort(place, kind="stable")
            bounds = np.searchsorted(place[order], np.arange(partitions + 1))
            for number, file in enumerate(files):
                part = order[bounds[number] : bounds[number + 1]]
                if part.size:
                    file.write(records[part].tobytes())
            if progress:
                progress(offset + frame.height)
    return Spread(paths, empty)


def _spread_evenly(hashes: npt.NDArray[np.uint64], height: int) -> npt.NDArray[np.uint64]:
    """A constant expression gives one value for all rows."""
    return hashes if hashes.size == height else np.repeat(hashes, height)


def _frames(rows: RowsFile, needed: Sequence[int]) -> Iterator[tuple[int, pl.DataFrame]]:
    """The needed columns in order, a frame at a time."""
    yield from rows.frames(_FRAME_ROWS, [physical(index) for index in needed])


def comparable(rows: RowsFile, other: RowsFile, name: str) -> pl.Expr:
    """A column in a form that compares between the versions: text against JSON is text as JSON."""
    index = rows.index(name)
    mine, theirs = rows.columns[index], other.columns[other.index(name)]
    cell = pl.col(physical(index)).alias(f"k{name}")
    if mine.stored == "text" and theirs.stored == "json" and mine.kind not in _RAW_KINDS:
        return cell.map_batches(_as_json, return_dtype=pl.String)
    return cell


def _as_json(cells: pl.Series) -> pl.Series:
    encoded = [None if cell is None else orjson.dumps(cell).decode() for cell in cells.to_list()]
    return pl.Series(cells.name, encoded, dtype=pl.String)
