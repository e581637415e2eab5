"""What the catalog registers with lower apps, and the lineage kinds that live here and below."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.apps import apps as django_apps
from django.urls import NoReverseMatch, reverse

from apps.accounts.models import User
from apps.catalog import registry
from apps.catalog.approvals import ModelSubject
from apps.catalog.lineage import DATASET, MODEL, resolve_models
from apps.catalog.types import LineageNode
from apps.core.permissions import visible_to
from apps.governance.registry import subjects


def resolve_datasets(actor: User | None, ids: Collection[UUID]) -> dict[UUID, LineageNode]:
    """Return nodes of the datasets among *ids* that *actor* may see."""
    try:
        table = django_apps.get_model("datasets", "Dataset")
    except LookupError:
        return {}
    return {
        dataset.pk: LineageNode(DATASET, str(dataset.pk), str(dataset), _dataset_url(dataset.pk), dataset.status)
        for dataset in visible_to(actor, table._default_manager.filter(pk__in=ids))
    }


def _dataset_url(pk: UUID) -> str:
    try:
        return reverse("datasets:dataset-detail", args=[pk])
    except NoReverseMatch:
        return ""


def register() -> None:
    """Called once by the application's ``ready()``."""
    subjects.register(ModelSubject())
    registry.register_lineage_kind(MODEL, resolve_models)
    registry.register_lineage_kind(DATASET, resolve_datasets)
