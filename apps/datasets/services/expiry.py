"""Retention: what is over is said once; a reviewer may extend it; it is deleted only where the settings say so."""

from __future__ import annotations

import logging
from datetime import date, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.urls import reverse

from apps.accounts.models import User
from apps.core import audit, clock
from apps.core.errors import Conflict, Denial, DomainError, FieldError, PermissionRefused, ValidationFailed
from apps.datasets.approvals import DatasetApproval
from apps.datasets.models import Dataset
from apps.datasets.services.access import dataset_locked
from apps.datasets.services.deletion import dataset_delete
from apps.datasets.types import DatasetStatus
from apps.governance.four_eyes import four_eyes_reason
from apps.governance.services import notices_send

logger = logging.getLogger(__name__)

_SWEPT = 500
_LAST_YEAR = 9_999


def retention_sweep() -> tuple[int, int]:
    """Mark datasets whose retention is over and tell their people; delete those that the settings give up. Returns
    how many were marked and how many deleted."""
    today = clock.now().date()
    over = Dataset.objects.filter(retention_until__lt=today, expired_at=None).values_list("pk", flat=True)
    marked = sum(_mark(pk) for pk in list(over[:_SWEPT]))
    return marked, _delete_given_up(today)


def _mark(pk: UUID) -> bool:
    with transaction.atomic():
        dataset = Dataset.objects.select_for_update(of=("self",)).select_related("team").filter(pk=pk).first()
        if dataset is None or dataset.expired_at is not None or not dataset.is_expired:
            return False
        dataset.expired_at = clock.now()
        dataset.save(update_fields=["expired_at"])
        audit.record(
            actor=None,
            action="datasets.dataset.expired",
            resource=dataset,
            metadata={"until": str(dataset.retention_until), "status": dataset.status},
        )
        notices_send(
            recipients=[dataset.created_by_id, dataset.submitted_by_id],
            about=dataset,
            key=f"dataset_expired:{dataset.pk}:{dataset.retention_until}",
            tone="warning",
            title=f"The retention of {dataset} is over",
            text=f"It ended on {dataset.retention_until}. New jobs and evaluations may not use it any more. "
            f"Delete it, or ask a reviewer to extend the retention.{_what_follows(dataset)}",
            url=reverse("datasets:dataset-detail", args=[dataset.pk]),
        )
    return True


def _what_follows(dataset: Dataset) -> str:
    if not _given_up(dataset):
        return ""
    return f" Otherwise it is deleted after {settings.DATASETS_RETENTION_GRACE_DAYS} days."


def _given_up(dataset: Dataset) -> bool:
    """Whether the settings let the sweep delete such a dataset."""
    policy = settings.DATASETS_RETENTION_DELETE
    return policy == "all" or (policy == "unapproved" and dataset.status != DatasetStatus.APPROVED)


def _delete_given_up(today: date) -> int:
    if settings.DATASETS_RETENTION_DELETE == "never":
        return 0
    before = today - timedelta(days=settings.DATASETS_RETENTION_GRACE_DAYS)
    # Said first, deleted later: nobody loses data that they were not told about.
    candidates = Dataset.objects.exclude(expired_at=None).filter(
        retention_until__lt=before, expired_at__lt=clock.now() - timedelta(days=settings.DATASETS_RETENTION_GRACE_DAYS)
    )
    deleted = 0
    for dataset in candidates.order_by("retention_until")[:_SWEPT]:
        if not _given_up(dataset):
            continue
        try:
            dataset_delete(
                actor=None, dataset_id=dataset.pk, reason=f"The retention ended on {dataset.retention_until}."
            )
            deleted += 1
        except DomainError as error:
            # In review or in use: it stays blocked for new work, and the next sweep looks again.
            logger.info("expired_dataset_kept", extra={"dataset_id": str(dataset.pk), "why": error.message[:200]})
    return deleted


def retention_extend(*, actor: User, dataset_id: object, until: date, reason: str) -> Dataset:
    """Keep an approved dataset longer than its data sheet says; a reviewer who is no author of it decides.

    The sheet itself is part of what was approved and stays. Raises NotFound, PermissionRefused, Conflict (not approved:
    the sheet can be changed), ValidationFailed (a day that is over or no extension; no reason).
    """
    errors = []
    today = clock.now().date()
    if until <= today or until.year >= _LAST_YEAR:
        errors.append(FieldError("until", "invalid", "Name a day after today."))
    if not reason.strip() or len(reason) > 2_000 or "\x00" in reason:
        errors.append(FieldError("reason", "required", "Say in up to 2,000 characters why it is kept longer."))
    with transaction.atomic():
        dataset = dataset_locked(actor=actor, dataset_id=dataset_id, action="dataset.approve")
        authors = DatasetApproval().author_ids(dataset)
        if why := four_eyes_reason(actor_id=actor.pk, requester_id=None, author_ids=authors, title=str(dataset)):
            denial = Denial(
                actor=actor,
                action="datasets.retention.denied",
                resource_type=Dataset.AUDIT_TYPE,
                resource_id=str(dataset.pk),
                team_id=dataset.team_id,
            )
            raise PermissionRefused(why, code="four_eyes", denial=denial)
        if dataset.status != DatasetStatus.APPROVED:
            raise Conflict(
                f"{dataset} is {dataset.status}: change the retention in its data sheet instead.", code="not_approved"
            )
        before = dataset.retention_until
        if before is None:
            raise Conflict(f"{dataset} is kept without an end already.", code="no_end")
        if not errors and until <= before:
            errors.append(FieldError("until", "invalid", f"It is kept until {before} already; name a later day."))
        if errors:
            raise ValidationFailed(errors[0].message, errors=errors)
        dataset.retention_until, dataset.expired_at = until, None
        dataset.save(update_fields=["retention_until", "expired_at"])
        audit.record(
            actor=actor,
            action="datasets.dataset.retention_extended",
            resource=dataset,
            metadata={"before": str(before), "until": str(until), "reason": reason.strip()},
        )
    return dataset
