"""From scores of samples to metrics with intervals: the percentile bootstrap over samples, seeded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from workers.contracts import BootstrapSettings, MetricValue
from workers.evaluator.scoring import BleuCounts, corpus_bleu

Floats = npt.NDArray[np.float64]
_CHUNK = 2_000_000
"""Most sample indices held at once; bounds memory for large runs."""


def mean(scores: Sequence[float], settings: BootstrapSettings, seed: int) -> MetricValue:
    """Mean with its interval."""
    table = np.asarray(scores, dtype=np.float64)[:, None]
    return _interval(table, lambda sums: float(sums[0]) / len(scores), settings, seed)


def perplexity(losses: Sequence[tuple[float, int]], settings: BootstrapSettings, seed: int) -> MetricValue:
    """exp(all losses / all tokens) from (summed loss, tokens) per sample."""
    table = np.asarray(losses, dtype=np.float64)
    return _interval(table, lambda sums: _exp(float(sums[0]) / float(sums[1])), settings, seed)


def bleu(counts: Sequence[BleuCounts], settings: BootstrapSettings, seed: int) -> MetricValue:
    """Corpus BLEU: counts are summed before the score is taken, in every resample too."""
    orders = len(counts[0].correct)
    rows = [(*entry.correct, *entry.total, entry.output_length, entry.reference_length) for entry in counts]
    table = np.asarray(rows, dtype=np.float64)

    def score(sums: Floats) -> float:
        whole = [int(number) for number in sums]
        return corpus_bleu(whole[:orders], whole[orders : 2 * orders], whole[-2], whole[-1])

    return _interval(table, score, settings, seed)


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))


def _interval(
    table: Floats, statistic: Callable[[Floats], float], settings: BootstrapSettings, seed: int
) -> MetricValue:
    """`statistic` of the column sums of `table` (samples x columns), and its percentile interval."""
    value = statistic(table.sum(axis=0))
    resampled = [statistic(sums) for sums in _resampled_sums(table, settings.resamples, seed)]
    tail = 100 * (1 - settings.confidence) / 2
    low, high = np.percentile(resampled, [tail, 100 - tail])
    return MetricValue(value=value, low=float(low), high=float(high), samples=len(table))


def _resampled_sums(table: Floats, resamples: int, seed: int) -> Iterator[Floats]:
    generator = np.random.default_rng(seed)
    size = len(table)
    step = max(1, _CHUNK // size)
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        chosen = generator.integers(0, size, size=(count, size))
        yield from table[chosen].sum(axis=1)
