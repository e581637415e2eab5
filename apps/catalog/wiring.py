"""What the catalog registers with lower apps, and the lineage kinds that live here and below."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.urls import NoReverseMatch, reverse

from apps.accounts.models import User
from apps.catalog import registry
from apps.catalog.approvals import ModelSubject
from apps.catalog.lineage import DATASET, MODEL, resolve_models
from apps.catalog.models import ModelEntry
from apps.catalog.selectors import models_visible_to
from apps.catalog.types import LineageNode, Panel
from apps.core.permissions import can
from apps.datasets.selectors import datasets_by_ids
from apps.governance.labels import resource_labels
from apps.governance.registry import subjects
from apps.governance.selectors.costs import cost_for_model


def resolve_datasets(actor: User | None, ids: Collection[UUID]) -> dict[UUID, LineageNode]:
    """Return nodes of the datasets among *ids* that *actor* may see."""
    return {
        dataset.pk: LineageNode(
            DATASET,
            str(dataset.pk),
            f"{dataset.name} {dataset.version}",
            _dataset_url(dataset.pk),
            dataset.status,
        )
        for dataset in datasets_by_ids(actor=actor, ids=ids).values()
    }


def _dataset_url(pk: UUID) -> str:
    try:
        return reverse("datasets:dataset-detail", args=[pk])
    except NoReverseMatch:
        return ""


def cost_panel(actor: User, model: ModelEntry) -> Panel | None:
    """Return what the model has cost, for those who may see its team's costs."""
    if not can(actor, "cost.view", team=model.team):
        return None
    return Panel("Cost", "catalog/_cost_panel.html", {"cost": cost_for_model(model.pk, actor=actor)}, order=90)


def register() -> None:
    """Called once by the application's ``ready()``."""
    subjects.register(ModelSubject())
    resource_labels.register_objects("model", models_visible_to, url_name="catalog:model-detail")
    registry.register_lineage_kind(MODEL, resolve_models)
    registry.register_lineage_kind(DATASET, resolve_datasets)
    registry.register_model_panel(cost_panel)
