"""Lineage: edges between things of all apps, and the graph around one model as one person may see it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from uuid import UUID

from django.db.models import Q
from django.urls import reverse

from apps.accounts.models import User
from apps.catalog import registry
from apps.catalog.models import LineageEdge, ModelEntry
from apps.catalog.types import GraphEdge, LineageGraph, LineageNode, LineageRelation
from apps.core.permissions import visible_to

MODEL = "model"
DATASET = "dataset"
JOB = "training_job"
NODE_LIMIT = 300
DEPTH_LIMIT = 12

Key = tuple[str, UUID]


def resolve_models(actor: User | None, ids: Collection[UUID]) -> dict[UUID, LineageNode]:
    """Return nodes of the models among *ids* that *actor* may see."""
    return {
        model.pk: LineageNode(
            MODEL, str(model.pk), str(model), reverse("catalog:model-detail", args=[model.pk]), model.status
        )
        for model in visible_to(actor, ModelEntry.objects.filter(pk__in=ids))
    }


def edges_into(model_ids: Iterable[UUID]) -> dict[UUID, list[LineageEdge]]:
    """Return, for each model, the edges from what it was made of."""
    found: dict[UUID, list[LineageEdge]] = defaultdict(list)
    rows = LineageEdge.objects.filter(target_kind=MODEL, target_id__in=list(model_ids))
    for edge in rows.order_by("source_kind", "created_at", "source_id"):
        found[edge.target_id].append(edge)
    return found


def children_of(model: ModelEntry) -> list[UUID]:
    """Return the ids of models that were derived from *model*."""
    edges = LineageEdge.objects.filter(
        source_kind=MODEL, source_id=model.pk, target_kind=MODEL, relation=LineageRelation.DERIVED_FROM
    )
    return list(edges.values_list("target_id", flat=True))


def lineage_graph(actor: User, model: ModelEntry) -> LineageGraph:
    """Return everything that leads to *model* and everything made of it.

    Upwards only sources are followed, downwards only targets, so that siblings by a shared dataset stay out. A node
    that *actor* may not see keeps its place without name, kind or id, and nothing beyond it is shown.
    """
    root: Key = (MODEL, model.pk)
    edges, truncated = _collect(root)
    keys = {root} | {key for source, target, _ in edges for key in (source, target)}
    nodes = _resolve(actor, keys)
    kept = _reachable(root, edges, nodes)
    names = _names(root, kept, nodes)
    shown = {
        names[key]: nodes.get(key) or LineageNode("hidden", "", "not visible to you", visible=False)
        for key in sorted(kept, key=lambda key: names[key])
    }
    links = tuple(
        GraphEdge(names[source], names[target], relation)
        for source, target, relation in edges
        if source in kept and target in kept
    )
    return LineageGraph(names[root], shown, links, truncated)


def _collect(root: Key) -> tuple[list[tuple[Key, Key, str]], bool]:
    """Breadth first, one query per level and direction."""
    edges: dict[tuple[Key, Key, str], None] = {}
    truncated = False
    for upwards in (True, False):
        seen, frontier = {root}, {root}
        for _ in range(DEPTH_LIMIT):
            following: set[Key] = set()
            for edge in _touching(frontier, upwards=upwards):
                source, target = (edge.source_kind, edge.source_id), (edge.target_kind, edge.target_id)
                edges[(source, target, edge.relation)] = None
                following.add(source if upwards else target)
            frontier = following - seen
            seen |= frontier
            if not frontier:
                break
            if len(seen) > NODE_LIMIT:
                truncated = True
                break
        else:
            truncated = True
    return list(edges), truncated


def _touching(keys: set[Key], *, upwards: bool) -> Iterable[LineageEdge]:
    by_kind: dict[str, list[UUID]] = defaultdict(list)
    for kind, pk in keys:
        by_kind[kind].append(pk)
    side = "target" if upwards else "source"
    where = Q()
    for kind, ids in by_kind.items():
        where |= Q(**{f"{side}_kind": kind, f"{side}_id__in": ids})
    return LineageEdge.objects.filter(where).order_by("created_at", "id")[: NODE_LIMIT * 4]


def _resolve(actor: User, keys: set[Key]) -> dict[Key, LineageNode]:
    by_kind: dict[str, list[UUID]] = defaultdict(list)
    for kind, pk in keys:
        by_kind[kind].append(pk)
    nodes: dict[Key, LineageNode] = {}
    for kind, ids in by_kind.items():
        for pk, node in registry.lineage_nodes(actor, kind, ids).items():
            nodes[(kind, pk)] = node
    return nodes


def _reachable(root: Key, edges: list[tuple[Key, Key, str]], nodes: dict[Key, LineageNode]) -> set[Key]:
    """The root and what is linked to it through visible things only; unseen ones are the rim."""
    neighbours: dict[Key, set[Key]] = defaultdict(set)
    for source, target, _ in edges:
        neighbours[source].add(target)
        neighbours[target].add(source)
    kept, pending = {root}, [root]
    while pending:
        key = pending.pop()
        if key != root and key not in nodes:
            continue
        for other in neighbours[key] - kept:
            kept.add(other)
            pending.append(other)
    return kept


def _names(root: Key, kept: set[Key], nodes: dict[Key, LineageNode]) -> dict[Key, str]:
    """Public names: ``kind:id`` for visible nodes, ``hidden:1`` … for the others, in an order that tells nothing."""
    names = {key: f"{key[0]}:{key[1]}" for key in kept if key in nodes or key == root}
    for number, key in enumerate(sorted(kept - set(names), key=str), start=1):
        names[key] = f"hidden:{number}"
    return names
