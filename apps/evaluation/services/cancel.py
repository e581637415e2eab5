"""Ending a run early, and removing one."""

from __future__ import annotations

from django.db import transaction

from apps.accounts.models import User
from apps.catalog.services import lineage_forget
from apps.catalog.types import ModelStatus
from apps.compute.services import workload_stop
from apps.core import audit, clock
from apps.core.errors import Conflict
from apps.core.transitions import get_locked, transition
from apps.evaluation.models import EvaluationRun
from apps.evaluation.selectors import run_workload, runs_visible_to
from apps.evaluation.types import LINEAGE_KIND, RUN_ACTIVE, RUN_TRANSITIONS, RunStatus
from apps.governance.services import authorize


@transaction.atomic
def run_cancel(*, actor: User, run_id: object) -> EvaluationRun:
    """Cancel a run that is queued, running or waits for reviews; its workload is asked to end."""
    run = get_locked(runs_visible_to(actor), run_id, "evaluation run")
    authorize(actor=actor, action="evaluation_run.cancel", obj=run)
    message = f"Cancelled by {actor.get_username()}."
    transition(run, RunStatus.CANCELLED, RUN_TRANSITIONS, finished_at=clock.now(), message=message)
    workload = run_workload(run)
    if workload is not None and workload.is_active:
        workload_stop(workload_id=workload.pk, reason=message, actor=actor)
    audit.record(actor=actor, action="evaluation.run.cancelled", resource=run)
    return run


@transaction.atomic
def run_delete(*, actor: User, run_id: object) -> None:
    """Remove an ended run with its samples and reviews.

    Raises Conflict while it is active (cancel it first), and while its model is approved or in review: then it is
    part of the evidence.
    """
    run = get_locked(runs_visible_to(actor), run_id, "evaluation run")
    authorize(actor=actor, action="evaluation_run.delete", obj=run)
    if run.status in RUN_ACTIVE:
        raise Conflict(f"This run is {run.status}; cancel it before you delete it.", code="active")
    if run.status == RunStatus.SUCCEEDED and run.model.status in (ModelStatus.APPROVED, ModelStatus.PENDING_REVIEW):
        message = f"{run.model} is {run.model.status}; this run is part of the evidence for it and stays."
        raise Conflict(message, code="evidence")
    metadata = {"model": str(run.model_id), "dataset": str(run.dataset_id), "type": run.run_type}
    audit.record(actor=actor, action="evaluation.run.deleted", resource=run, metadata=metadata)
    lineage_forget(kind=LINEAGE_KIND, object_id=run.pk)
    run.delete()
