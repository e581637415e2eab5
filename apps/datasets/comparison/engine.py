"""Which rows differ: hash both sides to disk, then join partition by partition.

Memory is bounded by a setting, not by the rows: a partition of both sides is held at a time, and four bytes for every
row that differs. Time is one pass over each side and one over twenty bytes a row.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from apps.datasets.comparison.hashing import MAX_ROWS, Spread, partitions_for, spread_rows
from apps.datasets.reading.rows import RowsFile, physical
from apps.datasets.types import INPUT_COLUMNS

Numbers = npt.NDArray[np.uint32]
KEY_NAMES = ("id", "uuid", "_id", "key", "row_id", "sample_id")
DEFAULT_MEMORY = 256 * 1024 * 1024
_SAMPLE = 20_000


class KeyUnusable(ValueError):
    """The asked key does not identify rows; the message says why."""


@dataclass(frozen=True, slots=True)
class Differences:
    """The numbers (from 0) of the rows that differ, each kind in order.

    ``modified`` has two columns: the row before and the row after, in order of the latter.
    """

    added: Numbers
    removed: Numbers
    modified: npt.NDArray[np.uint32]
    unchanged: int
    method: str
    key: tuple[str, ...]


def shared_columns(before: RowsFile, after: RowsFile) -> list[str]:
    """Names of the columns that both sides have."""
    there = set(after.names)
    return [name for name in before.names if name in there]


def differences(
    before: RowsFile,
    after: RowsFile,
    dataset_type: str,
    *,
    key: Sequence[str] = (),
    memory: int = DEFAULT_MEMORY,
    folder: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Differences:
    """What happened to the rows between two contents.

    ``key`` names the identifying columns; without it an id column, then the input columns of the dataset type are
    tried, and where none identifies rows whole rows are compared. ``memory`` (bytes) bounds the joins; partitions are
    kept below ``folder``. ``progress`` is called with rows done and in all. Raises :class:`KeyUnusable` where a named
    key is absent, empty in a row or not unique.
    """
    total = before.count() + after.count()
    if max(before.count(), after.count()) > MAX_ROWS:
        raise KeyUnusable(f"More than {MAX_ROWS:,} rows cannot be compared.")
    if key:
        missing = [name for name in key if name not in before.names or name not in after.names]
        if missing:
            raise KeyUnusable(f"One of the versions has no column “{missing[0]}”.")
        return _attempt(before, after, tuple(key), memory, total, folder, progress)
    for way in _ways(before, after, dataset_type):
        try:
            return _attempt(before, after, way, memory, total, folder, progress)
        except KeyUnusable:
            continue
    return _attempt(before, after, (), memory, total, folder, progress)


def _ways(before: RowsFile, after: RowsFile, dataset_type: str) -> Iterator[tuple[str, ...]]:
    """Keys worth trying: those that the first rows do not rule out."""
    shared = set(shared_columns(before, after))
    candidates: list[tuple[str, ...]] = [(name,) for name in KEY_NAMES]
    candidates += INPUT_COLUMNS.get(dataset_type, ())
    for way in candidates:
        if shared.issuperset(way) and all(_unique_at_first(side, way) for side in (before, after)):
            yield way


def _unique_at_first(rows: RowsFile, key: Sequence[str]) -> bool:
    cells = [pl.col(physical(rows.index(name))) for name in key]
    frame = rows.scan().head(_SAMPLE).select(cells).collect()
    return frame.height == frame.drop_nulls().n_unique()


def _attempt(
    before: RowsFile,
    after: RowsFile,
    key: tuple[str, ...],
    memory: int,
    total: int,
    folder: Path | None,
    progress: Callable[[int, int], None] | None,
) -> Differences:
    shared = shared_columns(before, after)
    partitions = partitions_for(total, memory)
    first = before.count()
    with tempfile.TemporaryDirectory(dir=folder, prefix="compare-") as place:
        left = spread_rows(
            before,
            after,
            key,
            shared,
            Path(place) / "before",
            partitions,
            None if progress is None else lambda done: progress(done, total),
        )
        right = spread_rows(
            after,
            before,
            key,
            shared,
            Path(place) / "after",
            partitions,
            None if progress is None else lambda done: progress(first + done, total),
        )
        if key:
            _require_key(left, right, key, partitions)
        return _joined(left, right, key, partitions)


def _require_key(left: Spread, right: Spread, key: Sequence[str], partitions: int) -> None:
    names = " and ".join(f"“{name}”" for name in key)
    if left.empty_keys or right.empty_keys:
        raise KeyUnusable(f"{names} is empty in some rows, so it cannot identify them.")
    for side in (left, right):
        repeated = 0
        for number in range(partitions):
            keys = side.load(number)["key"]
            repeated += keys.size - pl.Series(keys).n_unique()
        if repeated:
            raise KeyUnusable(f"{names} is not unique in one of the versions: {repeated:,} rows repeat a value.")


def _joined(left: Spread, right: Spread, key: tuple[str, ...], partitions: int) -> Differences:
    added: list[Numbers] = []
    removed: list[Numbers] = []
    modified: list[npt.NDArray[np.uint32]] = []
    unchanged = 0
    on = ["key"] if key else ["row", "copy"]
    for number in range(partitions):
        old, new = (_frame(side.load(number), counted=not key) for side in (left, right))
        removed.append(old.join(new, on=on, how="anti")["n"].to_numpy())
        added.append(new.join(old, on=on, how="anti")["n"].to_numpy())
        both = old.join(new, on=on, how="inner", suffix="_after")
        if not key:
            unchanged += both.height
            continue
        changed = both.filter(pl.col("row") != pl.col("row_after"))
        unchanged += both.height - changed.height
        modified.append(changed.select("n", "n_after").to_numpy())
    pairs = np.concatenate(modified) if modified else np.empty((0, 2), np.uint32)
    return Differences(
        added=np.sort(np.concatenate(added)),
        removed=np.sort(np.concatenate(removed)),
        modified=pairs[np.argsort(pairs[:, 1], kind="stable")].astype(np.uint32, copy=False),
        unchanged=unchanged,
        method="key" if key else "row",
        key=key,
    )


def _frame(records: npt.NDArray[np.void], *, counted: bool) -> pl.DataFrame:
    frame = pl.DataFrame({name: np.ascontiguousarray(records[name]) for name in ("n", "key", "row")})
    if counted:
        # Equal rows are told apart by counting, so that a third copy is an added row.
        frame = frame.with_columns(pl.int_range(pl.len()).over("row").alias("copy"))
    return frame
