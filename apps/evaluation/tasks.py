"""Background work of evaluation. Idempotent: each looks at the row first."""

from __future__ import annotations

from celery import shared_task

from apps.core.tasks import recording_denials
from apps.evaluation import services


@shared_task(name="apps.evaluation.tasks.evaluation_prepare")
@recording_denials
def evaluation_prepare(run_id: str) -> None:
    """Put model, dataset and spec in place and submit the workload."""
    services.run_prepare(run_id)


@shared_task(name="apps.evaluation.tasks.evaluation_follow")
def evaluation_follow(run_id: str) -> None:
    """Bring a run to where its workload is: running, results collected, or failed."""
    services.run_follow(run_id)


@shared_task(name="apps.evaluation.tasks.evaluations_reconcile")
def evaluations_reconcile() -> int:
    """Send again what got lost on the way. Returns how many."""
    return services.runs_reconcile()
