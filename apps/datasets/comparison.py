"""Comparing the rows of two versions: by key where one identifies rows, else by the rows themselves.

Per row only its number and two hashes are held (20 bytes), so ten million rows fit without loading their
content.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import polars as pl

from apps.datasets.reading.rows import RowsFile, physical
from apps.datasets.types import INPUT_COLUMNS, Column

_KEY_NAMES = ("id", "uuid", "_id", "key", "row_id", "sample_id")
_RAW_KINDS = frozenset({"integer", "number", "boolean", "null"})


class KeyUnusable(ValueError):
    """The asked key does not identify rows; the message says why."""


@dataclass(frozen=True, slots=True)
class RowComparison:
    """Counts of all differing rows, and one page of each kind."""

    added: int
    removed: int
    modified: int
    unchanged: int
    method: str
    key: tuple[str, ...]
    added_page: tuple[dict[str, Any], ...]
    removed_page: tuple[dict[str, Any], ...]
    modified_page: tuple[dict[str, Any], ...]


def schema_changes(before: Sequence[Column], after: Sequence[Column]) -> list[dict[str, Any]]:
    """Columns added, removed, of another type, or that became (not) nullable."""
    old = {column.name: column for column in before}
    new = {column.name: column for column in after}
    changes: list[dict[str, Any]] = []
    for name, column in new.items():
        if name not in old:
            changes.append({"column": name, "change": "added", "before": None, "after": column.kind})
    for name, column in old.items():
        if name not in new:
            changes.append({"column": name, "change": "removed", "before": column.kind, "after": None})
            continue
        other = new[name]
        if other.kind != column.kind:
            changes.append({"column": name, "change": "type", "before": column.kind, "after": other.kind})
        if other.nullable != column.nullable:
            changes.append(
                {
                    "column": name,
                    "change": "nullable",
                    "before": column.nullable,
                    "after": other.nullable,
                }
            )
    return changes


def compare_rows(
    before: RowsFile,
    after: RowsFile,
    dataset_type: str,
    *,
    key: Sequence[str] = (),
    limit: int = 20,
    offset: int = 0,
) -> RowComparison:
    """What happened to the rows between two versions; ``limit`` and ``offset`` page each kind of difference.

    ``key`` names the identifying columns; without it an id column, then the input columns of the dataset type
    are tried. Raises :class:`KeyUnusable` where a named key is absent, empty or not unique.
    """
    shared = [name for name in before.names if name in set(after.names)]
    chosen = tuple(key)
    if chosen:
        fault = _key_fault(before, chosen) or _key_fault(after, chosen)
        if fault:
            raise KeyUnusable(fault)
    else:
        chosen = _find_key(before, after, dataset_type)
    left = _hashes(before, after, chosen, shared)
    right = _hashes(after, before, chosen, shared)
    on = ["key"] if chosen else ["row", "copy"]
    if not chosen:
        # Equal rows are told apart by counting, so that a third copy is an added row.
        left, right = (frame.with_columns(pl.int_range(pl.len()).over("row").alias("copy")) for frame in (left, right))
    removed = left.join(right, on=on, how="anti")["n"]
    added = right.join(left, on=on, how="anti")["n"]
    both = left.join(right, on=on, how="inner", suffix="_after")
    if chosen:
        modified = both.filter(pl.col("row") != pl.col("row_after")).select("n", "n_after").sort("n_after")
    else:
        modified = both.select("n", "n_after").clear()
    pairs = modified.slice(offset, limit)
    return RowComparison(
        added=added.len(),
        removed=removed.len(),
        modified=modified.height,
        unchanged=both.height - modified.height,
        method="key" if chosen else "row",
        key=chosen,
        added_page=_page(after, added.sort().slice(offset, limit).to_list()),
        removed_page=_page(before, removed.sort().slice(offset, limit).to_list()),
        modified_page=_modified(before, after, pairs["n"].to_list(), pairs["n_after"].to_list(), shared),
    )


def _hashes(rows: RowsFile, other: RowsFile, key: Sequence[str], shared: Sequence[str]) -> pl.DataFrame:
    """Row number, hash of the key (if any), hash of the shared columns."""
    columns = [_comparable(rows, other, name) for name in shared] or [pl.lit("").alias("nothing")]
    expressions = [pl.struct(columns).hash(seed=7).alias("row")]
    if key:
        expressions.append(pl.struct([_comparable(rows, other, name) for name in key]).hash(seed=11).alias("key"))
    return rows.scan().select(expressions).with_row_index("n").collect(engine="streaming")


def _comparable(rows: RowsFile, other: RowsFile, name: str) -> pl.Expr:
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


def _key_fault(rows: RowsFile, key: Sequence[str]) -> str:
    """Why these columns do not identify rows, or an empty string."""
    missing = [name for name in key if name not in rows.names]
    if missing:
        return f"One of the versions has no column “{missing[0]}”."
    cells = [pl.col(physical(rows.index(name))) for name in key]
    facts = rows.scan().select(
        pl.any_horizontal([cell.is_null() for cell in cells]).any().alias("empty"),
        pl.struct(cells).hash(seed=11).n_unique().alias("distinct"),
        pl.len().alias("rows"),
    )
    empty, distinct, total = facts.collect(engine="streaming").row(0)
    names = " and ".join(f"“{name}”" for name in key)
    if empty:
        return f"{names} is empty in some rows, so it cannot identify them."
    if distinct != total:
        return f"{names} is not unique in one of the versions: {total - distinct:,} rows repeat a value."
    return ""


def _find_key(before: RowsFile, after: RowsFile, dataset_type: str) -> tuple[str, ...]:
    shared = set(before.names) & set(after.names)
    ways: list[tuple[str, ...]] = [(name,) for name in _KEY_NAMES]
    ways += INPUT_COLUMNS.get(dataset_type, ())
    for way in ways:
        if shared.issuperset(way) and not _key_fault(before, way) and not _key_fault(after, way):
            return way
    return ()


def _page(rows: RowsFile, numbers: Sequence[int]) -> tuple[dict[str, Any], ...]:
    taken = rows.take(numbers)
    return tuple({"row": number + 1, "values": values} for number, values in zip(numbers, taken, strict=True))


def _modified(
    before: RowsFile,
    after: RowsFile,
    old_numbers: Sequence[int],
    new_numbers: Sequence[int],
    shared: Sequence[str],
) -> tuple[dict[str, Any], ...]:
    old_rows, new_rows = before.take(old_numbers), after.take(new_numbers)
    result = []
    for old_number, new_number, old, new in zip(old_numbers, new_numbers, old_rows, new_rows, strict=True):
        changes = [
            {"column": name, "before": old[name], "after": new[name]} for name in shared if old[name] != new[name]
        ]
        result.append({"rowBefore": old_number + 1, "rowAfter": new_number + 1, "changes": changes})
    return tuple(result)
