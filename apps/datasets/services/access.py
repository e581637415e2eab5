"""The first step of every service: the row, locked, if it exists for the actor and the action is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.accounts.models import User
from apps.core.errors import Conflict
from apps.core.transitions import get_locked
from apps.datasets.models import Dataset
from apps.datasets.selectors import datasets_visible_to
from apps.datasets.types import DatasetStatus
from apps.governance.services import authorize

_WHY_FROZEN: Mapping[str, str] = {
    DatasetStatus.PENDING_REVIEW: "It is in review: withdraw it first.",
    DatasetStatus.APPROVED: "It is approved and cannot change: create a new version.",
    DatasetStatus.REJECTED: "It was rejected: set it back to draft first.",
}


def dataset_locked(
    *, actor: User | None, dataset_id: object, action: str, context: Mapping[str, Any] | None = None
) -> Dataset:
    """The dataset, locked until the transaction ends. Raises NotFound or PermissionRefused."""
    dataset = get_locked(datasets_visible_to(actor), dataset_id, what="dataset")
    authorize(actor=actor, action=action, obj=dataset, context=context)
    return dataset


def require_draft(dataset: Dataset, what: str) -> None:
    """Raise Conflict unless the dataset may still change."""
    if dataset.status != DatasetStatus.DRAFT:
        why = _WHY_FROZEN[dataset.status]
        raise Conflict(f"{dataset} cannot {what} while its status is {dataset.status}. {why}", code="not_draft")
