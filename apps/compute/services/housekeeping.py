"""What nobody asked for any more: processes without a living row, files of workloads that ended long ago."""

from __future__ import annotations

from datetime import timedelta

import structlog
from django.conf import settings

from apps.compute.models import Workload
from apps.compute.types import ACTIVE_STATES, BackendError
from apps.core import clock
from apps.integrations.ports import ComputeBackend
from apps.integrations.registry import backend_names, compute_backend

log = structlog.get_logger(__name__)


def _own_backends() -> list[ComputeBackend]:
    return [backend for name in backend_names() if (backend := compute_backend(name)).ends_with_portal]


def strays_stop() -> list[str]:
    """Stop what runs on this machine though its row has ended or is gone (a restored database, a reset).

    A row is active before its process is started, so nothing that is wanted can be hit.
    """
    stopped: list[str] = []
    for backend in _own_backends():
        try:
            running = backend.running_names()
            wanted = Workload.objects.filter(name__in=running, state__in=sorted(ACTIVE_STATES))
            for name in sorted(set(running) - set(wanted.values_list("name", flat=True))):
                log.warning("compute.stray.stopped", workload=name)
                backend.stop(name)
                stopped.append(name)
        except BackendError as error:
            log.warning("compute.backend.unreachable", backend=backend.name, error=error.message)
    return stopped


def leftovers_remove() -> int:
    """Delete the files of workloads that ended longer ago than the setting keeps them; returns how many."""
    limit = clock.now() - timedelta(hours=settings.LLMOPS_LOCAL_KEEP_HOURS)
    removed = 0
    for backend in _own_backends():
        try:
            names = set(backend.known_names()) - set(backend.running_names())
            rows = Workload.objects.filter(name__in=names)
            kept = set(rows.exclude(finished_at__lt=limit).values_list("name", flat=True))
            for name in sorted(names - kept):
                backend.remove(name)
                removed += 1
        except BackendError as error:
            log.warning("compute.backend.unreachable", backend=backend.name, error=error.message)
    return removed
