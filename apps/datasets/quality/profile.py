"""Statistics of columns: missing and distinct values, lengths or numbers, a small histogram, frequent
values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from apps.datasets.quality.gather import MAX_COLUMNS, ColumnFacts, Facts, gather
from apps.datasets.reading.rows import RowsFile
from apps.datasets.types import DatasetType

BINS = 12
_TOP = 5


def profile(rows: RowsFile, progress: Callable[[int, int], None] | None = None) -> list[dict[str, Any]]:
    """Statistics of each column as plain JSON, for the first 200 columns; one pass over the rows.

    ``progress`` is called with rows done and in all.
    """
    return statistics(gather(rows, DatasetType.PRETRAIN_CORPUS, progress=progress))


def statistics(facts: Facts) -> list[dict[str, Any]]:
    """The same from what a pass has learned. “sampled” says that histogram and middle come from a sample."""
    return [_column(column, facts.total) for column in facts.columns[:MAX_COLUMNS]]


def _column(facts: ColumnFacts, total: int) -> dict[str, Any]:
    distinct = min(facts.distinct.estimate(), total - facts.nulls)
    values, counts = measured(facts)
    result: dict[str, Any] = {
        "name": facts.column.name,
        "type": facts.column.kind,
        "missing": facts.missing,
        "missingShare": round(facts.missing / total, 6) if total else 0.0,
        "distinct": max(0, distinct),
        "measured": "value" if facts.numeric else "length",
    }
    result |= {name: number(value) for name, value in _moments(facts, values, counts).items()}
    result["histogram"] = _histogram(values, counts, result["min"], result["max"])
    often = distinct <= max(50, total // 2)
    result["topValues"] = (
        [{"value": value, "count": count} for value, count in facts.frequent.top(_TOP)] if often else []
    )
    if facts.numeric and facts.numbers.stride > 1:
        result["sampled"] = True
    return result


def measured(facts: ColumnFacts) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """What is measured of a column (numbers, or lengths of texts in characters) and how often each occurs; numbers of
    a sample stand for those that were left out."""
    if facts.numeric:
        values = facts.numbers.values()
        return values, np.full(len(values), facts.numbers.stride, np.int64)
    return facts.lengths.table()


def number(value: float | None) -> float | None:
    """For JSON, which has no infinity."""
    if value is None or not math.isfinite(value):
        return None
    return round(value, 6)


def _moments(
    facts: ColumnFacts, values: npt.NDArray[np.float64], counts: npt.NDArray[np.int64]
) -> dict[str, float | None]:
    if facts.numeric:
        seen = facts.numbers
        if not seen.count:
            return {"min": None, "max": None, "mean": None, "std": None}
        return {"min": seen.low, "max": seen.high, "mean": seen.mean, "std": seen.deviation}
    whole = int(counts.sum())
    if not whole:
        return {"min": None, "max": None, "mean": None, "std": None}
    mean = float((values * counts).sum() / whole)
    squares = float((counts * (values - mean) ** 2).sum())
    deviation = math.sqrt(squares / (whole - 1)) if whole > 1 else None
    return {"min": float(values[0]), "max": float(values[-1]), "mean": mean, "std": deviation}


def _histogram(
    values: npt.NDArray[np.float64], counts: npt.NDArray[np.int64], low: float | None, high: float | None
) -> list[dict[str, Any]]:
    """Counts in equal steps from ``low`` to ``high``, each as ``{from, to, count}``."""
    if low is None or high is None:
        return []
    bins = 1 if high == low else BINS
    width = (high - low) / bins or 1.0
    with np.errstate(all="ignore"):
        place = np.clip(np.floor((values - low) / width), 0, bins - 1)
    found = np.bincount(np.nan_to_num(place).astype(np.int64), weights=counts, minlength=bins)
    return [
        {
            "from": round(low + step * width, 6),
            "to": round(low + (step + 1) * width, 6),
            "count": int(found[step]),
        }
        for step in range(bins)
    ]
