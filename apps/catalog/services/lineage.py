"""Writing lineage: edges that other apps add, and what a person says a model was made of."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction

from apps.accounts.models import User
from apps.catalog import registry
from apps.catalog.lineage import DATASET, MODEL
from apps.catalog.models import LineageEdge, ModelEntry
from apps.catalog.types import LineageRelation
from apps.core.errors import ValidationFailed

SOURCE_LIMIT = 200


@transaction.atomic
def lineage_add(
    *,
    source_kind: str,
    source_id: UUID,
    target_kind: str,
    target_id: UUID,
    relation: str,
    actor: User | None = None,
) -> LineageEdge:
    """Add the edge source → target; adding it again changes nothing. For services, which checked permission."""
    edge, _ = LineageEdge.objects.get_or_create(
        source_kind=source_kind,
        source_id=source_id,
        target_kind=target_kind,
        target_id=target_id,
        relation=relation,
        defaults={"created_by": actor},
    )
    return edge


def lineage_forget(*, kind: str, object_id: UUID) -> int:
    """Remove every edge of a deleted thing; returns how many."""
    into, _ = LineageEdge.objects.filter(target_kind=kind, target_id=object_id).delete()
    out, _ = LineageEdge.objects.filter(source_kind=kind, source_id=object_id).delete()
    return into + out


def sources_set(
    *,
    actor: User | None,
    model: ModelEntry,
    dataset_ids: Sequence[UUID] | None = None,
    base_model_id: UUID | bool | None = False,
) -> None:
    """Make the datasets and the base model of the locked *model* exactly these.

    ``dataset_ids=None`` and ``base_model_id=False`` leave that part alone; ``base_model_id=None`` removes the base.
    What *actor* cannot see is neither added nor removed.
    """
    if dataset_ids is not None:
        _set(actor, model, DATASET, LineageRelation.TRAINED_ON, list(dict.fromkeys(dataset_ids)), "lineageDatasetIds")
    if not isinstance(base_model_id, bool):
        wanted = [base_model_id] if base_model_id is not None else []
        _set(actor, model, MODEL, LineageRelation.DERIVED_FROM, wanted, "baseModelId")


def _set(actor: User | None, model: ModelEntry, kind: str, relation: str, wanted: list[UUID], field: str) -> None:
    if len(wanted) > SOURCE_LIMIT:
        raise ValidationFailed.field(field, "too_many", f"At most {SOURCE_LIMIT} sources can be linked.")
    if kind == MODEL and model.pk in wanted:
        raise ValidationFailed.field(field, "self", "A model cannot be its own base.")
    known = registry.lineage_nodes(actor, kind, wanted)
    for pk in wanted:
        if pk not in known:
            what = "dataset" if kind == DATASET else "model"
            raise ValidationFailed.field(field, "unknown", f"There is no {what} {pk} that you can see.")
    if kind == MODEL and wanted and _descends_from(wanted[0], model.pk):
        raise ValidationFailed.field(field, "circle", "That model was itself derived from this one.")
    edges = LineageEdge.objects.filter(target_kind=MODEL, target_id=model.pk, source_kind=kind, relation=relation)
    present = {edge.source_id: edge for edge in edges}
    removable = registry.lineage_nodes(actor, kind, [pk for pk in present if pk not in wanted])
    LineageEdge.objects.filter(pk__in=[present[pk].pk for pk in removable]).delete()
    for pk in wanted:
        if pk not in present:
            lineage_add(
                source_kind=kind,
                source_id=pk,
                target_kind=MODEL,
                target_id=model.pk,
                relation=relation,
                actor=actor,
            )


def _descends_from(model_id: UUID, ancestor_id: UUID) -> bool:
    """Whether *ancestor_id* is among the bases of *model_id*, at any depth."""
    seen, frontier = {model_id}, {model_id}
    while frontier:
        edges = LineageEdge.objects.filter(
            target_kind=MODEL, target_id__in=frontier, source_kind=MODEL, relation=LineageRelation.DERIVED_FROM
        )
        frontier = set(edges.values_list("source_id", flat=True)) - seen
        if ancestor_id in frontier:
            return True
        seen |= frontier
    return False
