"""Celery tasks of the compute app."""

from __future__ import annotations

from celery import shared_task

from apps.compute.services import reconcile_with_lease


@shared_task(name="apps.compute.tasks.workloads_reconcile")
def workloads_reconcile() -> None:
    """Make a pass in place of a reconciler that is away; while one is there, it holds the lease."""
    reconcile_with_lease()
