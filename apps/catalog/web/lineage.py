"""The page of lineage and impact, for models and datasets, and the data that pages draw a lineage from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from apps.catalog import selectors
from apps.catalog.api.lineage import depth_of, direction_of
from apps.catalog.lineage import DATASET, MODEL, Key
from apps.catalog.types import Direction, LineageGraph, LineageNode, LineageRelation
from apps.core.errors import NotFound, ValidationFailed
from apps.core.web import statuses
from apps.core.web.views import VisibleDetailView

ROOTS: Mapping[str, Any] = {MODEL: selectors.model_key, DATASET: selectors.dataset_key}
DEPTHS = (1, 2, 3, 5)


@dataclass(frozen=True, slots=True)
class Line:
    """One link, for who reads instead of looking."""

    source: LineageNode
    relation: str
    target: LineageNode


def graph_data(graph: LineageGraph) -> dict[str, Any]:
    """The lineage as the chart script draws it."""
    nodes = [
        {
            "id": key,
            "label": node.label,
            "kind": node.kind,
            "status": node.status,
            "tone": statuses.look(node.status).tone if node.status else "neutral",
            "url": node.url,
            "current": key == graph.root,
        }
        for key, node in graph.nodes.items()
    ]
    edges = [{"source": edge.source, "target": edge.target, "relation": edge.relation} for edge in graph.edges]
    return {"nodes": nodes, "edges": edges}


def graph_lines(graph: LineageGraph) -> list[Line]:
    """Every link in words, from what came first; the picture's equal."""
    words = dict(LineageRelation.choices)
    return [
        Line(graph.nodes[edge.source], words.get(edge.relation, edge.relation), graph.nodes[edge.target])
        for edge in graph.edges
    ]


def lineage_context(graph: LineageGraph) -> dict[str, Any]:
    """What ``catalog/_lineage.html`` shows."""
    return {"graph": graph_data(graph), "lines": graph_lines(graph), "truncated": graph.truncated}


class LineageView(VisibleDetailView):
    """Lineage of one thing: picture, list, and what depends on it."""

    template_name = "catalog/lineage.html"

    def get_object(self) -> Key:
        """The thing's key, through its app's selector."""
        find = ROOTS.get(self.kwargs["kind"])
        if find is None:
            raise NotFound("There is no lineage of such things.")
        key: tuple[str, UUID] = find(actor=self.actor, object_id=self.kwargs["pk"])
        return key

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """As far as asked; a value that cannot be read counts as not given."""
        context = super().get_context_data(**kwargs)
        depth, direction = self.request.GET.get("depth", ""), self.request.GET.get("direction", "")
        try:
            steps, way = depth_of(depth), direction_of(direction)
        except ValidationFailed:
            depth = direction = ""
            steps, way = depth_of(""), Direction.BOTH
        graph = selectors.lineage_graph(self.actor, self.object, depth=steps, direction=way)
        return {
            **context,
            **lineage_context(graph),
            "root": graph.nodes[graph.root],
            "impact": selectors.impact(self.actor, self.object),
            "depth": depth,
            "depths": DEPTHS,
            "direction": str(way),
            "directions": [
                (Direction.BOTH, "Both ways"),
                (Direction.UP, "What it was made of"),
                (Direction.DOWN, "What was made of it"),
            ],
        }
