"""Background work of governance. Every task may run twice, or at the same time as another, without harm."""

from __future__ import annotations

from celery import shared_task

from apps.governance import services


@shared_task(name="apps.governance.tasks.audit_seal")
def audit_seal() -> int:
    """Link the audit events that were written since the last run."""
    return services.audit_seal_all()


@shared_task(name="apps.governance.tasks.costs_rollup_daily")
def costs_rollup_daily() -> int:
    """Roll up closed cost days and fill in late usage. Runs often, works once a day (and when usage came late)."""
    return len(services.costs_rollup().days)
