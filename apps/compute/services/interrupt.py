"""Ending everything that lives on this machine, for the supervisor's shutdown."""

from __future__ import annotations

import time

import structlog
from django.db import DatabaseError

from apps.compute.services.lease import lease_held
from apps.compute.services.reconcile import reconcile_once
from apps.compute.types import BackendError
from apps.integrations.registry import backend_names, compute_backend

log = structlog.get_logger(__name__)


def workloads_interrupt_all(*, timeout_seconds: float = 30.0, lease_seconds: float = 10.0) -> list[str]:
    """Stop every process that ends with the portal and record the interruption; returns the names left alive.

    Their owners hear “interrupted” and queue the next attempt, which the next start of the portal runs. The
    reconciler must have ended before: this waits `lease_seconds` for it. Processes are ended even when the
    database is away; the next reconciler then finds them stopped.
    """
    left: list[str] = []
    for name in backend_names():
        backend = compute_backend(name)
        if not backend.ends_with_portal:
            continue
        try:
            names = backend.running_names()
            for workload in names:
                backend.stop(workload)
            left += backend.wait_ended(names, timeout_seconds)
        except BackendError as error:
            log.warning("compute.backend.unreachable", backend=name, error=error.message)
    until = time.monotonic() + lease_seconds
    try:
        while True:
            with lease_held() as held:
                if held:
                    reconcile_once(start=False)
                    return left
            if time.monotonic() >= until:
                log.warning("compute.interrupt.lease_busy")
                return left
            time.sleep(0.2)
    except DatabaseError as error:
        log.warning("compute.interrupt.database_away", error=str(error))
    return left
