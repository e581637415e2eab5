"""Cancelling jobs: nothing of a cancelled job goes on running."""

from __future__ import annotations

from django.db import transaction

from apps.accounts.models import User
from apps.compute.selectors import workloads_of
from apps.compute.services import workload_stop
from apps.compute.types import ACTIVE_STATES, Desired
from apps.core import audit, clock
from apps.core.errors import Conflict
from apps.core.tasks import enqueue
from apps.core.transitions import get_locked, transition
from apps.governance.services import authorize
from apps.training.models import JobAttempt, TrainingJob
from apps.training.selectors import OWNER_TYPE, job_get
from apps.training.types import (
    ATTEMPT_FINAL,
    ATTEMPT_TRANSITIONS,
    JOB_TRANSITIONS,
    AttemptStatus,
    JobStatus,
)

SETTLE_TASK = "apps.training.tasks.attempt_settle"


def job_cancel(*, actor: User | None, job_id: object, reason: str = "") -> TrainingJob:
    """Cancel a queued or running job. Its process is asked to end at once; compute sees to it that it does.

    Raises Conflict when the job has ended already.
    """
    job = job_get(actor=actor, job_id=job_id)
    authorize(actor=actor, action="training_job.cancel", obj=job)
    with transaction.atomic():
        job = get_locked(TrainingJob.objects.all(), job.pk, "training job")
        if not job.is_active:
            raise Conflict(f"{job} is {job.status} already; there is nothing to cancel.", code="already_ended")
        text = reason or f"Cancelled by {actor if actor is not None else 'the system'}."
        transition(
            job,
            JobStatus.CANCELLED,
            JOB_TRANSITIONS,
            completed_at=clock.now(),
            failure_tag="",
            failure_message=text,
            failure_remedy="",
        )
        for attempt in JobAttempt.objects.select_for_update().filter(job=job).exclude(status__in=ATTEMPT_FINAL):
            transition(attempt, AttemptStatus.CANCELLED, ATTEMPT_TRANSITIONS, finished_at=clock.now())
            enqueue(SETTLE_TASK, str(attempt.pk))
        audit.record(actor=actor, action="training.job.cancelled", resource=job, metadata={"reason": text})
        # After the commit: a workload's change locks the workload first and then the job, so stopping it with
        # the job locked could deadlock. Should we die in between, the sweep stops what is left.
        transaction.on_commit(lambda: workloads_end(job=job, reason=text, actor=actor), robust=True)
    return job


def workloads_end(*, job: TrainingJob, reason: str, actor: User | None = None) -> int:
    """Ask for the end of whatever still runs for a job; returns how many there were."""
    active = workloads_of(OWNER_TYPE, job.pk).filter(state__in=sorted(ACTIVE_STATES), desired=Desired.RUNNING)
    ids = list(active.values_list("pk", flat=True))
    for pk in ids:
        workload_stop(workload_id=pk, reason=reason, actor=actor)
    return len(ids)
