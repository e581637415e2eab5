"""Submitting, deciding, withdrawing, reopening: all through the generic approvals."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction

from apps.accounts.models import User
from apps.core import audit
from apps.core.errors import Conflict, FieldError
from apps.core.transitions import transition
from apps.datasets.gates import dataset_gates
from apps.datasets.models import Dataset
from apps.datasets.selectors import dataset_get
from apps.datasets.services.access import dataset_locked
from apps.datasets.services.entries import status_from
from apps.datasets.types import DATASET_TRANSITIONS, DatasetStatus
from apps.governance.services import approval_decide, approval_request, approval_withdraw, authorize

KIND = "dataset"
_DECISIONS: Mapping[str, str] = {
    DatasetStatus.APPROVED: "approve",
    DatasetStatus.REJECTED: "reject",
    DatasetStatus.DRAFT: "request_changes",
}


def dataset_submit(*, actor: User | None, dataset_id: object, notes: str = "") -> Dataset:
    """Ask for review. Raises GateRefused with the reasons, Conflict when it is not a draft."""
    dataset = dataset_get(actor=actor, dataset_id=dataset_id)
    authorize(actor=actor, action="dataset.submit", obj=dataset)
    if dataset.status != DatasetStatus.DRAFT:
        raise Conflict(f"{dataset} is {dataset.status}; only a draft can be submitted.", code="invalid_transition")
    approval_request(actor=actor, kind=KIND, subject_id=dataset.pk, notes=notes)
    return dataset_get(actor=actor, dataset_id=dataset_id)


def dataset_decide(*, actor: User | None, dataset_id: object, decision: str, notes: str = "") -> Dataset:
    """Approve, reject or request changes (``decision`` as in approvals). Four eyes hold for everybody."""
    dataset = dataset_get(actor=actor, dataset_id=dataset_id)
    approval_decide(actor=actor, kind=KIND, subject_id=dataset.pk, decision=decision, notes=notes)
    return dataset_get(actor=actor, dataset_id=dataset_id)


def dataset_withdraw(*, actor: User | None, dataset_id: object) -> Dataset:
    """Take a submission back; only who submitted may."""
    dataset = dataset_get(actor=actor, dataset_id=dataset_id)
    approval_withdraw(actor=actor, kind=KIND, subject_id=dataset.pk)
    return dataset_get(actor=actor, dataset_id=dataset_id)


def dataset_reopen(*, actor: User | None, dataset_id: object) -> Dataset:
    """Set a rejected dataset back to draft, so that it can be worked on."""
    with transaction.atomic():
        dataset = dataset_locked(actor=actor, dataset_id=dataset_id, action="dataset.change")
        if dataset.status != DatasetStatus.REJECTED:
            raise Conflict(f"{dataset} is {dataset.status}; only a rejected dataset is reopened.", code="not_rejected")
        transition(dataset, DatasetStatus.DRAFT, DATASET_TRANSITIONS)
        audit.record(actor=actor, action="datasets.dataset.reopened", resource=dataset)
    return dataset


def dataset_set_status(*, actor: User | None, dataset_id: object, status: str, notes: str = "") -> Dataset:
    """``PATCH …/status`` and the page's menu: finds the step that leads to ``status`` and takes it.

    Raises ValidationFailed (unknown status), Conflict (no such step from here), and what the step raises.
    """
    wanted = status_from(status)
    dataset = dataset_get(actor=actor, dataset_id=dataset_id)
    now = DatasetStatus(dataset.status)
    if wanted == DatasetStatus.PENDING_REVIEW:
        return dataset_submit(actor=actor, dataset_id=dataset_id, notes=notes)
    if now == DatasetStatus.PENDING_REVIEW:
        if wanted == DatasetStatus.DRAFT and actor is not None and dataset.submitted_by_id == actor.pk:
            return dataset_withdraw(actor=actor, dataset_id=dataset_id)
        return dataset_decide(actor=actor, dataset_id=dataset_id, decision=_DECISIONS[wanted], notes=notes)
    if now == DatasetStatus.REJECTED and wanted == DatasetStatus.DRAFT:
        return dataset_reopen(actor=actor, dataset_id=dataset_id)
    action = "dataset.change" if wanted == DatasetStatus.DRAFT else "dataset.approve"
    authorize(actor=actor, action=action, obj=dataset)
    raise _no_step(dataset, wanted)


def _no_step(dataset: Dataset, wanted: DatasetStatus) -> Conflict:
    """Why there is no way from here, and what is missing before there is one."""
    if dataset.status == wanted:
        return Conflict(f"{dataset} is {wanted.value} already.", code="invalid_transition")
    if dataset.status == DatasetStatus.APPROVED:
        text = f"{dataset} is approved and cannot become {wanted.value}. Create a new version instead."
        return Conflict(text, errors=[FieldError("status", "invalid_transition", text)], code="invalid_transition")
    text = f"{dataset} is {dataset.status}; it must be submitted for review before it can become {wanted.value}."
    errors = [FieldError("status", "invalid_transition", text)]
    failed = [gate for gate in dataset_gates(dataset) if not gate.passed]
    errors += [FieldError(gate.key, "gate_failed", f"{gate.reason} {gate.remedy}") for gate in failed]
    if failed:
        text += " Before that: " + "; ".join(gate.reason for gate in failed)
    return Conflict(text, errors=errors, code="invalid_transition")
