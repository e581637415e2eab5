"""Drift: how far the distribution of a column has moved between two contents.

Population stability index (PSI) over the deciles of the earlier side, over categories where there are few, and over
missing values as a bin of their own: the sum of (a − e) · ln(a / e) over the shares a and e of the bins. Its usual
reading (0.1 and 0.25) is that of Siddiqi, Credit Risk Scorecards, Wiley 2006. A PSI of small samples is above zero by
chance alone: below the 99 % point of χ² with B − 1 degrees of freedom times (1/n + 1/m) it is taken for chance
(Yurdakul and Naranjo, Statistical properties of the population stability index, Journal of Risk Model Validation 2020).

Numbers and lengths of texts get the two-sample Kolmogorov–Smirnov statistic too, with the asymptotic probability of
Stephens (Journal of the Royal Statistical Society B 32, 1970).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from apps.datasets.randomness import rows_sampled
from apps.datasets.reading.rows import RowsFile, physical
from apps.datasets.types import Column

Values = npt.NDArray[np.float64]
SMALL, LARGE = 0.1, 0.25
CATEGORIES = 50
MAX_COLUMNS = 200
MAX_VALUES = 1_000_000
_LABEL = 60
_SEED = 1
_NUMBERS = frozenset({"integer", "number"})


@dataclass(slots=True)
class _Side:
    """What is collected of one column of one side."""

    numeric: bool
    values: list[Values] = field(default_factory=list)
    categories: Counter[str] | None = field(default_factory=Counter)
    rows: int = 0
    missing: int = 0

    def add(self, cells: pl.Series) -> None:
        self.rows += cells.len()
        self.missing += cells.null_count()
        present = cells.drop_nulls()
        measured = (present.cast(pl.Float64, strict=False) if self.numeric else present.str.len_chars()).drop_nulls()
        values = measured.to_numpy().astype(np.float64)
        self.values.append(values[np.isfinite(values)])
        if self.categories is not None:
            for value, count in present.value_counts().iter_rows():
                self.categories[value[:_LABEL]] += count
            if len(self.categories) > CATEGORIES:
                self.categories = None

    def measured(self) -> Values:
        return np.sort(np.concatenate(self.values)) if self.values else np.empty(0)


def drift_between(
    before: RowsFile,
    after: RowsFile,
    *,
    memory: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Drift of each column that both sides have (the first 200), with its reading in words.

    Above a million rows, or what ``memory`` bytes hold, a random sample counts; the answer says how many rows it has.
    """
    there = set(after.names)
    names = [name for name in before.names if name in there][:MAX_COLUMNS]
    if not names:
        return []
    budget = max(1_000, min(MAX_VALUES, memory // (len(names) * 2 * 8 * 2)))
    numeric = {
        name: before.columns[before.index(name)].kind in _NUMBERS and after.columns[after.index(name)].kind in _NUMBERS
        for name in names
    }
    whole = before.count() + after.count()
    done = 0
    sides: list[dict[str, _Side]] = []
    for rows in (before, after):
        collected = {name: _Side(numeric[name]) for name in names}
        # By chance, not every k-th: files are often ordered in a rhythm.
        share = min(1.0, budget / max(1, rows.count()))
        asked = [physical(rows.index(name)) for name in names]
        for offset, frame in rows.frames(columns=asked):
            part = frame if share == 1 else frame[rows_sampled(_SEED, offset, offset + frame.height, share)]
            for name, cells in zip(names, asked, strict=True):
                collected[name].add(part[cells])
            if progress:
                progress(done + offset + frame.height, whole)
        done += rows.count()
        sides.append(collected)
    return [_column(before.columns[before.index(name)], sides[0][name], sides[1][name]) for name in names]


def _column(column: Column, old: _Side, new: _Side) -> dict[str, Any]:
    few = _few(old, new)
    result: dict[str, Any] = {
        "name": column.name,
        "measured": "category" if few else "value" if old.numeric else "length",
        "rowsBefore": old.rows,
        "rowsAfter": new.rows,
        "ks": None,
        "pValue": None,
    }
    first, second = old.measured(), new.measured()
    if not few or old.numeric:
        distance, probability = ks_two_samples(first, second)
        result["ks"], result["pValue"] = _rounded(distance), _rounded(probability)
    bins = _category_bins(old, new) if few else _value_bins(first, second)
    if old.missing or new.missing:
        bins.append(("missing", old.missing, new.missing))
    index, critical = psi([entry[1] for entry in bins], [entry[2] for entry in bins])
    result |= {"psi": _rounded(index), "level": level_of(index, critical)}
    result["reading"] = _reading(result)
    result["bins"] = [{"label": label, "before": count, "after": other} for label, count, other in bins]
    return result


def _few(old: _Side, new: _Side) -> bool:
    """Whether the column has few values on both sides, so that each is its own bin."""
    if old.categories is None or new.categories is None:
        return False
    together = len(old.categories | new.categories)
    rows = min(old.rows, new.rows)
    # Few rows have few values whatever the column is: then it is no list of categories.
    return together <= CATEGORIES and (together <= 2 or together * 5 <= rows)


def _category_bins(old: _Side, new: _Side) -> list[tuple[str, int, int]]:
    first, second = old.categories or Counter(), new.categories or Counter()
    ranked = sorted(first | second, key=lambda label: (-first[label] - second[label], label))
    return [(label, first[label], second[label]) for label in ranked]


def _value_bins(first: Values, second: Values) -> list[tuple[str, int, int]]:
    """Counts between the deciles of the earlier side."""
    if not first.size:
        return [("any", 0, int(second.size))] if second.size else []
    edges = np.unique(np.quantile(first, np.linspace(0.1, 0.9, 9)))
    counts = [
        np.bincount(np.searchsorted(edges, side, side="left"), minlength=edges.size + 1) for side in (first, second)
    ]
    labels = [f"up to {edges[0]:g}"]
    labels += [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    labels.append(f"above {edges[-1]:g}")
    return [(label, int(old), int(new)) for label, old, new in zip(labels, *counts, strict=True)]


def psi(before: Sequence[int], after: Sequence[int]) -> tuple[float | None, float]:
    """Population stability index of two lists of counts over the same bins, and the value that chance alone stays below
    in 99 of 100 cases.

    ``None`` where a side has no counts. Half a row is added to every bin (Jeffreys), so that the logarithm exists and
    an empty bin weighs what the rows of its side can carry.
    """
    old, new = np.asarray(before, np.float64), np.asarray(after, np.float64)
    used = (old + new) > 0
    old, new = old[used], new[used]
    if not old.sum() or not new.sum():
        return None, 0.0
    expected, actual = ((side + 0.5) / (side.sum() + 0.5 * side.size) for side in (old, new))
    index = float(np.sum((actual - expected) * np.log(actual / expected)))
    return index, chi_square_99(old.size - 1) * (1 / float(old.sum()) + 1 / float(new.sum()))


def chi_square_99(degrees: int) -> float:
    """The 99 % point of χ² (Wilson and Hilferty, PNAS 17, 1931; within 1 % from two degrees on)."""
    if degrees < 1:
        return 0.0
    part = 2 / (9 * degrees)
    return degrees * (1 - part + 2.3263 * math.sqrt(part)) ** 3


def ks_two_samples(first: Values, second: Values) -> tuple[float | None, float | None]:
    """Largest gap between two distributions (sorted values), and how probable such a gap is without any drift."""
    if not first.size or not second.size:
        return None, None
    points = np.concatenate([first, second])
    gaps = np.abs(
        np.searchsorted(first, points, side="right") / first.size
        - np.searchsorted(second, points, side="right") / second.size
    )
    distance = float(gaps.max())
    root = math.sqrt(first.size * second.size / (first.size + second.size))
    scaled = (root + 0.12 + 0.11 / root) * distance
    if scaled < 0.2:
        # The series below needs ever more terms here, and is 1 to ten digits.
        return distance, 1.0
    terms = (2 * (-1) ** (k - 1) * math.exp(-2 * k * k * scaled * scaled) for k in range(1, 101))
    return distance, min(1.0, max(0.0, sum(terms)))


def level_of(index: float | None, critical: float) -> str:
    """none (chance), small, moderate, large; unknown where a side holds no values."""
    if index is None:
        return "unknown"
    if index <= critical:
        return "none"
    return "small" if index < SMALL else "moderate" if index < LARGE else "large"


_WORDS = {
    "none": "No drift beyond chance",
    "small": f"Small shift (below {SMALL:g})",
    "moderate": f"Moderate shift ({SMALL:g} to {LARGE:g}): look at it",
    "large": f"Large shift ({LARGE:g} or more): the data is another",
}


def _reading(facts: dict[str, Any]) -> str:
    if facts["level"] == "unknown":
        return "One side holds no values, so nothing can be said."
    text = f"{_WORDS[facts['level']]}; PSI {facts['psi']:.3g}"
    if facts["ks"] is not None:
        what = "lengths" if facts["measured"] == "length" else "values"
        chance = "p < 0.001" if facts["pValue"] < 0.001 else f"p = {facts['pValue']:.2g}"
        text += f"; the distributions of {what} are at most {100 * facts['ks']:.1f} % apart ({chance})"
    return f"{text}."


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
