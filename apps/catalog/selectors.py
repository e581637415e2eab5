"""Reading the catalog. Every list, picker, page and API view begins here."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Exists, F, OuterRef, QuerySet

from apps.accounts.models import User
from apps.catalog import registry
from apps.catalog.cards import CardStatus, card_status
from apps.catalog.comparison import Comparison, compare_models
from apps.catalog.digest import model_digest
from apps.catalog.keys import signing_keys
from apps.catalog.lineage import DATASET, JOB, MODEL, Key, edges_into, impact, lineage_graph
from apps.catalog.models import ExternalSecret, ModelEntry, ModelFile, ModelSignature, Publication
from apps.catalog.scanning import missing_files
from apps.catalog.scanning.config_file import CONFIG_LIMIT
from apps.catalog.types import ModelStatus, PublicationStatus, ScanStatus
from apps.core.errors import NotFound
from apps.core.permissions import visible_to
from apps.core.storage import store
from apps.core.transitions import get_or_not_found
from apps.datasets.selectors import dataset_get
from apps.integrations.signing import PublicKey

__all__ = [
    "LineageSummary",
    "dataset_key",
    "impact",
    "lineage_graph",
    "model_card",
    "model_comparison",
    "model_digest",
    "model_files",
    "model_get",
    "model_key",
    "model_missing_files",
    "model_published",
    "model_signature",
    "model_version_named",
    "model_versions",
    "models_file_rows",
    "models_files",
    "models_lineage",
    "models_visible_to",
    "publications_of",
    "publications_visible_to",
    "signing_public_keys",
]


FILE_COLUMNS = ("filename", "kind", "format", "size", "sha256", "scan_status", "scan_reasons", "updated_at")
CONFIG_NAME = "config.json"


@dataclass(frozen=True, slots=True)
class LineageSummary:
    """What one model was made of, as far as the asking person may see it."""

    dataset_ids: tuple[UUID, ...] = ()
    base_model_id: UUID | None = None
    job_id: UUID | None = None


def models_visible_to(actor: User | None) -> QuerySet[ModelEntry]:
    """Return the models that exist for *actor*, newest first, with people, ``api_key_set``, ``is_published``."""
    published = Publication.objects.filter(model_id=OuterRef("pk"), status=PublicationStatus.CURRENT)
    secrets = ExternalSecret.objects.filter(model_id=OuterRef("pk"))
    return (
        visible_to(actor, ModelEntry.objects.all())
        .select_related("team", "submitted_by", "created_by")
        .annotate(api_key_set=Exists(secrets), is_published=Exists(published))
    )


def model_get(*, actor: User | None, model_id: UUID | str) -> ModelEntry:
    """Return one visible model; raises ``NotFound`` for absent, invisible and malformed ids alike."""
    return get_or_not_found(models_visible_to(actor), model_id, "model")


def model_key(*, actor: User | None, object_id: UUID | str) -> Key:
    """Return a visible model as a node of lineage; raises ``NotFound`` as :func:`model_get`."""
    return MODEL, model_get(actor=actor, model_id=object_id).pk


def dataset_key(*, actor: User | None, object_id: UUID | str) -> Key:
    """Return a visible dataset as a node of lineage; raises ``NotFound`` as :func:`dataset_get`."""
    return DATASET, dataset_get(actor=actor, dataset_id=object_id).pk


def model_versions(*, actor: User | None, model: ModelEntry) -> QuerySet[ModelEntry]:
    """Return the visible versions of the same model (team, name and type), newest version first."""
    same = models_visible_to(actor).filter(team_id=model.team_id, name=model.name, type=model.type)
    return same.order_by("-version_key")


def model_version_named(*, actor: User | None, model: ModelEntry, version_key: str) -> ModelEntry | None:
    """Return the visible version of *model* with this semantic key, if there is one."""
    return model_versions(actor=actor, model=model).filter(version_key=version_key).first()


def model_signature(model: ModelEntry) -> ModelSignature | None:
    """Return the signature of a visible *model*, or None when it has none."""
    return ModelSignature.objects.filter(model=model).first()


def model_files(model: ModelEntry) -> QuerySet[ModelFile]:
    """Return the files of *model* by name."""
    return model.files.select_related("uploaded_by").order_by("filename")


def publications_of(model: ModelEntry) -> QuerySet[Publication]:
    """Return all wishes about the published version of the name that *model* is a version of, newest first."""
    same = Publication.objects.filter(team_id=model.team_id, name=model.name, type=model.type)
    return same.select_related("model", "replaces", "created_by").order_by("-created_at", "id")


def publications_visible_to(actor: User | None, model: ModelEntry) -> QuerySet[Publication]:
    """Return those whose version exists for *actor*."""
    return publications_of(model).filter(model__in=models_visible_to(actor).values("pk"))


def model_published(*, actor: User | None, model: ModelEntry) -> ModelEntry | None:
    """Return the version to use of the name that *model* is a version of: the published one while it is approved,
    else the newest approved version; None when *actor* sees no approved version."""
    approved = model_versions(actor=actor, model=model).filter(status=ModelStatus.APPROVED)
    return approved.order_by(F("is_published").desc(), F("version_key").desc()).first()


def model_card(model: ModelEntry) -> CardStatus:
    """Return the card of *model* with what is missing."""
    return card_status(model.metadata)


def model_missing_files(model: ModelEntry) -> list[str]:
    """Return, in words, the files an internal model still lacks; external models need none."""
    if model.is_external:
        return []
    return missing_files(list(model.files.values_list("filename", flat=True)))


def models_lineage(actor: User | None, models: Sequence[ModelEntry]) -> dict[UUID, LineageSummary]:
    """Return what each of *models* was made of; constant queries for a whole page."""
    edges = edges_into([model.pk for model in models])
    seen: dict[str, Collection[UUID]] = {}
    for kind in (DATASET, MODEL, JOB):
        ids = {edge.source_id for rows in edges.values() for edge in rows if edge.source_kind == kind}
        seen[kind] = set(registry.lineage_nodes(actor, kind, ids)) if ids else set()
    summaries = {}
    for model in models:
        visible: dict[str, list[Any]] = {DATASET: [], MODEL: [], JOB: []}
        for edge in edges.get(model.pk, []):
            if edge.source_id in seen.get(edge.source_kind, ()):
                visible[edge.source_kind].append(edge.source_id)
        summaries[model.pk] = LineageSummary(
            tuple(visible[DATASET]), next(iter(visible[MODEL]), None), next(iter(visible[JOB]), None)
        )
    return summaries


def models_files(models: Collection[ModelEntry]) -> dict[UUID, list[ModelFile]]:
    """Return the files of each of *models* by name; one query."""
    files: dict[UUID, list[ModelFile]] = {model.pk: [] for model in models}
    for file in ModelFile.objects.filter(model_id__in=files).defer("facts").order_by("filename"):
        files[file.model_id].append(file)
    return files


def models_file_rows(models: Collection[ModelEntry]) -> dict[UUID, list[dict[str, Any]]]:
    """Return plain rows of the files of each of *models* by name; one query, no instances, for lists."""
    files: dict[UUID, list[dict[str, Any]]] = {model.pk: [] for model in models}
    rows = ModelFile.objects.filter(model_id__in=files).order_by("filename")
    for row in rows.values("model_id", *FILE_COLUMNS):
        files[row["model_id"]].append(row)
    return files


def model_comparison(*, actor: User | None, left: ModelEntry, right: ModelEntry) -> Comparison:
    """Compare two visible models, with what evaluation knows of them and the sources that *actor* may see."""
    pair = (left, right)
    files = models_files(pair)
    return compare_models(
        left,
        right,
        files=files,
        lineage=_source_labels(actor, pair),
        metrics=registry.evaluation_summaries([model.pk for model in pair]),
        configs=models_configs(files),
    )


def models_configs(files: Mapping[UUID, Sequence[ModelFile]]) -> dict[UUID, dict[str, Any]]:
    """Return the stored ``config.json`` of each model; one that was not scanned safe or is gone stays out."""
    configs: dict[UUID, dict[str, Any]] = {}
    for model_id, rows in files.items():
        for row in rows:
            if row.filename != CONFIG_NAME or row.scan_status != ScanStatus.SAFE or row.size > CONFIG_LIMIT:
                continue
            try:
                found = json.loads(b"".join(store().open_range(row.storage_key, 0, row.size)))
            except (NotFound, ValueError, RecursionError):
                continue
            if isinstance(found, dict):
                configs[model_id] = found
    return configs


def _source_labels(actor: User | None, models: Collection[ModelEntry]) -> dict[UUID, list[str]]:
    labels: dict[UUID, list[str]] = {}
    for pk, edges in edges_into([model.pk for model in models]).items():
        labels[pk] = []
        for edge in edges:
            node = registry.lineage_nodes(actor, edge.source_kind, [edge.source_id]).get(edge.source_id)
            if node is not None:
                labels[pk].append(f"{edge.get_relation_display()} {node.label}")
    return labels


def signing_public_keys() -> list[PublicKey]:
    """Return the public keys that signatures are checked with; no secret, anyone signed in may have them."""
    return signing_keys().public_keys()
