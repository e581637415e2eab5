"""Human reviews: taken one by one or together, checked against the rubric, added up at the end."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F

from apps.accounts.models import User
from apps.core import audit, clock
from apps.core.errors import Conflict, Denial, FieldError, PermissionRefused, ValidationFailed
from apps.core.transitions import get_locked, transition
from apps.evaluation import agreement
from apps.evaluation.models import EvaluationRun, EvaluationSample, HumanReview, ReviewAssignment
from apps.evaluation.rubric import MAX_TEXT, Criterion, CriterionType, Rubric, scores_checked
from apps.evaluation.selectors import may_review, runs_visible_to
from apps.evaluation.statistics import mean_estimate
from apps.evaluation.types import RUN_TRANSITIONS, RunStatus
from apps.governance.services import authorize

MAX_REVIEWS_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class ReviewInput:
    """One review as sent."""

    sample_id: UUID
    scores: Any
    comment: str = ""


@transaction.atomic
def reviews_submit(*, actor: User, run_id: object, reviews: Sequence[ReviewInput]) -> EvaluationRun:
    """Take all of ``reviews`` or none; the last one needed ends the run.

    Raises Conflict when the run is not open, a sample has its reviews already, or ``actor`` has judged it before.
    """
    run = get_locked(runs_visible_to(actor), run_id, "evaluation run")
    _authorize(actor, run)
    if run.status != RunStatus.AWAITING_REVIEW:
        raise Conflict(f"This run is {run.status}; only runs that await review take reviews.", code="not_open")
    if not 1 <= len(reviews) <= MAX_REVIEWS_AT_ONCE:
        raise ValidationFailed.field("reviews", "invalid", f"Send 1 to {MAX_REVIEWS_AT_ONCE} reviews.")
    rubric = Rubric.stored(run.rubric)
    samples = {sample.pk: sample for sample in run.samples.filter(pk__in=[entry.sample_id for entry in reviews])}
    for place, entry in enumerate(reviews):
        prefix = f"reviews[{place}]." if len(reviews) > 1 else ""
        sample = samples.get(entry.sample_id)
        if sample is None:
            message = f"The run has no sample {entry.sample_id}."
            raise ValidationFailed.field(f"{prefix}sampleId", "not_found", message)
        _take(actor, run, sample, entry, scores_checked(rubric, entry.scores, f"{prefix}scores"), prefix)
    audit.record(actor=actor, action="evaluation.samples.reviewed", resource=run, metadata={"reviews": len(reviews)})
    if not run.samples.filter(review_count__lt=run.reviews_per_sample).exists():
        _finish(run, rubric)
    return run


def _authorize(actor: User, run: EvaluationRun) -> None:
    """Assignees may review what they were given; otherwise the role decides. Policies are asked in both cases."""
    if not ReviewAssignment.objects.filter(run=run).exists():
        authorize(actor=actor, action="evaluation_run.review", obj=run)
    elif not may_review(actor, run):
        denial = Denial(
            actor=actor,
            action="governance.evaluation_run_review.denied",
            resource_type=run.AUDIT_TYPE,
            resource_id=str(run.pk),
            team_id=run.team_id,
        )
        raise PermissionRefused("This review was assigned to other people.", denial=denial)
    else:
        authorize(actor=actor, action="evaluation_run.review", obj=run)


def _take(
    actor: User,
    run: EvaluationRun,
    sample: EvaluationSample,
    entry: ReviewInput,
    scores: dict[str, Any],
    prefix: str,
) -> None:
    if len(entry.comment) > MAX_TEXT:
        raise ValidationFailed.field(f"{prefix}comment", "too_long", f"A comment has at most {MAX_TEXT} letters.")
    assigned = ReviewAssignment.objects.filter(run=run)
    if assigned.exists() and not assigned.filter(sample=sample, reviewer=actor).exists():
        raise Conflict(f"Sample {sample.index} was assigned to somebody else.", code="not_assigned")
    if HumanReview.objects.filter(sample=sample, reviewer=actor).exists():
        message = f"You have reviewed sample {sample.index} already."
        raise Conflict(message, errors=[FieldError(f"{prefix}sampleId", "reviewed", message)], code="reviewed")
    # The run is locked, so the count cannot change beside us.
    if EvaluationSample.objects.get(pk=sample.pk).review_count >= run.reviews_per_sample:
        message = f"Sample {sample.index} has all the reviews it needs."
        raise Conflict(message, errors=[FieldError(f"{prefix}sampleId", "complete", message)], code="complete")
    HumanReview.objects.create(run=run, sample=sample, reviewer=actor, scores=scores, comment=entry.comment.strip())
    EvaluationSample.objects.filter(pk=sample.pk).update(review_count=F("review_count") + 1)


def _finish(run: EvaluationRun, rubric: Rubric) -> None:
    by_sample: dict[UUID, dict[Any, HumanReview]] = defaultdict(dict)
    for review in run.reviews.all():
        by_sample[review.sample_id][review.reviewer_id] = review
    metrics, agreed = dict(run.metrics), {}
    for criterion in rubric.criteria:
        ratings = [
            {
                person: review.scores[criterion.name]
                for person, review in people.items()
                if criterion.name in review.scores
            }
            for people in by_sample.values()
        ]
        ratings = [item for item in ratings if item]
        figure = _aggregate(criterion, ratings, run.seed)
        if figure is not None:
            metrics[criterion.name] = figure
        if criterion.type != CriterionType.TEXT:
            agreed[criterion.name] = agreement_of(criterion, ratings)
    for sample in run.samples.all():
        people = by_sample.get(sample.pk, {})
        sample.scores = sample.scores | _sample_scores(rubric, list(people.values()))
        sample.save(update_fields=["scores"])
    transition(
        run,
        RunStatus.SUCCEEDED,
        RUN_TRANSITIONS,
        metrics=metrics,
        agreement=agreed,
        finished_at=clock.now(),
        message=f"{sum(len(people) for people in by_sample.values())} reviews of {len(by_sample)} samples.",
    )
    audit.record(actor=None, action="evaluation.run.succeeded", resource=run)


def _numbers(criterion: Criterion, values: Sequence[Any]) -> list[float]:
    return [float(value) for value in values] if criterion.type in ("pass_fail", "scale") else []


def _aggregate(criterion: Criterion, ratings: Sequence[dict[Any, Any]], seed: int) -> dict[str, Any] | None:
    """Mean of the samples' means with its interval (pass_fail: the share that passed); counts for choices."""
    if criterion.type == CriterionType.CHOICE:
        counts = Counter(value for item in ratings for value in item.values())
        total = counts.total()
        return {"counts": dict(counts), "value": max(counts.values()) / total, "most": counts.most_common(1)[0][0]}
    means = [sum(numbers) / len(numbers) for item in ratings if (numbers := _numbers(criterion, list(item.values())))]
    if not means:
        return None
    found = mean_estimate(means, seed=seed)
    return {
        "value": round(found.value, 6),
        "low": round(found.low, 6),
        "high": round(found.high, 6),
        "samples": len(means),
    }


def agreement_of(criterion: Criterion, ratings: Sequence[dict[Any, Any]]) -> dict[str, float]:
    """The statistics that say something about these ratings, by the API's names."""
    found = {
        "cohenKappa": agreement.cohen_kappa(ratings),
        "fleissKappa": agreement.fleiss_kappa(ratings),
        "krippendorffAlpha": agreement.krippendorff_alpha(ratings, interval=criterion.type == CriterionType.SCALE),
    }
    return {name: round(value, 6) for name, value in found.items() if value is not None}


def _sample_scores(rubric: Rubric, reviews: Sequence[HumanReview]) -> dict[str, float]:
    """The mean per criterion, so that runs can be compared in pairs by human judgement too."""
    scores: dict[str, float] = {}
    for criterion in rubric.criteria:
        given = [review.scores[criterion.name] for review in reviews if criterion.name in review.scores]
        numbers = _numbers(criterion, given)
        if numbers:
            scores[criterion.name] = round(sum(numbers) / len(numbers), 6)
    return scores
