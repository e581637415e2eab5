"""What of an endpoint runs right now."""

from __future__ import annotations

from typing import Any

from apps.compute.types import WorkloadState
from apps.integrations.runtimes import runtime_get
from apps.serving.models import Endpoint
from apps.serving.selectors import revision_workload
from apps.serving.specs import ServingSpec
from apps.serving.types import RevisionStatus


def deployment_state(endpoint: Endpoint) -> dict[str, Any]:
    """Replicas, resources and what the model server's process says."""
    revision = endpoint.active if endpoint.serving else endpoint.wanted
    spec = ServingSpec.from_json(revision.spec) if revision is not None else ServingSpec(framework="")
    workload = revision_workload(revision)
    external = endpoint.model.is_external
    up = revision is not None and revision.status == RevisionStatus.READY and endpoint.serving
    status: dict[str, Any] = {
        "framework": spec.framework,
        "label": runtime_get(spec.framework).label if spec.framework else "",
        "ready": up,
        "detail": endpoint.status_detail,
    }
    if workload is not None:
        status |= {
            "backend": workload.backend,
            "state": str(WorkloadState(workload.state).value),
            "reason": workload.reason,
            "name": workload.name,
        }
        if workload.backend == "local" and endpoint.max_replicas > 1:
            status["note"] = "The local backend runs one replica; replica limits count on Kubernetes."
    return {
        "replica_count": 1 if up and not external else 0,
        "min_replicas": endpoint.min_replicas,
        "max_replicas": endpoint.max_replicas,
        "resource_requests": {} if external else {"cpu": spec.cpu_request, "memory": spec.memory_request},
        "resource_limits": {} if external else {"cpu": spec.cpu_limit, "memory": spec.memory_limit},
        "framework_status": status,
    }
