"""Agreement between reviewers beyond chance.

Cohen's kappa (1960) for two people, Fleiss' kappa (1971) for a fixed number of ratings per item, Krippendorff's alpha
(2004) for any number, with missing ratings allowed. 1 is perfect agreement, 0 what chance gives. None where the
statistic says nothing: no item was judged twice, or everybody always gave the same answer.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from itertools import permutations
from typing import Any

Value = Hashable
Ratings = Sequence[Mapping[Any, Any]]
"""Per item: who said what."""


def cohen_kappa(ratings: Ratings) -> float | None:
    """Kappa of the two people who judged items together; None unless there are exactly two."""
    people = {person for item in ratings for person in item}
    if len(people) != 2:
        return None
    first, second = sorted(people, key=str)
    pairs = [(item[first], item[second]) for item in ratings if first in item and second in item]
    if not pairs:
        return None
    count = len(pairs)
    observed = sum(one == other for one, other in pairs) / count
    said = Counter(one for one, _ in pairs)
    answered = Counter(other for _, other in pairs)
    expected = sum(said[value] * answered[value] for value in said) / count**2
    return _beyond(observed, expected)


def fleiss_kappa(ratings: Ratings) -> float | None:
    """Kappa for items that were all judged equally often (twice or more), by whomever."""
    sizes = {len(item) for item in ratings if item}
    if len(sizes) != 1 or (size := sizes.pop()) < 2:
        return None
    items = [Counter(item.values()) for item in ratings if item]
    agreeing = [(sum(n * n for n in item.values()) - size) / (size * (size - 1)) for item in items]
    totals: Counter[Value] = Counter()
    for item in items:
        totals.update(item)
    expected = sum((n / (len(items) * size)) ** 2 for n in totals.values())
    return _beyond(sum(agreeing) / len(items), expected)


def _beyond(observed: float, expected: float) -> float | None:
    return None if expected >= 1 else (observed - expected) / (1 - expected)


def krippendorff_alpha(ratings: Ratings, *, interval: bool = False) -> float | None:
    """Alpha with the nominal difference (equal or not), or the squared one for scales (``interval``)."""
    coincidences: dict[tuple[Value, Value], float] = defaultdict(float)
    for item in ratings:
        values = list(item.values())
        if len(values) > 1:
            for pair in permutations(values, 2):
                coincidences[pair] += 1 / (len(values) - 1)
    totals: dict[Value, float] = defaultdict(float)
    for (value, _), weight in coincidences.items():
        totals[value] += weight
    count = sum(totals.values())
    if count <= 1:
        return None
    observed = sum(weight * _distance(*pair, interval) for pair, weight in coincidences.items()) / count
    expected = sum(
        totals[one] * totals[other] * _distance(one, other, interval) for one in totals for other in totals
    ) / (count * (count - 1))
    return None if expected == 0 else 1 - observed / expected


def _distance(one: Value, other: Value, interval: bool) -> float:
    if interval and isinstance(one, int | float) and isinstance(other, int | float):
        return float(one - other) ** 2
    return float(one != other)
