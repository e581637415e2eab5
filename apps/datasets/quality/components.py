"""The five components of the quality score. Each returns 0 to 100 with the rows and columns that cost it
points.

Row numbers count from 1 over all files of the dataset, in order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from apps.datasets.quality.gather import FREQUENT_LENGTH, MAX_COLUMNS, ColumnFacts, Facts, rows_where
from apps.datasets.quality.profile import measured
from apps.datasets.reading.rows import physical

# Median deviations from the median beyond which a value is far outside (the deviation scaled as if normal).
_OUTLIER = 6.0
# Where most values are the same, the deviation is nothing: then widths of the middle half beyond its ends (Tukey).
_FENCE = 3.0
# Half or twice the usual length is never far outside, however alike the others are.
_LENGTHS_APART = math.log(2)
_LEAST_ROWS = 20
# A column of few words: at most so many, in at least so many rows; one word in 2,000 rows is rare.
_CATEGORIES = 20
_CATEGORY_ROWS = 200
_RARE = 2_000

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(slots=True)
class Component:
    """One part of the score: points, a sentence, and what caused the loss."""

    key: str
    label: str
    score: float
    explanation: str
    columns: list[dict[str, Any]] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    affected: int = 0

    def to_json(self) -> dict[str, Any]:
        """As kept with the check and shown in answers."""
        return {
            "key": self.key,
            "label": self.label,
            "score": self.score,
            "explanation": self.explanation,
            "columns": self.columns,
            "rows": self.rows,
            "affectedRows": self.affected,
        }


def some_rows(count: int, of: int = 0) -> str:
    """“1 row”, “3 rows”, “1 of 20 rows”."""
    if of:
        return f"{count:,} of {of:,} rows"
    return f"{count:,} row{'' if count == 1 else 's'}"


def _verb(count: int, one: str, many: str) -> str:
    return one if count == 1 else many


def _score(share_lost: float) -> float:
    """Points left after losing this share; a loss is never rounded away."""
    points = round(100 * (1 - min(1.0, max(0.0, share_lost))), 1)
    return 99.9 if points == 100 and share_lost > 0 else points


def missing_values(facts: Facts) -> Component:
    """Share of empty cells; an empty required cell weighs as much as if its whole row were lost."""
    missing = [column for column in facts.columns if column.missing]
    cells = facts.total * len(facts.columns)
    empty = sum(column.missing for column in missing)
    overall = empty / cells if cells else 0.0
    lost = facts.lacking.count
    # What nobody requires may be sparse on purpose: it costs half.
    share = max(overall / 2, lost / facts.total)
    columns = [
        {
            "column": column.column.name,
            "count": column.missing,
            "share": round(column.missing / facts.total, 4),
            "required": column.index in facts.required,
        }
        for column in sorted(missing, key=lambda column: -column.missing)
    ]
    if not missing:
        text = "Every cell holds a value."
    elif lost:
        text = f"{some_rows(lost, facts.total)} {_verb(lost, 'lacks', 'lack')} a required value."
    else:
        text = f"{empty:,} of {cells:,} cells are empty; none of them is required."
    shown = facts.lacking.first or facts.incomplete.first
    return Component("missingValues", "Missing values", _score(share), text, columns, shown, lost)


def duplicates(facts: Facts) -> Component:
    """Share of rows that repeat an earlier row in every column."""
    count = facts.repeated.count
    text = (
        f"{some_rows(count, facts.total)} {_verb(count, 'repeats', 'repeat')} an earlier row."
        if count
        else "No row repeats another."
    )
    shown = facts.repeated.first
    return Component("duplicates", "Duplicates", _score(count / facts.total), text, rows=shown, affected=count)


def distribution(facts: Facts) -> Component:
    """Values far outside what is usual in their column: numbers and lengths of required texts by median and median
    deviation (or by the middle half), words that hardly occur in columns of few words; and columns of one value."""
    if facts.total < _LEAST_ROWS:
        return Component(
            "distribution",
            "Distribution",
            100.0,
            f"With {facts.total} rows a distribution cannot be judged; nothing is deducted.",
        )
    outside: dict[int, pl.Expr] = {}
    problems: dict[int, str] = {}
    columns: list[dict[str, Any]] = []
    constant = 0
    for column in facts.columns:
        required = column.index in facts.required
        if required and column.distinct.estimate() == 1:
            constant += 1
            columns.append({"column": column.column.name, "problem": "constant", "count": facts.total})
        if required or column.numeric:
            found = _far_outside(column)
            problem = f"outlying {'value' if column.numeric else 'length'}"
        else:
            found, problem = _rare_words(column, facts.total), "rare value"
        if found is not None:
            outside[column.index], problems[column.index] = found, problem
    lost, shown = 0, []
    if outside:
        hits, counts = rows_where(facts, outside)
        lost, shown = hits.count, hits.first
        columns += [
            {"column": facts.columns[index].column.name, "problem": problems[index], "count": count}
            for index, count in counts.items()
            if count
        ]
    parts = []
    if lost:
        parts.append(
            f"{some_rows(lost, facts.total)} {_verb(lost, 'lies', 'lie')} far outside what is usual in a column."
        )
    if constant:
        parts.append(f"{constant} required column{'s hold' if constant > 1 else ' holds'} one value throughout.")
    # A few outliers are normal in real data; five in a hundred cost a quarter of the points.
    share = min(1.0, 5 * lost / facts.total) + 0.5 * constant
    return Component(
        "distribution",
        "Distribution",
        _score(share),
        " ".join(parts) or "Lengths and values are evenly spread.",
        columns,
        shown,
        lost,
    )


def _far_outside(facts: ColumnFacts) -> pl.Expr | None:
    """Which cells lie outside, if any can."""
    values, counts = measured(facts)
    finite = np.isfinite(values)
    values, counts = values[finite], counts[finite]
    if counts.sum() < _LEAST_ROWS:
        return None
    cell = pl.col(physical(facts.index))
    if facts.numeric:
        cell = cell.cast(pl.Float64, strict=False)
    else:
        # Lengths spread over magnitudes; their logarithm is what has a middle and a width.
        values, cell = np.log1p(values), (cell.str.len_chars().cast(pl.Float64) + 1).log()
    low, high = _bounds(values, counts, 0.0 if facts.numeric else _LENGTHS_APART)
    lowest, highest = (facts.numbers.low, facts.numbers.high) if facts.numeric else (values.min(), values.max())
    if low is None or high is None or (lowest >= low and highest <= high):
        return None
    return (cell < low) | (cell > high)


def _bounds(values: Floats, counts: Counts, least: float) -> tuple[float, float] | tuple[None, None]:
    """Between what values are usual, at least ``least`` to each side; nothing when they have no width at all."""
    order = np.argsort(values, kind="stable")
    values, counts = values[order], counts[order]
    middle = _quantile(values, counts, 0.5)
    away = np.abs(values - middle)
    order = np.argsort(away, kind="stable")
    width = 1.4826 * _quantile(away[order], counts[order], 0.5)
    if width > 0:
        # A hair of room, so that equal values are never torn apart by rounding.
        reach = max(least, _OUTLIER * width) * (1 + 1e-12)
        return middle - reach, middle + reach
    first, third = _quantile(values, counts, 0.25), _quantile(values, counts, 0.75)
    if third > first:
        reach = max(least, _FENCE * (third - first))
        return first - reach, third + reach
    return None, None


def _quantile(values: Floats, counts: Counts, share: float) -> float:
    """Of sorted values with counts; in the middle between two where the share falls between them."""
    edges = np.cumsum(counts)
    whole = int(edges[-1])
    below, above = (whole - 1) * share // 1, -(-(whole - 1) * share // 1)
    one, other = (values[np.searchsorted(edges, place, side="right")] for place in (below, above))
    return float(one + (other - one) / 2)


def _rare_words(facts: ColumnFacts, total: int) -> pl.Expr | None:
    """In a column of few words, those that hardly ever occur: slips of spelling, most often."""
    if facts.index >= MAX_COLUMNS or total < _CATEGORY_ROWS or facts.column.stored != "text" or facts.frequent.pruned:
        return None
    words = facts.frequent.all()
    if not 2 <= len(words) <= _CATEGORIES or len(words) != facts.distinct.estimate():
        return None
    rare = [word for word, count in words if count <= max(1, total // _RARE)]
    # Where most words are rare, the column is not one of few words.
    if not rare or len(rare) * 2 > len(words):
        return None
    return pl.col(physical(facts.index)).is_in([word for word in rare if len(word) <= FREQUENT_LENGTH])


def schema_compliance(facts: Facts) -> Component:
    """Share of rows that break what their dataset type asks for."""
    lost = facts.non_compliant.count
    found = list(facts.breaches.items())
    columns = [{"problem": text, "count": rows.count} for text, rows in found]
    text = (
        (
            f"{some_rows(lost, facts.total)} {_verb(lost, 'does', 'do')} not comply: "
            f"{found[0][0]}{' and more' if len(found) > 1 else ''}."
        )
        if found
        else "Every row has what its type asks for."
    )
    shown = facts.non_compliant.first
    return Component("schemaCompliance", "Schema compliance", _score(lost / facts.total), text, columns, shown, lost)


def text_format(facts: Facts) -> Component:
    """Share of rows with broken characters, control characters, markup left over, or space around the
    text."""
    columns: list[dict[str, Any]] = [
        {"problem": kind, "count": rows.count} for kind, rows in facts.blemishes.items() if rows.count
    ]
    lost, padded = facts.blemished.count, facts.padded.count
    if padded:
        columns.append({"problem": "white space around text", "count": padded})
    # Space around a text is a blemish, not damage: a tenth of the weight.
    share = lost / facts.total + 0.1 * padded / facts.total
    text = ", ".join(f"{entry['problem']} in {some_rows(entry['count'])}" for entry in columns)
    return Component(
        "format",
        "Format",
        _score(share),
        f"{text[:1].upper()}{text[1:]}." if text else "The text is clean.",
        columns,
        facts.blemished.first or facts.padded.first,
        max(lost, padded),
    )
