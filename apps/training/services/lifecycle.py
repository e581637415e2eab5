"""What a workload's change means for its job, and when a job gets another attempt."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from apps.compute.models import Workload
from apps.compute.types import ReasonCode, WorkloadState
from apps.core import audit, clock
from apps.core.tasks import enqueue
from apps.core.transitions import transition
from apps.training.models import JobAttempt, TrainingJob
from apps.training.services.cancel import SETTLE_TASK
from apps.training.types import (
    ATTEMPT_FINAL,
    ATTEMPT_TRANSITIONS,
    JOB_ACTIVE,
    JOB_TRANSITIONS,
    AttemptStatus,
    JobStatus,
)
from workers.contracts import RETRYABLE, TAGS

PREPARE_TASK = "apps.training.tasks.attempt_prepare"
COLLECT_TASK = "apps.training.tasks.attempt_collect"
MAX_INTERRUPTIONS = 20
MAX_BACKOFF_SECONDS = 3600
TAG_OF_REASON = {
    ReasonCode.OOM: "out_of_memory",
    ReasonCode.DEADLINE: "deadline",
    ReasonCode.BINARY_MISSING: "trainer_missing",
    ReasonCode.IMAGE_MISSING: "image_missing",
    ReasonCode.INTERRUPTED: "interrupted",
    ReasonCode.BACKEND_REFUSED: "backend_refused",
}
REMEDIES = {
    "spec_invalid": "Correct the field that the message names and resubmit.",
    "dataset_invalid": "Look at the rows that the log names; upload a corrected version of the dataset.",
    "model_invalid": "Check that the base model's files are complete and of a family the trainer knows.",
    "unsupported": "Resubmit without what this machine lacks, for example with useGpu=false.",
    "out_of_memory": "Resubmit with a smaller batch_size or max_seq_len, or with more memory.",
    "output_failed": "Free disk space, then resubmit.",
    "diverged": "Resubmit with a lower learning_rate.",
    "deadline": "Resubmit with a longer maxDuration or fewer steps.",
    "crashed": "Read the end of the log; resubmit when the cause is mended.",
    "input_refused": "Have the dataset or base model reviewed again, then resubmit.",
    "interrupted": "Resubmit the job.",
    "trainer_missing": "Ask an operator to install the trainer's packages (requirements/workers).",
}


def workload_changed(workload: Workload, previous: str) -> None:
    """Compute's handler: carry a workload's state over to its attempt and job (in compute's transaction)."""
    job = TrainingJob.objects.select_for_update(of=("self",)).filter(pk=workload.owner_id).first()
    if job is None:
        return
    attempt = JobAttempt.objects.select_for_update(of=("self",)).filter(job=job, number=workload.attempt).first()
    if attempt is None:
        return
    match WorkloadState(workload.state):
        case WorkloadState.RUNNING | WorkloadState.READY:
            _started(job, attempt, workload)
        case WorkloadState.SUCCEEDED:
            _started(job, attempt, workload)
            _ended_well(attempt)
        case WorkloadState.FAILED:
            tag, message = failure_of(workload)
            _settle_later(attempt)
            _failed(job, attempt, tag=tag, message=message, retry=_worth_retrying(workload, tag))
        case WorkloadState.STOPPED:
            _settle_later(attempt)
            if attempt.status not in ATTEMPT_FINAL:
                # Stopped without the job being cancelled: the hand was not the owner's.
                reason = workload.reason or "It was stopped."
                _failed(job, attempt, tag="stopped", message=reason, retry=False)
        case _:
            return


def failure_of(workload: Workload) -> tuple[str, str]:
    """Return tag and message of a failed workload; the trainer's exit codes have tags of their own."""
    code = ReasonCode(workload.reason_code)
    if code is ReasonCode.EXIT_CODE:
        tag = TAGS.get(workload.exit_code or 1, "crashed")
        return tag, workload.reason
    return TAG_OF_REASON.get(code, code.value or "failed"), workload.reason


def attempt_failed(attempt_id: UUID, *, tag: str, message: str, retry: bool) -> None:
    """Fail an attempt from outside compute (its inputs were refused, its output cannot be used)."""
    with transaction.atomic():
        job_id = JobAttempt.objects.values_list("job_id", flat=True).get(pk=attempt_id)
        job = TrainingJob.objects.select_for_update(of=("self",)).get(pk=job_id)
        attempt = JobAttempt.objects.select_for_update(of=("self",)).get(pk=attempt_id)
        _settle_later(attempt)
        _failed(job, attempt, tag=tag, message=message, retry=retry)


def _started(job: TrainingJob, attempt: JobAttempt, workload: Workload) -> None:
    if attempt.status == AttemptStatus.SUBMITTED:
        started = workload.started_at or clock.now()
        transition(attempt, AttemptStatus.RUNNING, ATTEMPT_TRANSITIONS, started_at=started)
        if job.status == JobStatus.QUEUED:
            transition(job, JobStatus.RUNNING, JOB_TRANSITIONS, started_at=job.started_at or started)


def _ended_well(attempt: JobAttempt) -> None:
    if attempt.status == AttemptStatus.RUNNING:
        transition(attempt, AttemptStatus.COLLECTING, ATTEMPT_TRANSITIONS)
        enqueue(COLLECT_TASK, str(attempt.pk))
    else:
        _settle_later(attempt)


def _settle_later(attempt: JobAttempt) -> None:
    enqueue(SETTLE_TASK, str(attempt.pk))


def _worth_retrying(workload: Workload, tag: str) -> bool:
    if workload.reason_code == ReasonCode.EXIT_CODE:
        # A signal that we did not send (128 + n) is a crash; it may pass.
        return (workload.exit_code or 1) in RETRYABLE or (workload.exit_code or 0) > 128
    return tag == "interrupted"


def _failed(job: TrainingJob, attempt: JobAttempt, *, tag: str, message: str, retry: bool) -> None:
    if attempt.status in ATTEMPT_FINAL:
        return
    interrupted = tag == "interrupted"
    end = AttemptStatus.INTERRUPTED if interrupted else AttemptStatus.FAILED
    now = clock.now()
    transition(attempt, end, ATTEMPT_TRANSITIONS, failure_tag=tag, failure_message=message, finished_at=now)
    if job.status not in JOB_ACTIVE:
        return
    if retry and (pause := _next_pause(job, interrupted)) is not None:
        _try_again(job, attempt, now + pause)
        return
    transition(
        job,
        JobStatus.FAILED,
        JOB_TRANSITIONS,
        failure_tag=tag,
        failure_message=message,
        failure_remedy=REMEDIES.get(tag, "Read the end of the log; resubmit when the cause is mended."),
        completed_at=now,
    )
    audit.record(
        actor=None, action="training.job.failed", resource=job, metadata={"tag": tag, "attempt": attempt.number}
    )


def _next_pause(job: TrainingJob, interrupted: bool) -> timedelta | None:
    """Return how long to wait before the next attempt, or None when there is none left.

    Interruptions are nobody's fault and do not use up retries; they are bounded all the same.
    """
    ended = JobAttempt.objects.filter(job=job).values_list("status", flat=True)
    if interrupted:
        if sum(status == AttemptStatus.INTERRUPTED for status in ended) > MAX_INTERRUPTIONS:
            return None
        return timedelta(0)
    failures = sum(status == AttemptStatus.FAILED for status in ended)
    if failures > job.max_retries:
        return None
    return timedelta(seconds=min(job.backoff_seconds * 2 ** (failures - 1), MAX_BACKOFF_SECONDS))


def _try_again(job: TrainingJob, attempt: JobAttempt, not_before: datetime) -> None:
    if job.status == JobStatus.RUNNING:
        transition(job, JobStatus.QUEUED, JOB_TRANSITIONS)
    following, _ = JobAttempt.objects.get_or_create(
        job=job, number=attempt.number + 1, defaults={"not_before": not_before}
    )
    wait = max((not_before - clock.now()).total_seconds(), 0.0)
    enqueue(PREPARE_TASK, str(following.pk), countdown=wait or None)
