"""What happens after an attempt: its output is taken over, its log and report kept, its token revoked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction

from apps.accounts.models import ApiToken
from apps.catalog.models import ModelEntry
from apps.catalog.services import model_register_output
from apps.compute.services import workload_log_chunks
from apps.core import audit, clock
from apps.core.errors import DomainError, ValidationFailed
from apps.core.storage import file_chunks, store
from apps.core.transitions import get_locked, transition
from apps.training.models import ExperimentRecord, JobAttempt, TrainingJob
from apps.training.services.folders import folder_clear, job_folder, lease_drop, lease_take
from apps.training.services.lifecycle import attempt_failed
from apps.training.types import (
    ATTEMPT_FINAL,
    ATTEMPT_TRANSITIONS,
    JOB_FINAL,
    JOB_TRANSITIONS,
    AttemptStatus,
    JobStatus,
)
from workers.contracts import SpecError, TrainReport, to_plain
from workers.contracts.training import MODEL_DIRNAME, REPORT_FILENAME

log = structlog.get_logger(__name__)

SETTLE_TASK = "apps.training.tasks.attempt_settle"


def attempt_collect(attempt_id: UUID) -> bool:
    """Take over the output of an attempt that ended well; True when the job succeeded by it. Safe to repeat."""
    attempt = JobAttempt.objects.select_related("job__team", "job__created_by", "job__model").get(pk=attempt_id)
    if attempt.status != AttemptStatus.COLLECTING or not lease_take(attempt_id):
        return False
    trouble = ""
    try:
        job = attempt.job
        report = report_read(job)
        model_dir = job_folder(job.pk) / "output" / MODEL_DIRNAME
        if report is None or not model_dir.is_dir():
            message = "The trainer ended without leaving a model."
            attempt_failed(attempt_id, tag="output_missing", message=message, retry=False)
            return False
        record_complete(job, report)
        model, key = _keep(job, model_dir)
        _succeed(attempt, model, key)
    except ValidationFailed as error:
        attempt_failed(attempt_id, tag="output_invalid", message=error.message, retry=False)
        return False
    except (OSError, DomainError) as error:
        trouble = f"The output could not be taken over yet: {error}"
        log.warning("training.attempt.collect_trouble", attempt=str(attempt_id), error=str(error))
        return False
    finally:
        lease_drop(attempt_id, trouble)
    attempt_settle(attempt_id)
    return True


def _keep(job: TrainingJob, model_dir: Path) -> tuple[ModelEntry | None, str]:
    """Register the output model, or keep its files for a later registration by hand."""
    if job.auto_register:
        return register_output(job, model_dir), ""
    prefix = f"training/{job.pk}/output/"
    for path in sorted(model_dir.iterdir()):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                store().put(prefix + path.name, file_chunks(file))
    return None, prefix


def register_output(job: TrainingJob, model_dir: Path, *, name: str = "", version: str = "") -> ModelEntry:
    """Register the files in `model_dir` as the job's output: a draft with lineage to dataset, base and job."""
    base = job.model
    record = job.experiment
    metadata: dict[str, Any] = {
        "training": {
            "jobId": str(job.pk),
            "jobType": job.job_type,
            "method": job.method,
            "dataset": f"{record.dataset_name} {record.dataset_version}",
            "baseModel": record.base_model,
            "metrics": record.final_metrics,
        }
    }
    family = base.model_family if base is not None else ""
    architecture = record.parameters.get("architecture") or {}
    return model_register_output(
        name=name or job.output_model_name,
        version=version or job.output_model_version,
        team=job.team,
        created_by=job.created_by,
        model_family=family or str(architecture.get("type", "")),
        source_dir=model_dir,
        base_model_id=job.model_id,
        dataset_ids=[job.dataset_id],
        job_id=job.pk,
        metadata=metadata,
    )


