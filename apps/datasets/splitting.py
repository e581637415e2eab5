"""Dividing rows into train, validation and test parts: by a seed, and so that nothing leaks that belongs together.

The same rows, seed and shares give the same parts on any machine. Held are about fifty bytes a row, whatever is in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import numpy.typing as npt
import polars as pl

from apps.datasets.randomness import row_noise
from apps.datasets.reading.rows import RowsFile, physical

PARTS = ("train", "validation", "test")
MAX_STRATA = 1_000
MAX_SEED = 2**63 - 1
_FRAME_ROWS = 65_536
_TOLERANCE = 1e-6
Numbers = npt.NDArray[np.uint64]
Codes = npt.NDArray[np.int64]


class SplitRefused(ValueError):
    """The rows cannot be divided like this; ``field`` names the parameter and the message the remedy."""

    def __init__(self, field: str, code: str, message: str) -> None:
        super().__init__(message)
        self.field, self.code, self.message = field, code, message


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """Shares of the parts (they add up to 1), the seed, and the columns to balance or to keep together by."""

    shares: Mapping[str, float]
    seed: int = 0
    stratify_by: str = ""
    group_by: str = ""

    def checked(self, names: list[str]) -> SplitPlan:
        """The plan without empty parts. Raises :class:`SplitRefused`."""
        unknown = [part for part in self.shares if part not in PARTS]
        if unknown:
            raise SplitRefused("ratios", "invalid", f"There is no part {unknown[0][:40]!r}; use {', '.join(PARTS)}.")
        if any(not 0 <= share <= 1 for share in self.shares.values()):
            raise SplitRefused("ratios", "invalid", "Each ratio lies between 0 and 1, such as 0.8.")
        shares = {part: self.shares[part] for part in PARTS if self.shares.get(part)}
        if len(shares) < 2:
            raise SplitRefused("ratios", "invalid", "At least two parts need a ratio above 0.")
        together = sum(shares.values())
        if abs(together - 1) > _TOLERANCE:
            raise SplitRefused("ratios", "sum", f"The ratios add up to {together:g}; they must add up to 1.")
        if not 0 <= self.seed <= MAX_SEED:
            raise SplitRefused("seed", "invalid", f"The seed is a whole number from 0 to {MAX_SEED}.")
        for field, name in (("stratifyBy", self.stratify_by), ("groupBy", self.group_by)):
            if name and name not in names:
                shown = ", ".join(column[:40] for column in names[:12])
                raise SplitRefused(field, "unknown_column", f"There is no column {name[:60]!r}. Use one of {shown}.")
        if self.stratify_by and self.stratify_by == self.group_by:
            raise SplitRefused("groupBy", "invalid", "Rows cannot be balanced and kept together by the same column.")
        return SplitPlan(shares, self.seed, self.stratify_by, self.group_by)


def assign_parts(rows: RowsFile, plan: SplitPlan) -> npt.NDArray[np.uint8]:
    """The part (place in ``plan.shares``) of every row. ``plan`` is checked.

    Without groups each stratum is divided to the row (largest remainder). With groups a group goes where its middle
    falls when all groups lie in a row in random order, so parts are off by at most half a group. A row without a group
    value is its own group; a group belongs to the stratum that most of its rows have. Raises :class:`SplitRefused` when
    a part would be empty or there are too many strata.
    """
    total = rows.count()
    strata, kinds = _strata(rows, plan.stratify_by, total)
    parts = np.zeros(total, np.uint8)
    if plan.group_by:
        noise = _group_noise(rows, plan, total)
        groups, inverse, sizes = np.unique(noise, return_inverse=True, return_counts=True)
        most = _most_frequent(inverse, strata, groups.size, kinds)
        part_of_group = np.zeros(groups.size, np.uint8)
        for stratum in range(kinds):
            # Unique values are sorted, and the values are random: this is the random order.
            members = np.flatnonzero(most == stratum)
            part_of_group[members] = _by_middle(sizes[members], plan)
        parts = part_of_group[inverse]
    else:
        noise = row_noise(plan.seed, 0, total)
        for stratum in range(kinds):
            members = np.flatnonzero(strata == stratum)
            order = members[np.argsort(noise[members], kind="stable")]
            parts[order] = np.repeat(np.arange(len(plan.shares)), _sizes(members.size, plan)).astype(np.uint8)
    counts = np.bincount(parts, minlength=len(plan.shares))
    for part, count in zip(plan.shares, counts, strict=True):
        if not count:
            what = "groups" if plan.group_by else "rows"
            raise SplitRefused("ratios", "empty_part", f"The {part} part would get no rows: there are too few {what}.")
    return parts


def _strata(rows: RowsFile, name: str, total: int) -> tuple[Codes, int]:
    """A number for the stratum of every row, and how many strata there are; missing values are a stratum."""
    codes = np.zeros(total, np.int64)
    if not name:
        return codes, 1
    known: dict[str | None, int] = {}
    cell = physical(rows.index(name))
    for offset, frame in rows.frames(_FRAME_ROWS, [cell]):
        values = frame[cell]
        for value in values.unique(maintain_order=True).to_list():
            known.setdefault(value, len(known))
        if len(known) > MAX_STRATA:
            raise SplitRefused(
                "stratifyBy", "too_many", f"“{name}” has more than {MAX_STRATA:,} values; balance by one with few."
            )
        mapped = values.replace_strict(list(known), list(known.values()), return_dtype=pl.Int64)
        codes[offset : offset + frame.height] = mapped.to_numpy()
    return codes, max(1, len(known))


def _group_noise(rows: RowsFile, plan: SplitPlan, total: int) -> Numbers:
    """64 random bits for the group of every row, by seed and value."""
    noise = row_noise(plan.seed, 0, total)
    key = str(plan.seed).encode()
    cell = physical(rows.index(plan.group_by))
    for offset, frame in rows.frames(_FRAME_ROWS, [cell]):
        values = frame[cell]
        distinct = values.drop_nulls().unique().to_list()
        hashed = [
            int.from_bytes(hashlib.blake2b(value.encode(), digest_size=8, key=key).digest(), "little")
            for value in distinct
        ]
        mapped = values.replace_strict(distinct, hashed, default=None, return_dtype=pl.UInt64)
        present = values.is_not_null().to_numpy()
        noise[offset : offset + frame.height][present] = mapped.drop_nulls().to_numpy()
    return noise


def _most_frequent(inverse: Codes, strata: Codes, groups: int, kinds: int) -> Codes:
    """The stratum that most rows of each group have; the first one of equals."""
    if kinds == 1:
        return np.zeros(groups, np.int64)
    pairs, counts = np.unique(inverse * kinds + strata, return_counts=True)
    order = np.lexsort((pairs, -counts))
    most = np.full(groups, -1, np.int64)
    seen, first = np.unique(pairs[order] // kinds, return_index=True)
    most[seen] = pairs[order][first] % kinds
    return most


def _by_middle(sizes: Codes, plan: SplitPlan) -> npt.NDArray[np.uint8]:
    whole = sizes.sum()
    if not whole:
        return np.zeros(0, np.uint8)
    middle = (np.cumsum(sizes) - sizes / 2) / whole
    bounds = list(accumulate(plan.shares.values()))[:-1]
    return np.searchsorted(bounds, middle, side="right").astype(np.uint8)


def _sizes(count: int, plan: SplitPlan) -> list[int]:
    """``count`` divided by the shares to whole numbers; the largest remainders get what is left."""
    exact = [count * share for share in plan.shares.values()]
    sizes = [int(value + _TOLERANCE) for value in exact]
    ranked = sorted(range(len(exact)), key=lambda place: (sizes[place] - exact[place], place))
    for place in ranked[: count - sum(sizes)]:
        sizes[place] += 1
    return sizes
