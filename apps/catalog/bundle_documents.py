"""What the catalog itself says about a model in an exported bundle: where it comes from, who approved it."""

from __future__ import annotations

from typing import Any

from apps.accounts.models import User
from apps.catalog.lineage import lineage_graph
from apps.catalog.models import ModelEntry
from apps.catalog.services.access import APPROVAL_KIND
from apps.governance.selectors.approvals import approvals_visible_to

APPROVALS = 200


def lineage_document(actor: User | None, model: ModelEntry) -> dict[str, Any]:
    """The lineage graph as the exporting person sees it; what they may not see has no name here either."""
    if actor is None:
        return {"nodes": [], "edges": []}
    graph = lineage_graph(actor, model)
    return {
        "nodes": [
            {"key": key, "kind": node.kind, "label": node.label, "status": node.status}
            for key, node in graph.nodes.items()
        ],
        "edges": [{"source": edge.source, "target": edge.target, "relation": edge.relation} for edge in graph.edges],
    }


def approvals_document(actor: User | None, model: ModelEntry) -> list[dict[str, Any]]:
    """Every review of the model with its decisions, newest first."""
    requests = approvals_visible_to(actor).filter(kind=APPROVAL_KIND, subject_id=model.pk)
    return [
        {
            "status": request.status,
            "requestedBy": request.created_by.get_username() if request.created_by else None,
            "requestedAt": request.created_at.isoformat(),
            "digest": request.digest,
            "closedAt": request.closed_at.isoformat() if request.closed_at else None,
            "decisions": [
                {
                    "decision": decision.decision,
                    "by": decision.actor.get_username(),
                    "at": decision.at.isoformat(),
                    "notes": decision.notes,
                    "digest": decision.digest,
                }
                for decision in request.decisions.all()
            ],
        }
        for request in requests.prefetch_related("decisions__actor")[:APPROVALS]
    ]
