"""Lineage: edges between things of all apps, and the graph around one model as one person may see it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from uuid import UUID

from django.db.models import Q
from django.urls import reverse

from apps.accounts.models import User
from apps.catalog import registry
from apps.catalog.models import LineageEdge, ModelEntry
from apps.catalog.types import Direction, GraphEdge, Impact, LineageGraph, LineageNode, LineageRelation
from apps.core.permissions import visible_to

MODEL = "model"
DATASET = "dataset"
JOB = "training_job"
NODE_LIMIT = 300
DEPTH_LIMIT = 50  # steps; the number of nodes ends a walk long before

Key = tuple[str, UUID]
Link = tuple[Key, Key, str]  # source, target, relation


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


def lineage_graph(
    actor: User | None,
    root: ModelEntry | Key,
    *,
    depth: int = DEPTH_LIMIT,
    direction: Direction = Direction.BOTH,
) -> LineageGraph:
    """Return what leads to *root* and what was made of it, at most *depth* steps away.

    Upwards only sources are followed, downwards only targets, so that siblings by a shared dataset stay out. A node
    that *actor* may not see keeps its place without name, kind or id, and nothing beyond it is shown. Queries: per
    step and direction one, plus one per app that contributes links; per kind of node one.
    """
    origin: Key = (MODEL, root.pk) if isinstance(root, ModelEntry) else root
    edges, truncated = _collect(origin, depth=max(1, min(depth, DEPTH_LIMIT)), direction=direction)
    keys = {origin} | {key for source, target, _ in edges for key in (source, target)}
    nodes = _resolve(actor, keys)
    kept = _reachable(origin, edges, nodes)
    names = _names(origin, kept, nodes)
    shown = {
        names[key]: nodes.get(key) or LineageNode("hidden", "", "not visible to you", visible=False)
        for key in sorted(kept, key=lambda key: names[key])
    }
    links = tuple(
        GraphEdge(names[source], names[target], relation)
        for source, target, relation in _without_shortcuts(edges, kept, nodes)
    )
    return LineageGraph(names[origin], shown, links, truncated)


def _collect(origin: Key, *, depth: int, direction: Direction) -> tuple[list[Link], bool]:
    """Breadth first. Truncated means: there is more than was followed, by depth or by number."""
    edges: dict[Link, None] = {}
    truncated = False
    for upwards in (True, False):
        if direction not in (Direction.BOTH, Direction.UP if upwards else Direction.DOWN):
            continue
        seen, frontier = {origin}, {origin}
        for _ in range(depth):
            following: set[Key] = set()
            for link in links_touching(frontier, upwards=upwards):
                edges[link] = None
                following.add(link[0] if upwards else link[1])
            frontier = following - seen
            seen |= frontier
            if not frontier:
                break
            if len(seen) > NODE_LIMIT:
                truncated = True
                break
        else:
            truncated = truncated or bool(links_touching(frontier, upwards=upwards))
    return list(edges), truncated


def links_touching(keys: set[Key], *, upwards: bool) -> list[Link]:
    """Return the stored edges and the links that other apps know, with *keys* as targets (upwards) or sources."""
    stored = [
        ((edge.source_kind, edge.source_id), (edge.target_kind, edge.target_id), edge.relation)
        for edge in edges_touching(keys, upwards=upwards)
    ]
    return [*stored, *registry.lineage_links(keys, upwards=upwards)]


def _without_shortcuts(edges: list[Link], kept: set[Key], nodes: dict[Key, LineageNode]) -> list[Link]:
    """Leave out "trained on" and "derived from" where the job in between is shown: the job tells it better."""
    inside = [link for link in edges if link[0] in kept and link[1] in kept]
    into_job: dict[Key, set[Key]] = defaultdict(set)
    for source, target, _ in inside:
        if target[0] == JOB and target in nodes:
            into_job[target].add(source)
    by_job = {
        (source, target)
        for job, target, relation in inside
        if relation == LineageRelation.PRODUCED_BY
        for source in into_job[job]
    }
    told = (LineageRelation.TRAINED_ON, LineageRelation.DERIVED_FROM)
    return [link for link in inside if link[2] not in told or (link[0], link[1]) not in by_job]


def edges_touching(keys: set[Key], *, upwards: bool) -> Iterable[LineageEdge]:
    """Return the stored edges with *keys* as targets (upwards) or sources; one query."""
    if not keys:
        return ()
    by_kind: dict[str, list[UUID]] = defaultdict(list)
    for kind, pk in keys:
        by_kind[kind].append(pk)
    side = "target" if upwards else "source"
    where = Q()
    for kind, ids in by_kind.items():
        where |= Q(**{f"{side}_kind": kind, f"{side}_id__in": ids})
    return LineageEdge.objects.filter(where).order_by("created_at", "id")[: NODE_LIMIT * 4]


def impact(actor: User | None, root: ModelEntry | Key) -> Impact:
    """Return everything that depends on *root*, by kind: what *actor* sees by name, the rest as a number."""
    return impact_of(lineage_graph(actor, root, direction=Direction.DOWN))


def impact_of(graph: LineageGraph) -> Impact:
    """Return what of *graph* lies downstream of its root."""
    targets: dict[str, set[str]] = defaultdict(set)
    for edge in graph.edges:
        targets[edge.source].add(edge.target)
    found, pending = {graph.root}, [graph.root]
    while pending:
        following = targets[pending.pop()] - found
        found |= following
        pending += following
    dependents = [graph.nodes[key] for key in sorted(found - {graph.root})]
    seen = sorted((node for node in dependents if node.visible), key=lambda node: (node.kind, node.label))
    hidden = sum(not node.visible for node in dependents)
    return Impact(tuple(seen), hidden, Counter(node.kind for node in seen), graph.truncated)


def _resolve(actor: User | None, keys: set[Key]) -> dict[Key, LineageNode]:
    by_kind: dict[str, list[UUID]] = defaultdict(list)
    for kind, pk in keys:
        by_kind[kind].append(pk)
    nodes: dict[Key, LineageNode] = {}
    for kind, ids in by_kind.items():
        for pk, node in registry.lineage_nodes(actor, kind, ids).items():
            nodes[(kind, pk)] = node
    return nodes


def _reachable(root: Key, edges: list[Link], nodes: dict[Key, LineageNode]) -> set[Key]:
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
