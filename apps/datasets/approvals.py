"""Datasets as a subject of approvals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import QuerySet

from apps.accounts.models import User
from apps.core import audit, clock
from apps.core.transitions import transition
from apps.datasets import registry
from apps.datasets.gates import dataset_gates
from apps.datasets.models import Dataset
from apps.datasets.retention import retention_end
from apps.datasets.selectors import author_ids, dataset_digest
from apps.datasets.types import DATASET_TRANSITIONS, DatasetStatus
from apps.governance.registry import ApprovalSubject, Stage
from apps.governance.types import GateResult

if TYPE_CHECKING:
    from apps.governance.models import ApprovalRequest


class DatasetApproval(ApprovalSubject):
    """Review of one dataset version: what was checked is what is approved."""

    kind = "dataset"
    label = "Dataset"
    submit_action = "dataset.submit"
    approve_action = "dataset.approve"

    def queryset(self) -> QuerySet[Dataset]:
        """All datasets, with what titles need."""
        return Dataset.objects.select_related("team")

    def author_ids(self, obj: Dataset) -> set[UUID | int]:
        """Who registered it, submitted it, or uploaded any of its files."""
        return author_ids(obj)

    def digest(self, obj: Dataset) -> str:
        """Files, rows, columns and description."""
        return dataset_digest(obj)

    def gates(self, obj: Dataset, stage: Stage) -> Sequence[GateResult]:
        """The same at both stages; at the decision the store is asked too."""
        return dataset_gates(obj, look_at_store=stage == "approve")

    def on_submitted(self, obj: Dataset, *, actor: User | None, request: ApprovalRequest) -> None:
        """Frozen from now on."""
        transition(obj, DatasetStatus.PENDING_REVIEW, DATASET_TRANSITIONS, submitted_by=actor, submitted_at=clock.now())
        self._record(obj, actor, "submitted", request)

    def on_approved(self, obj: Dataset, *, actor: User | None, request: ApprovalRequest) -> None:
        """May be used by jobs; immutable. A retention period counts from now."""
        now = clock.now()
        transition(
            obj,
            DatasetStatus.APPROVED,
            DATASET_TRANSITIONS,
            approved_by=actor,
            approved_at=now,
            digest=request.digest,
            retention_until=retention_end(obj, now),
        )
        self._record(obj, actor, "approved", request)

    def on_rejected(self, obj: Dataset, *, actor: User | None, request: ApprovalRequest) -> None:
        """Refused; its team may reopen it."""
        transition(obj, DatasetStatus.REJECTED, DATASET_TRANSITIONS)
        self._record(obj, actor, "rejected", request)

    def on_changes_requested(self, obj: Dataset, *, actor: User | None, request: ApprovalRequest) -> None:
        """Back to its authors."""
        transition(obj, DatasetStatus.DRAFT, DATASET_TRANSITIONS)
        self._record(obj, actor, "changes_requested", request)

    def on_withdrawn(self, obj: Dataset, *, actor: User | None, request: ApprovalRequest) -> None:
        """Taken back by who submitted it."""
        transition(obj, DatasetStatus.DRAFT, DATASET_TRANSITIONS)
        self._record(obj, actor, "withdrawn", request)

    def on_lapsed(self, obj: Dataset, *, actor: User | None, request: ApprovalRequest) -> None:
        """It is not what was (to be) approved any more."""
        if obj.status in {DatasetStatus.PENDING_REVIEW, DatasetStatus.APPROVED}:
            transition(obj, DatasetStatus.DRAFT, DATASET_TRANSITIONS, approved_by=None, approved_at=None)
            self._record(obj, actor, "lapsed", request)
            registry.dataset_changed(obj.pk)

    @staticmethod
    def _record(obj: Dataset, actor: User | None, what: str, request: ApprovalRequest) -> None:
        facts: dict[str, Any] = {"approval": str(request.pk), "digest": request.digest}
        if request.notes and what == "submitted":
            facts["notes"] = request.notes
        if request.closed_reason:
            facts["notes"] = request.closed_reason
        audit.record(actor=actor, action=f"datasets.dataset.{what}", resource=obj, metadata=facts)
