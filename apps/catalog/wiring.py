"""What the catalog registers with lower apps, and the lineage kinds that live here and below."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.urls import NoReverseMatch, reverse

from apps.accounts.models import User
from apps.catalog import registry
from apps.catalog.approvals import ModelSubject
from apps.catalog.bundle_documents import approvals_document, lineage_document
from apps.catalog.lineage import DATASET, MODEL, NODE_LIMIT, Key, resolve_models
from apps.catalog.models import LineageEdge, ModelEntry
from apps.catalog.panels import connection_panel, export_panel
from apps.catalog.publications import PublicationSubject
from apps.catalog.selectors import models_visible_to
from apps.catalog.services.incoming import ModelUploads
from apps.catalog.services.lapses import CHANGED
from apps.catalog.types import LineageNode, LineageRelation, ModelStatus, Panel, SourceState
from apps.core.crypto import register_encrypted
from apps.core.permissions import can
from apps.core.tasks import enqueue
from apps.core.uploads.targets import targets
from apps.datasets import registry as datasets
from apps.datasets.models import Dataset
from apps.datasets.selectors import datasets_by_ids, tombstones_by_ids
from apps.datasets.types import DatasetStatus
from apps.governance.labels import resource_labels
from apps.governance.registry import subjects
from apps.governance.selectors.costs import cost_for_model


def resolve_datasets(actor: User | None, ids: Collection[UUID]) -> dict[UUID, LineageNode]:
    """Return nodes of the datasets among *ids* that *actor* may see, deleted ones by their name."""
    gone = {
        left.pk: LineageNode(DATASET, str(left.pk), str(left), "", "deleted")
        for left in tombstones_by_ids(actor=actor, ids=ids).values()
    }
    return gone | {
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


def model_states(ids: Collection[UUID]) -> dict[UUID, SourceState]:
    """How base models stand. The digest of an approval covers files, card and what they were made of themselves."""
    return {
        model.pk: SourceState(
            str(model),
            model.status,
            model.digest,
            approved=model.status == ModelStatus.APPROVED,
            refused=model.status in (ModelStatus.REJECTED, ModelStatus.DEPRECATED),
        )
        for model in ModelEntry.objects.filter(pk__in=ids)
    }


def dataset_states(ids: Collection[UUID]) -> dict[UUID, SourceState]:
    """How datasets stand; their content is their rows."""
    return {
        dataset.pk: SourceState(
            str(dataset),
            dataset.status,
            dataset.rows_sha256,
            approved=dataset.status == DatasetStatus.APPROVED,
            refused=dataset.status == DatasetStatus.REJECTED,
        )
        for dataset in Dataset.objects.filter(pk__in=ids)
    }


def dataset_changed(dataset_id: UUID) -> None:
    """A dataset is not what it was: look at the approvals that rest on it, once this transaction is over."""
    enqueue(CHANGED, DATASET, str(dataset_id))


def dataset_links(keys: Collection[Key], upwards: bool) -> list[registry.LineageLink]:
    """Datasets that were made of datasets (redacted, repaired, split)."""
    ids = [pk for kind, pk in keys if kind == DATASET]
    if not ids:
        return []
    rows = Dataset.objects.filter(**{"pk__in" if upwards else "source_dataset__in": ids}, source_dataset__isnull=False)
    return _deleted_sources(ids if upwards else []) + [
        ((DATASET, source), (DATASET, pk), LineageRelation.DERIVED_FROM)
        for pk, source in rows.values_list("pk", "source_dataset_id")[: NODE_LIMIT * 4]
        if source is not None
    ]


def _deleted_sources(ids: Collection[UUID]) -> list[registry.LineageLink]:
    """Links to sources that were deleted: what was made of them remembers their id."""
    orphans = Dataset.objects.filter(pk__in=ids, source_dataset=None, derivation__has_key="sourceId")
    return [
        ((DATASET, UUID(source)), (DATASET, pk), LineageRelation.DERIVED_FROM)
        for pk, source in orphans.values_list("pk", "derivation__sourceId")[: NODE_LIMIT * 4]
    ]


def dataset_blockers(dataset: Dataset) -> list[datasets.Blocker]:
    """Models that say they were trained on a dataset keep it: it is part of their evidence."""
    made = LineageEdge.objects.filter(source_kind=DATASET, source_id=dataset.pk, target_kind=MODEL)
    models = ModelEntry.objects.filter(pk__in=made.values("target_id")).order_by("name", "version_key")[:20]
    return [datasets.Blocker(MODEL, str(model.pk), str(model)) for model in models]


def cost_panel(actor: User, model: ModelEntry) -> Panel | None:
    """Return what the model has cost, for those who may see its team's costs."""
    if not can(actor, "cost.view", team=model.team):
        return None
    return Panel("Cost", "catalog/_cost_panel.html", {"cost": cost_for_model(model.pk, actor=actor)}, order=90)


def register() -> None:
    """Called once by the application's ``ready()``."""
    subjects.register(ModelSubject())
    targets.register(ModelUploads())
    subjects.register(PublicationSubject())
    resource_labels.register_objects("model", models_visible_to, url_name="catalog:model-detail")
    registry.register_lineage_kind(MODEL, resolve_models)
    registry.register_lineage_kind(DATASET, resolve_datasets)
    registry.register_source_states(MODEL, model_states)
    registry.register_source_states(DATASET, dataset_states)
    registry.register_lineage_links(dataset_links)
    datasets.register_change_listener(dataset_changed)
    datasets.register_delete_blockers(dataset_blockers)
    registry.register_model_panel(cost_panel)
    registry.register_model_panel(export_panel)
    registry.register_model_panel(connection_panel)
    register_encrypted("catalog.ExternalSecret", "ciphertext")
    register_encrypted("catalog.ModelImport", "token_ciphertext")
    registry.register_bundle_document("lineage", lineage_document)
    registry.register_bundle_document("approvals", approvals_document)
