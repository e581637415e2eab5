"""Health probes: is anybody looking after workloads, and can the backend run any."""

from __future__ import annotations

from apps.compute.selectors import reconciler_health
from apps.core.errors import Unavailable
from apps.integrations.registry import backend_default_name, compute_backend


def reconciler() -> str:
    """The reconciler was seen lately and reached its backends. Raises Unavailable otherwise."""
    health = reconciler_health()
    if not health.ok:
        raise Unavailable(health.detail)
    return health.detail


def compute() -> str:
    """The default backend can be used. Raises Unavailable otherwise."""
    backend = compute_backend()
    problem = backend.check()
    if problem:
        raise Unavailable(problem)
    places = backend.capacity()
    return f"{backend_default_name()}: {places.jobs} jobs, {places.endpoints} endpoints, {places.gpus} GPUs at a time"
