"""Ada deploys the approved model to dev; a real model server starts and is warmed up."""

from __future__ import annotations

from typing import Any

from launcher.demo.context import Demo

ROUTE = "support-assistant"


def run(demo: Demo) -> str:
    endpoint_id = demo.once("endpoint_id", lambda: _deploy(demo), dead=lambda known: _discard_failed(demo, known))
    endpoint = demo.ada.wait(
        f"/serving/endpoints/{endpoint_id}",
        until=lambda row: row["status"] == "healthy",
        failed=lambda row: f"failed: {row.get('statusDetail')}" if row["status"] in {"failed", "stopped"} else None,
        seconds=900,
        what="The deployment",
        on_change=lambda row: demo.progress(row, f"{row['status']}. {row.get('statusDetail') or ''}"),
    )
    demo.state.remember(route=endpoint["route"])
    return f"{endpoint['route']} is healthy"


def _discard_failed(demo: Demo, endpoint_id: str) -> bool:
    """An endpoint that failed is removed, so that its route is free for the next try."""
    path = f"/serving/endpoints/{endpoint_id}"
    if demo.ada.get(path)["status"] != "failed":
        return False
    demo.tell("removing the endpoint that failed")
    demo.ada.delete(path)
    return True


def _deploy(demo: Demo) -> str:
    for row in demo.ada.get("/serving/endpoints", environment="dev"):
        if _is_ours(row):
            return str(row["id"])
    body = {
        "modelId": demo.made("tuned_model_id"),
        "environment": "dev",
        "route": ROUTE,
        "minReplicas": 1,
        "maxReplicas": 1,
        "useGpu": False,
    }
    return str(demo.ada.post("/serving/endpoints", body)["id"])


def _is_ours(row: dict[str, Any]) -> bool:
    return str(row["route"]).endswith(f"/{ROUTE}") and row["status"] not in {"failed", "stopped"}
