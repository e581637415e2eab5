"""Statistics of columns: missing and distinct values, lengths or numbers, a small histogram, frequent
values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import polars as pl

from apps.datasets.reading.rows import RowsFile, physical
from apps.datasets.types import Column

BINS = 12
MAX_COLUMNS = 200
_TOP = 5
_TOP_LENGTH = 80


def blank(index: int) -> pl.Expr:
    """Whether a cell holds nothing: missing, or only white space."""
    cell = pl.col(physical(index))
    return cell.is_null() | (cell.str.strip_chars() == "")


def is_numeric(column: Column) -> bool:
    """Whether the values of a column are numbers."""
    return column.kind in {"integer", "number"}


def measure(index: int, column: Column) -> pl.Expr:
    """What is measured of a cell: its number, or the length of its text in characters."""
    cell = pl.col(physical(index))
    if is_numeric(column):
        return cell.cast(pl.Float64, strict=False)
    return cell.str.len_chars().cast(pl.Float64)


def profile(rows: RowsFile, progress: Callable[[int, int], None] | None = None) -> list[dict[str, Any]]:
    """Statistics of each column as plain JSON, for the first 200 columns; one column in memory at a time.

    ``progress`` is called with columns done and in all.
    """
    total = rows.count()
    result: list[dict[str, Any]] = []
    columns = rows.columns[:MAX_COLUMNS]
    for index, column in enumerate(columns):
        result.append(_column(rows, index, column, total))
        if progress:
            progress(index + 1, len(columns))
    return result


def _column(rows: RowsFile, index: int, column: Column, total: int) -> dict[str, Any]:
    cell = pl.col(physical(index))
    value = measure(index, column)
    facts = (
        rows.scan()
        .select(
            blank(index).sum().alias("missing"),
            cell.approx_n_unique().alias("distinct"),
            cell.null_count().alias("nulls"),
            value.min().alias("min"),
            value.max().alias("max"),
            value.mean().alias("mean"),
            value.std().alias("std"),
        )
        .collect(engine="streaming")
        .row(0, named=True)
    )
    distinct = facts["distinct"] - (1 if facts["nulls"] else 0)
    result: dict[str, Any] = {
        "name": column.name,
        "type": column.kind,
        "missing": facts["missing"],
        "missingShare": round(facts["missing"] / total, 6) if total else 0.0,
        "distinct": max(0, min(distinct, total)),
        "measured": "value" if is_numeric(column) else "length",
    }
    for name in ("min", "max", "mean", "std"):
        result[name] = _number(facts[name])
    result["histogram"] = _histogram(rows, value, facts["min"], facts["max"])
    result["topValues"] = _top(rows, index, facts) if distinct <= max(50, total // 2) else []
    return result


def _number(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return round(value, 6)


def _histogram(rows: RowsFile, value: pl.Expr, low: float | None, high: float | None) -> list[dict[str, Any]]:
    """Counts in equal steps from ``low`` to ``high``, each as ``{from, to, count}``."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return []
    bins = 1 if high == low else BINS
    width = (high - low) / bins or 1.0
    place = ((value - low) / width).floor().clip(0, bins - 1).cast(pl.UInt32).alias("bin")
    counted = rows.scan().select(place).drop_nulls().group_by("bin").len().collect(engine="streaming")
    counts = dict(zip(counted["bin"].to_list(), counted["len"].to_list(), strict=True))
    return [
        {
            "from": round(low + step * width, 6),
            "to": round(low + (step + 1) * width, 6),
            "count": counts.get(step, 0),
        }
        for step in range(bins)
    ]


def _top(rows: RowsFile, index: int, facts: dict[str, Any]) -> list[dict[str, Any]]:
    """The most frequent short values, where values repeat at all."""
    cell = pl.col(physical(index))
    counted = (
        rows.scan()
        .select(cell.alias("value"))
        .filter(pl.col("value").is_not_null() & (pl.col("value").str.len_chars() <= _TOP_LENGTH))
        .group_by("value")
        .len()
        .filter(pl.col("len") > 1)
        .sort(["len", "value"], descending=[True, False])
        .head(_TOP)
        .collect(engine="streaming")
    )
    return [{"value": value, "count": count} for value, count in counted.iter_rows()]
