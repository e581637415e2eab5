"""Celery tasks of serving; all can be repeated."""

from __future__ import annotations

from celery import shared_task

from apps.core.errors import NotFound
from apps.serving import services


@shared_task(name="apps.serving.tasks.revision_roll_out")
def revision_roll_out(revision_id: str) -> str:
    """Prepare a revision's files and submit its process."""
    return services.revision_roll_out(revision_id)


@shared_task(name="apps.serving.tasks.revision_warm_up")
def revision_warm_up(revision_id: str) -> str:
    """Have a started model server answer once, then send the calls there."""
    return services.revision_warm_up(revision_id)


@shared_task(name="apps.serving.tasks.endpoint_follow")
def endpoint_follow(endpoint_id: str) -> str:
    """Make the next steps of one endpoint."""
    return services.endpoint_follow(endpoint_id)


@shared_task(name="apps.serving.tasks.endpoints_reconcile")
def endpoints_reconcile() -> int:
    """Follow every endpoint: the net under lost messages."""
    return services.endpoints_reconcile()


@shared_task(name="apps.serving.tasks.endpoints_health_check")
def endpoints_health_check() -> int:
    """Look at every model server that calls go to."""
    return services.endpoints_health_check()


@shared_task(name="apps.serving.tasks.endpoint_stop_lapsed")
def endpoint_stop_lapsed(endpoint_id: str) -> bool:
    """Stop an endpoint whose model's approval has lapsed, unless it is gone meanwhile."""
    try:
        services.endpoint_stop(actor=None, endpoint_id=endpoint_id)
    except NotFound:
        return False
    return True
