"""Who reviews what: the people named by the starter, each with an equal share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError

from apps.accounts.models import Team, User
from apps.core.errors import FieldError, ValidationFailed
from apps.core.permissions import can
from apps.evaluation.models import EvaluationRun, EvaluationSample, ReviewAssignment

FIELD = "reviewerIds"


def reviewers_checked(ids: Sequence[Any], *, team: Team, needed: int) -> tuple[User, ...]:
    """The people behind ids or user names, each of whom may review in ``team``; empty: any reviewer.

    A name that does not exist and one that may not review get the same answer.
    """
    if not ids:
        return ()
    errors: list[FieldError] = []
    found: list[User] = []
    for value in dict.fromkeys(str(entry) for entry in ids):
        person = _person(value)
        if person is None or not can(person, "evaluation_run.review", team=team):
            message = f"{value[:60]!r} is nobody who reviews for team {team.slug}."
            errors.append(FieldError(FIELD, "not_a_reviewer", message))
        else:
            found.append(person)
    if not errors and len(found) < needed:
        message = f"Each sample needs {needed} reviews; name at least as many reviewers."
        errors.append(FieldError(FIELD, "too_few", message))
    if errors:
        raise ValidationFailed(errors[0].message, errors=errors)
    return tuple(found)


def _person(value: str) -> User | None:
    people = User.objects.filter(is_active=True)
    try:
        return people.filter(pk=UUID(value)).first()
    except (ValueError, ValidationError):
        return people.filter(username=value).first()


def samples_assigned(run: EvaluationRun, reviewers: Sequence[User]) -> None:
    """Deal the samples out in turns, so that loads differ by one at most. Without reviewers nothing is assigned."""
    if not reviewers:
        return
    ReviewAssignment.objects.filter(run=run).delete()
    rows: list[ReviewAssignment] = []
    turn = 0
    for sample in EvaluationSample.objects.filter(run=run).order_by("index").only("pk"):
        for _ in range(run.reviews_per_sample):
            rows.append(ReviewAssignment(run=run, sample=sample, reviewer=reviewers[turn % len(reviewers)]))
            turn += 1
    ReviewAssignment.objects.bulk_create(rows, batch_size=1_000)
