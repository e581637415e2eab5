"""Taking back an approved dataset: consent was withdrawn, something was found in it. What rests on it is told."""

from __future__ import annotations

from django.db import transaction
from django.urls import reverse

from apps.accounts.models import User
from apps.core import audit
from apps.core.errors import Conflict, ValidationFailed
from apps.core.permissions import can
from apps.core.transitions import transition
from apps.datasets.models import Dataset
from apps.datasets.registry import dataset_changed
from apps.datasets.services.access import dataset_locked
from apps.datasets.types import DATASET_TRANSITIONS, DatasetStatus
from apps.governance.services import approvals_lapse, notices_send

KIND = "dataset"
REASON_LIMIT = 1_000


@transaction.atomic
def dataset_recall(*, actor: User | None, dataset_id: object, reason: str) -> Dataset:
    """End the approval of a dataset; it is a draft again, no job may start from it, models made of it lapse too.

    Who may change it or who may approve it may recall it.

    Raises:
        ValidationFailed: no reason, or too long a one.
        NotFound, PermissionRefused.
        Conflict: it is not approved.
    """
    reason = reason.strip()
    if not reason or len(reason) > REASON_LIMIT or "\x00" in reason:
        raise ValidationFailed.field(
            "reason", "required", f"Say why it is recalled, in at most {REASON_LIMIT:,} characters."
        )
    dataset = dataset_locked(actor=actor, dataset_id=dataset_id, action="dataset.view")
    action = "dataset.approve" if can(actor, "dataset.approve", dataset) else "dataset.change"
    dataset = dataset_locked(actor=actor, dataset_id=dataset_id, action=action)
    if dataset.status != DatasetStatus.APPROVED:
        raise Conflict(f"{dataset} is {dataset.status}; only an approved dataset can be recalled.", code="not_approved")
    approved_at = dataset.approved_at
    if not approvals_lapse(kind=KIND, subject_id=dataset.pk, reason=reason, actor=actor):
        # Approved before there were requests: there is only the status.
        transition(dataset, DatasetStatus.DRAFT, DATASET_TRANSITIONS, approved_by=None, approved_at=None)
        dataset_changed(dataset.pk)
    dataset.refresh_from_db()
    audit.record(actor=actor, action="datasets.dataset.recalled", resource=dataset, metadata={"reason": reason})
    notices_send(
        recipients={dataset.created_by_id, dataset.submitted_by_id} - {actor.pk if actor is not None else None},
        about=dataset,
        key=f"dataset_recalled:{dataset.pk}:{approved_at.isoformat() if approved_at else ''}",
        tone="warning",
        title=f"{dataset} was recalled",
        text=f"{reason} No job may start from it; approvals of models that were made of it lapse.",
        url=reverse("datasets:dataset-detail", args=[dataset.pk]),
    )
    return dataset
