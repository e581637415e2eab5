"""Celery tasks of the training app. Each may be sent twice, or again after a crash."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from apps.training import services


@shared_task(name="apps.training.tasks.attempt_prepare")
def attempt_prepare(attempt_id: str) -> None:
    """Put an attempt's inputs in place and hand it to compute."""
    services.attempt_prepare(UUID(attempt_id))


@shared_task(name="apps.training.tasks.attempt_collect")
def attempt_collect(attempt_id: str) -> None:
    """Take over the output of an attempt that ended well."""
    services.attempt_collect(UUID(attempt_id))


@shared_task(name="apps.training.tasks.attempt_settle")
def attempt_settle(attempt_id: str) -> None:
    """Keep an ended attempt's log and report; revoke its token."""
    services.attempt_settle(UUID(attempt_id))


@shared_task(name="apps.training.tasks.jobs_reconcile")
def jobs_reconcile() -> None:
    """Send again what was lost."""
    services.jobs_reconcile()
