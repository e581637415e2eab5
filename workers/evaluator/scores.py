"""Samples and metrics of a run from answers and losses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from workers.contracts import EvaluateJobSpec, Metric, MetricValue, SampleResult
from workers.evaluator import aggregate, scoring
from workers.evaluator.generation import Answer
from workers.runtime.rows import Row

_SIMPLE = {
    Metric.EXACT_MATCH: scoring.exact_match,
    Metric.F1: scoring.token_f1,
    Metric.ACCURACY: scoring.accuracy,
    Metric.ENTITY_F1: scoring.entity_f1,
}
_ROUGES = (Metric.ROUGE1, Metric.ROUGE2, Metric.ROUGEL)
Loss = tuple[float, int]


@dataclass(frozen=True, slots=True)
class Scored:
    """All samples with their scores, and the metrics over them."""

    samples: list[SampleResult]
    metrics: dict[str, MetricValue]
    warnings: tuple[str, ...]


def score(
    spec: EvaluateJobSpec,
    rows: Sequence[Row],
    answers: Mapping[int, Answer],
    losses: Mapping[int, Loss],
) -> Scored:
    """Score every row; `answers` and `losses` are by row index. No row is dropped from a text metric."""
    samples: list[SampleResult] = []
    bleus: list[scoring.BleuCounts] = []
    for row in rows:
        sample = _sample(row, answers[row.index])
        output = sample.output or ""
        scores = _text_scores(spec.metrics, output, row.reference)
        if Metric.BLEU in spec.metrics:
            counts = scoring.bleu_counts(output, row.reference)
            bleus.append(counts)
            scores[Metric.BLEU.value] = counts.sentence_score
        if row.index in losses:
            total, tokens = losses[row.index]
            scores[Metric.PERPLEXITY.value] = math.exp(min(total / tokens, 700.0))
        samples.append(replace(sample, scores={name: round(value, 6) for name, value in scores.items()}))
    return _overall(spec, samples, bleus, [losses[row.index] for row in rows if row.index in losses])


def _sample(row: Row, answer: Answer) -> SampleResult:
    return SampleResult(
        index=row.index,
        row_id=row.row_id,
        input=row.question,
        reference=row.reference,
        output=answer.text,
        latency_ms=answer.latency_ms,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
        error=answer.error,
    )


def _text_scores(metrics: Sequence[Metric], output: str, reference: str) -> dict[str, float]:
    scores: dict[str, float] = {}
    for metric, function in _SIMPLE.items():
        if metric in metrics:
            value = function(output, reference)
            if value is not None:
                scores[metric.value] = value
    wanted = [metric.value for metric in _ROUGES if metric in metrics]
    if wanted:
        rouges = scoring.rouge(output, reference)
        scores |= {name: rouges[name] for name in wanted}
    return scores


def _overall(
    spec: EvaluateJobSpec,
    samples: list[SampleResult],
    bleus: list[scoring.BleuCounts],
    losses: list[Loss],
) -> Scored:
    metrics: dict[str, MetricValue] = {}
    warnings: list[str] = []
    for metric in spec.metrics:
        if metric is Metric.BLEU:
            metrics[metric.value] = aggregate.bleu(bleus, spec.bootstrap, spec.seed)
            continue
        if metric is Metric.PERPLEXITY:
            values: list[float] = []
            count = len(losses)
            if losses:
                metrics[metric.value] = aggregate.perplexity(losses, spec.bootstrap, spec.seed)
        else:
            values = [sample.scores[metric.value] for sample in samples if metric.value in sample.scores]
            count = len(values)
            if values:
                metrics[metric.value] = aggregate.mean(values, spec.bootstrap, spec.seed)
        if count < len(samples):
            warnings.append(f"{metric.value} rests on {count} of {len(samples)} samples.")
    return Scored(samples, metrics, tuple(warnings))