@transaction.atomic
def _succeed(attempt: JobAttempt, model: ModelEntry | None, key: str) -> None:
    job = get_locked(TrainingJob.objects.all(), attempt.job_id, "training job")
    attempt = get_locked(JobAttempt.objects.all(), attempt.pk, "attempt")
    now = clock.now()
    if attempt.status == AttemptStatus.COLLECTING:
        transition(attempt, AttemptStatus.SUCCEEDED, ATTEMPT_TRANSITIONS, finished_at=now)
    if job.status != JobStatus.RUNNING:
        return  # cancelled at the last moment; the registered draft stays and says where it came from
    prefix = model.storage_prefix if model is not None else key
    transition(
        job,
        JobStatus.SUCCEEDED,
        JOB_TRANSITIONS,
        completed_at=now,
        output_model=model,
        output_storage_uri=store().uri(prefix),
        output_key=key,
    )
    audit.record(
        actor=None,
        action="training.job.succeeded",
        resource=job,
        metadata={"outputModel": str(model.pk) if model is not None else None, "attempt": attempt.number},
    )


def report_read(job: TrainingJob) -> TrainReport | None:
    """Return the trainer's report, or None when it left none that can be read."""
    try:
        return TrainReport.from_json((job_folder(job.pk) / "output" / REPORT_FILENAME).read_bytes())
    except FileNotFoundError:
        return None
    except (SpecError, ValueError) as error:
        log.warning("training.report.unreadable", job=str(job.pk), error=str(error))
        return None


def record_complete(job: TrainingJob, report: TrainReport) -> None:
    """Write what the run showed of itself into the experiment record."""
    environment = to_plain(report.environment) if report.environment is not None else {}
    ExperimentRecord.objects.filter(job=job).update(
        environment=environment,
        final_metrics={name: value for name, value in report.metrics.items() if value == value},
        usage=to_plain(report.resources)
        | {
            "rows": report.rows,
            "steps": report.steps,
            "resumedFromStep": report.resumed_from_step,
            "metricsLost": report.metrics_lost,
        },
        notes=[*job.warnings, *report.warnings],
        updated_at=clock.now(),
    )


def attempt_settle(attempt_id: UUID) -> bool:
    """Keep log and report of an ended attempt, revoke its token, clear the folder of an ended job.

    True when it is all done. While its process is still ending, this waits for the next call. Safe to repeat.
    """
    attempt = JobAttempt.objects.select_related("job", "workload", "token").get(pk=attempt_id)
    if attempt.settled or attempt.status not in ATTEMPT_FINAL:
        return attempt.settled
    if attempt.workload is not None and attempt.workload.is_active:
        return False
    if not lease_take(attempt_id):
        return False
    try:
        if not attempt.log_key and attempt.workload is not None:
            _archive_log(attempt)
        if attempt.status != AttemptStatus.SUCCEEDED and (report := report_read(attempt.job)) is not None:
            record_complete(attempt.job, report)
        if attempt.token_id is not None:
            ApiToken.objects.filter(pk=attempt.token_id, revoked_at=None).update(revoked_at=clock.now())
        if attempt.job.status in JOB_FINAL and not _others_unsettled(attempt):
            _list_artifacts(attempt.job)
            folder_clear(attempt.job_id)
        JobAttempt.objects.filter(pk=attempt_id).update(settled=True)
    except (OSError, DomainError) as error:
        log.warning("training.attempt.settle_trouble", attempt=str(attempt_id), error=str(error))
        return False
    finally:
        lease_drop(attempt_id)
    return True


def _others_unsettled(attempt: JobAttempt) -> bool:
    others = JobAttempt.objects.filter(job_id=attempt.job_id).exclude(pk=attempt.pk)
    return others.exclude(status__in=ATTEMPT_FINAL).exists()


def _archive_log(attempt: JobAttempt) -> None:
    if attempt.workload is None:
        return
    key = f"training/{attempt.job_id}/logs/attempt-{attempt.number}.log"
    stored = store().put(key, _or_empty(workload_log_chunks(attempt.workload)))
    JobAttempt.objects.filter(pk=attempt.pk).update(log_key=key, log_bytes=stored.size)


def _or_empty(chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield from chunks


def _list_artifacts(job: TrainingJob) -> None:
    """Name what is left of the job: logs and model files."""
    rows = [
        {"kind": "log", "uri": store().uri(key), "size": size}
        for key, size in JobAttempt.objects.filter(job=job).exclude(log_key="").values_list("log_key", "log_bytes")
    ]
    if job.output_storage_uri:
        rows.append({"kind": "model", "uri": job.output_storage_uri})
    ExperimentRecord.objects.filter(job=job).update(artifacts=rows)
