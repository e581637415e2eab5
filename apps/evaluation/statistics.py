"""Resampling: intervals of means and of paired differences, seeded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
RESAMPLES = 2_000
CONFIDENCE = 0.95
_CHUNK = 2_000_000
"""Most indices held at once; bounds memory for runs with very many samples."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its percentile interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PairedEstimate:
    """B minus A on the same items: both levels, the difference with its interval, and a two-sided p value."""

    a: float
    b: float
    difference: float
    low: float
    high: float
    p_value: float


def mean_estimate(values: Sequence[float], *, seed: int) -> Estimate:
    """The mean with its bootstrap interval; ``values`` must not be empty."""
    table = np.asarray(values, dtype=np.float64)
    resampled = np.concatenate([table[chosen].mean(axis=1) for chosen in _choices(len(table), seed)])
    low, high = _percentiles(resampled)
    return Estimate(float(table.mean()), low, high)


def paired_estimate(a: Sequence[float], b: Sequence[float], *, seed: int, logarithmic: bool = False) -> PairedEstimate:
    """The difference of means over the same items, resampling items.

    ``logarithmic``: compare geometric means, for ratios such as perplexity. The p value is the share of resampled
    differences that lie as far from the observed one as the observed one lies from zero; it is never quite 0.
    """
    level: Callable[[Floats], Floats] = _geometric if logarithmic else _arithmetic
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    parts = [level(second[chosen]) - level(first[chosen]) for chosen in _choices(len(first), seed)]
    resampled = np.concatenate(parts)
    level_a, level_b = float(level(first[None, :])[0]), float(level(second[None, :])[0])
    difference = level_b - level_a
    low, high = _percentiles(resampled)
    # The tolerance keeps differences that are equal but for rounding from counting as smaller.
    extreme = int((np.abs(resampled - difference) >= abs(difference) - 1e-12).sum())
    return PairedEstimate(level_a, level_b, difference, low, high, (extreme + 1) / (len(resampled) + 1))


def _arithmetic(values: Floats) -> Floats:
    return values.mean(axis=1)


def _geometric(values: Floats) -> Floats:
    return np.exp(np.log(np.maximum(values, 1e-12)).mean(axis=1))


def _percentiles(resampled: Floats) -> tuple[float, float]:
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(resampled, [tail, 100 - tail])
    return float(low), float(high)


def _choices(size: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    step = max(1, _CHUNK // size)
    for start in range(0, RESAMPLES, step):
        yield generator.integers(0, size, size=(min(step, RESAMPLES - start), size))
