"""Celery tasks of the compute app."""

from __future__ import annotations

from celery import shared_task

from apps.compute.services import leftovers_remove, reconcile_with_lease


@shared_task(name="apps.compute.tasks.workloads_reconcile")
def workloads_reconcile() -> None:
    """Make a pass in place of a reconciler that is away; while one is there, it holds the lease."""
    reconcile_with_lease()


@shared_task(name="apps.compute.tasks.workloads_clean")
def workloads_clean() -> None:
    """Delete files of workloads that ended long ago."""
    leftovers_remove()
