"""Deleting datasets: what stands in the way, what goes, and the proof that it is gone."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.accounts.models import User
from apps.core import audit, clock
from apps.core.errors import Conflict, FieldError, NotFound, ValidationFailed
from apps.core.storage import store
from apps.core.tasks import enqueue
from apps.datasets.models import Dataset, DatasetTombstone
from apps.datasets.registry import Blocker, dataset_changed, delete_blockers
from apps.datasets.selectors import dataset_get, datasets_visible_to
from apps.datasets.services.access import dataset_locked
from apps.datasets.services.comparisons import comparisons_forget
from apps.datasets.types import DatasetStatus
from apps.governance.labels import resource_labels
from apps.governance.services import authorize

logger = logging.getLogger(__name__)

TASK = "apps.datasets.tasks.dataset_files_remove"
MAX_REASON = 2_000
_LISTED = 50
_SWEPT = 200


@dataclass(frozen=True, slots=True)
class DeletionPlan:
    """What deleting would do: what stands in its way, which datasets lose their source, what leaves the store."""

    dataset: Dataset
    blockers: list[Blocker]
    derived: list[Dataset]
    hidden_derived: int
    files: int
    size_bytes: int

    @property
    def possible(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.blockers and self.dataset.status != DatasetStatus.PENDING_REVIEW


def dataset_deletion_plan(*, actor: User | None, dataset_id: object) -> DeletionPlan:
    """What deleting a dataset would do. Raises NotFound, PermissionRefused."""
    dataset = dataset_get(actor=actor, dataset_id=dataset_id)
    authorize(actor=actor, action="dataset.delete", obj=dataset)
    derived = datasets_visible_to(actor).filter(source_dataset=dataset)
    shown = list(derived[:_LISTED])
    return DeletionPlan(
        dataset=dataset,
        blockers=_blockers(actor, dataset),
        derived=shown,
        hidden_derived=dataset.derived_datasets.count() - len(shown),
        files=dataset.files.count(),
        size_bytes=_stored_bytes(dataset),
    )


def _blockers(actor: User | None, dataset: Dataset) -> list[Blocker]:
    """All blockers; those that do not exist for ``actor`` block without a name."""
    found = list(delete_blockers(dataset))
    visible = {
        kind: resource_labels.visible(actor, kind, [one.id for one in found if one.kind == kind])
        for kind in {one.kind for one in found}
    }
    named = [one for one in found if visible[one.kind] is None or one.id in (visible[one.kind] or ())]
    hidden = len(found) - len(named)
    if hidden:
        noun = "thing" if hidden == 1 else "things"
        named.append(Blocker("hidden", "", f"{hidden} {noun} of other teams, not visible to you"))
    return named


def _stored_bytes(dataset: Dataset) -> int:
    """Bytes of all objects of a dataset in the store; what is missing counts nothing."""
    total = 0
    for key in store().list(f"datasets/{dataset.pk}"):
        try:
            total += store().size(key)
        except NotFound:
            continue
    return total


def dataset_delete(*, actor: User | None, dataset_id: object, reason: str = "") -> DatasetTombstone:
    """Delete a dataset and its files; refused while something depends on it or it is in review.

    What was made from it stays: a redacted copy exists so that its source can go. The tombstone and the audit event
    keep what was deleted (digest, files with their hashes, bytes), by whom and why; a second event follows when the
    store is seen to hold nothing of it. Raises NotFound, PermissionRefused, ValidationFailed (``reason``), Conflict
    (one error per blocker).
    """
    if len(reason) > MAX_REASON or "\x00" in reason:
        raise ValidationFailed.field("reason", "invalid", f"Give a reason of at most {MAX_REASON:,} characters.")
    with transaction.atomic():
        dataset = dataset_locked(actor=actor, dataset_id=dataset_id, action="dataset.delete")
        if dataset.status == DatasetStatus.PENDING_REVIEW:
            raise Conflict(f"{dataset} is in review: withdraw it before deleting it.", code="in_review")
        _require_free(dataset, _blockers(actor, dataset))
        tombstone = _tombstone(actor, dataset, reason.strip())
        audit.record(
            actor=actor,
            action="datasets.dataset.deleted",
            resource=dataset,
            metadata={
                "name": dataset.name,
                "version": dataset.version,
                "digest": dataset.digest,
                "status": dataset.status,
                "files": tombstone.files,
                "bytes": tombstone.size_bytes,
                "rows": dataset.row_count,
                **({"reason": tombstone.reason} if tombstone.reason else {}),
            },
        )
        comparisons_forget(dataset)
        dataset_changed(dataset.pk)
        dataset.delete()
        # After the commit: files must not be gone while the row could come back. What fails here, the sweep repeats.
        enqueue(TASK, str(tombstone.pk))
    return tombstone


def _require_free(dataset: Dataset, blockers: Sequence[Blocker]) -> None:
    if not blockers:
        return
    errors = [
        FieldError(one.kind, "in_use", f"{one.kind.replace('_', ' ')} {one.label} ({one.id})" if one.id else one.label)
        for one in blockers
    ]
    listed = ", ".join(error.message for error in errors[:5])
    raise Conflict(
        f"{dataset} is still used by {listed}{' and more' if len(errors) > 5 else ''}. Remove these first.",
        errors=errors,
        code="in_use",
    )


def _tombstone(actor: User | None, dataset: Dataset, reason: str) -> DatasetTombstone:
    files: list[dict[str, Any]] = [
        {"name": name, "size": size, "sha256": digest}
        for name, size, digest in dataset.files.order_by("position").values_list("filename", "size", "sha256")
    ]
    return DatasetTombstone.objects.create(
        pk=dataset.pk,
        team=dataset.team,
        name=dataset.name,
        version=dataset.version,
        type=dataset.type,
        status=dataset.status,
        digest=dataset.digest,
        row_count=dataset.row_count,
        size_bytes=_stored_bytes(dataset),
        files=files,
        source_id=dataset.source_dataset_id,
        derivation=dataset.derivation,
        deleted_by=actor,
        deleted_at=clock.now(),
        reason=reason,
    )


def dataset_files_remove(tombstone_id: UUID | str) -> bool:
    """Remove the files of a deleted dataset and record the proof once the store holds none of them.

    Safe to repeat. Returns whether the store is empty of it.
    """
    tombstone = DatasetTombstone.objects.filter(pk=tombstone_id, files_removed_at=None).first()
    if tombstone is None or Dataset.objects.filter(pk=tombstone_id).exists():
        return tombstone is None
    prefix = f"datasets/{tombstone.pk}"
    removed = store().delete_prefix(prefix)
    left = store().list(prefix)
    if left:
        logger.warning("dataset_files_left", extra={"dataset_id": str(tombstone.pk), "left": len(left)})
        return False
    with transaction.atomic():
        now = clock.now()
        if not DatasetTombstone.objects.filter(pk=tombstone.pk, files_removed_at=None).update(files_removed_at=now):
            return True
        audit.record(
            actor=None,
            action="datasets.dataset.files_removed",
            resource_type=Dataset.AUDIT_TYPE,
            resource_id=str(tombstone.pk),
            team_id=tombstone.team_id,
            metadata={
                "name": tombstone.name,
                "version": tombstone.version,
                "digest": tombstone.digest,
                "objectsRemoved": removed,
                "objectsLeft": 0,
                "bytes": tombstone.size_bytes,
            },
        )
    return True


def deletions_reconcile() -> int:
    """Remove files of deleted datasets that a lost message or a store that was away left behind. Returns how many
    datasets are clean now."""
    waiting = DatasetTombstone.objects.filter(files_removed_at=None).order_by("deleted_at")
    return sum(dataset_files_remove(pk) for pk in waiting.values_list("pk", flat=True)[:_SWEPT])
