"""Two runs side by side: paired differences with intervals, and a recommendation that explains itself."""

from __future__ import annotations

from collections.abc import Sequence

from apps.accounts.models import User
from apps.core.errors import Conflict, FieldError, NotFound, ValidationFailed
from apps.evaluation.models import EvaluationRun, EvaluationSample
from apps.evaluation.selectors import run_get
from apps.evaluation.statistics import paired_estimate
from apps.evaluation.types import Comparison, Difference, Recommendation, RunStatus, Verdict
from workers.contracts import LOWER_IS_BETTER, Metric

FIELD = "runIds"
MIN_SAMPLES = 10
"""Below this a paired test says nothing that should decide about a model."""
_LOWER = frozenset(metric.value for metric in LOWER_IS_BETTER)
_LABELS = {Metric.EXACT_MATCH.value: "exact match", Metric.ENTITY_F1.value: "entity F1"}


def runs_compare(*, actor: User, run_ids: Sequence[str]) -> Comparison:
    """Compare run B with run A on the samples that both have.

    Figures are means of the paired samples' scores (BLEU: of sentence scores; perplexity: geometric), so that they
    and their difference rest on the same samples. Raises ValidationFailed when the runs are not two visible runs on
    the same rows of one dataset, Conflict when one has not ended well.
    """
    if len(run_ids) != 2 or run_ids[0] == run_ids[1]:
        raise ValidationFailed.field(FIELD, "invalid", "Name two different runs: runIds=a,b (a is the baseline).")
    a, b = (_visible(actor, run_id) for run_id in run_ids)
    for run in (a, b):
        if run.status != RunStatus.SUCCEEDED:
            raise Conflict(f"Run {run.pk} is {run.status}; only runs that succeeded can be compared.", code="not_ended")
    if (a.dataset_id, a.dataset_digest) != (b.dataset_id, b.dataset_digest):
        message = f"The runs used different data ({a.dataset} and {b.dataset}); compare runs on the same benchmark."
        raise ValidationFailed.field(FIELD, "different_data", message)
    scores_a, scores_b = _scores(a), _scores(b)
    shared = sorted(set(scores_a) & set(scores_b))
    names = [name for name in _metric_order(a) if any(name in scores_b[place] for place in shared)]
    differences: list[Difference] = []
    for name in names:
        pairs = [place for place in shared if name in scores_a[place] and name in scores_b[place]]
        if pairs:
            left = [scores_a[place][name] for place in pairs]
            right = [scores_b[place][name] for place in pairs]
            found = paired_estimate(left, right, seed=a.seed, logarithmic=name in _LOWER)
            differences.append(
                Difference(
                    name,
                    found.a,
                    found.b,
                    found.difference,
                    found.low,
                    found.high,
                    found.p_value,
                    len(pairs),
                    name in _LOWER,
                )
            )
    return Comparison(
        runs=(a, b),
        differences=tuple(differences),
        recommendation=recommended(differences, len(shared)),
        paired_samples=len(shared),
        metrics={str(run.pk): run.metrics for run in (a, b)},
    )


def recommended(differences: Sequence[Difference], samples: int) -> Recommendation:
    """A verdict about B.

    promote: better in something, worse in nothing. reject: worse in something, better in nothing. hold: no
    difference beyond chance, or a trade-off. insufficient_evidence: too few samples, or nothing to compare.
    """
    if not differences:
        reason = "The runs have no metric in common. Evaluate both models with the same metrics."
        return Recommendation(Verdict.INSUFFICIENT_EVIDENCE, (reason,))
    if samples < MIN_SAMPLES:
        reason = (
            f"Only {samples} samples are paired; at least {MIN_SAMPLES} are needed to tell a difference from chance."
        )
        return Recommendation(Verdict.INSUFFICIENT_EVIDENCE, (reason,))
    better = [_sentence(entry, "better") for entry in differences if entry.better]
    worse = [_sentence(entry, "worse") for entry in differences if entry.worse]
    if better and worse:
        return Recommendation(Verdict.HOLD, (*better, *worse, "A person has to weigh this trade-off."))
    if better:
        return Recommendation(Verdict.PROMOTE, (*better, "No metric is worse beyond chance."))
    if worse:
        return Recommendation(Verdict.REJECT, (*worse, "No metric is better beyond chance."))
    reason = f"No metric differs beyond chance on {samples} samples."
    return Recommendation(Verdict.HOLD, (reason,))


def _sentence(entry: Difference, word: str) -> str:
    name = _LABELS.get(entry.metric, entry.metric)
    interval = f"95 % interval {entry.low:+.3g} to {entry.high:+.3g}, {_chance(entry.p_value)}"
    return f"{name} is {word}: {entry.run_a:.3g} to {entry.run_b:.3g} ({interval}, {entry.samples} samples)."


def _chance(p_value: float) -> str:
    """Nothing is certain: what rounds to zero is named by its bound."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def _visible(actor: User, run_id: str) -> EvaluationRun:
    try:
        return run_get(actor=actor, run_id=run_id)
    except NotFound as error:
        raise ValidationFailed(error.message, errors=[FieldError(FIELD, "not_found", error.message)]) from error


def _scores(run: EvaluationRun) -> dict[int, dict[str, float]]:
    return dict(EvaluationSample.objects.filter(run=run).values_list("index", "scores"))


def _metric_order(run: EvaluationRun) -> list[str]:
    """Known metrics in their usual order, then the rubric's criteria."""
    known = [metric.value for metric in Metric if metric.value in run.metrics]
    return known + sorted(set(run.metrics) - set(known))
