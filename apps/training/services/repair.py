"""The sweep: whatever a lost message or a dead worker left undone is sent on its way again."""

from __future__ import annotations

from apps.compute.models import Workload
from apps.compute.types import ACTIVE_STATES, Desired
from apps.core import clock
from apps.core.tasks import enqueue
from apps.training.models import JobAttempt, TrainingJob
from apps.training.selectors import OWNER_TYPE
from apps.training.services.cancel import SETTLE_TASK, workloads_end
from apps.training.services.lifecycle import COLLECT_TASK, PREPARE_TASK
from apps.training.types import JOB_ACTIVE, AttemptStatus, JobStatus

BATCH = 200


def jobs_reconcile() -> int:
    """Send every due preparation, collection and settlement; stop what runs for cancelled jobs. Returns how many."""
    now = clock.now()
    sent = 0
    waiting = JobAttempt.objects.filter(settled=False, not_before__lte=now).exclude(lease_until__gt=now)
    for pk, status in waiting.order_by("not_before").values_list("pk", "status")[:BATCH]:
        task = {AttemptStatus.PREPARING: PREPARE_TASK, AttemptStatus.COLLECTING: COLLECT_TASK}.get(
            AttemptStatus(status), SETTLE_TASK
        )
        if status in (AttemptStatus.SUBMITTED, AttemptStatus.RUNNING):
            continue  # compute looks after these
        enqueue(task, str(pk))
        sent += 1
    running = Workload.objects.filter(owner_type=OWNER_TYPE, state__in=sorted(ACTIVE_STATES), desired=Desired.RUNNING)
    for job in TrainingJob.objects.filter(pk__in=running.values("owner_id")).exclude(status__in=JOB_ACTIVE):
        reason = "The job was cancelled." if job.status == JobStatus.CANCELLED else f"The job is {job.status}."
        sent += workloads_end(job=job, reason=reason)
    return sent
