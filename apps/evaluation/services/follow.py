"""Following a run's workload: started, ended well, ended badly, lost."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import structlog
from django.db import transaction

from apps.accounts.models import User
from apps.compute.models import Workload
from apps.compute.types import ReasonCode, WorkloadState
from apps.core import audit, clock
from apps.core.tasks import enqueue
from apps.core.transitions import transition
from apps.evaluation.models import EvaluationRun, EvaluationSample
from apps.evaluation.selectors import run_folder, run_workload
from apps.evaluation.services.assign import samples_assigned
from apps.evaluation.services.start import PREPARE
from apps.evaluation.types import RUN_TRANSITIONS, RUN_WORKING, WITH_METRICS, WITH_REVIEW, RunStatus
from apps.governance.services import UsageEntry, usage_record_many
from workers.contracts import RETRYABLE, EvaluateReport, ReportStatus, SampleResult, SpecError
from workers.contracts.evaluation import REPORT_FILENAME, SAMPLES_FILENAME

log = structlog.get_logger(__name__)

FOLLOW = "apps.evaluation.tasks.evaluation_follow"
MAX_ATTEMPTS = 3
_STALE = timedelta(seconds=60)
_MAX_REPORT_BYTES = 16 * 1024 * 1024


def run_follow(run_id: object) -> str:
    """Bring the run to where its newest workload is. Idempotent; returns the run's status."""
    with transaction.atomic():
        run = EvaluationRun.objects.select_for_update().filter(pk=str(run_id)).first()
        if run is None:
            return "gone"
        if run.status in RUN_WORKING:
            workload = run_workload(run)
            if workload is not None:
                _follow(run, workload)
        if run.status not in RUN_WORKING:
            folder = run_folder(run)
            # After the commit: a crash in between leaves files, never a run without its results.
            transaction.on_commit(lambda: shutil.rmtree(folder, ignore_errors=True))
        return run.status


def runs_reconcile() -> int:
    """Send word again for runs that nothing has moved for a while; returns how many."""
    count = 0
    stale = EvaluationRun.objects.filter(status__in=sorted(RUN_WORKING), updated_at__lt=clock.now() - _STALE)
    for run in stale.iterator():
        workload = run_workload(run)
        if workload is None or workload.attempt != run.attempt:
            enqueue(PREPARE, str(run.pk))
        elif not workload.is_active or run.status == RunStatus.QUEUED:
            enqueue(FOLLOW, str(run.pk))
        else:
            continue
        count += 1
    return count


def _follow(run: EvaluationRun, workload: Workload) -> None:
    if workload.attempt != run.attempt:
        return  # the next attempt is on its way
    if workload.is_active:
        if workload.started_at is not None and run.status == RunStatus.QUEUED:
            transition(
                run,
                RunStatus.RUNNING,
                RUN_TRANSITIONS,
                started_at=run.started_at or workload.started_at,
                message="The evaluator is working.",
            )
        return
    if workload.state == WorkloadState.SUCCEEDED:
        _collect(run)
    elif _worth_another_try(workload) and run.attempt < MAX_ATTEMPTS:
        run.attempt += 1
        message = f"Attempt {run.attempt - 1} was interrupted; attempt {run.attempt} of {MAX_ATTEMPTS} follows."
        if run.status == RunStatus.RUNNING:
            transition(run, RunStatus.QUEUED, RUN_TRANSITIONS, attempt=run.attempt, message=message)
        else:
            run.message = message
            run.save(update_fields=["attempt", "message"])
        enqueue(PREPARE, str(run.pk))
    else:
        _fail(run, workload)


def _worth_another_try(workload: Workload) -> bool:
    if workload.reason_code == ReasonCode.INTERRUPTED:
        return True
    return workload.reason_code == ReasonCode.EXIT_CODE and workload.exit_code in RETRYABLE


def _fail(run: EvaluationRun, workload: Workload) -> None:
    """The evaluator's own words where it left any, else what the backend saw."""
    tag, message = workload.reason_code or "failed", workload.reason or "The evaluator ended without a result."
    try:
        failure = _report(run_folder(run)).failure
    except (OSError, SpecError):
        failure = None
    if failure is not None:
        tag, message = failure.tag, f"{failure.field}: {failure.message}" if failure.field else failure.message
    elif workload.remedy:
        message = f"{message} {workload.remedy}"
    _end_badly(run, tag, message)


def _end_badly(run: EvaluationRun, tag: str, message: str) -> None:
    transition(
        run,
        RunStatus.FAILED,
        RUN_TRANSITIONS,
        failure_tag=tag[:40],
        message=message[:1000],
        finished_at=clock.now(),
    )
    audit.record(actor=None, action="evaluation.run.failed", resource=run, metadata={"tag": tag})


def _collect(run: EvaluationRun) -> None:
    """Store samples, metrics and usage; open the run for review or end it."""
    folder = run_folder(run)
    try:
        report = _report(folder)
        if report.status is not ReportStatus.SUCCEEDED:
            raise SpecError("status", f"is {report.status.value} although the evaluator ended well.")
        samples = [_row(run, sample) for sample in _samples(folder / "out" / SAMPLES_FILENAME)]
    except (OSError, SpecError) as error:
        log.warning("evaluation.run.report_unreadable", run=str(run.pk), reason=str(error))
        _end_badly(run, "report_unreadable", f"The evaluator's report cannot be used: {error}")
        return
    run.samples.all().delete()
    EvaluationSample.objects.bulk_create(samples, batch_size=1_000)
    run.metrics = _metrics(run, report)
    run.sample_count, run.failed_samples = report.sample_count, report.failed_samples
    reviewers = User.objects.filter(pk__in=run.report.get("reviewers", []))
    run.report = run.report | _kept(report)
    run.save(update_fields=["metrics", "sample_count", "failed_samples", "report"])
    _bill(run, report)
    # Nobody can judge an answer that is not there.
    if run.run_type in WITH_REVIEW and any(sample.output is not None for sample in samples):
        EvaluationSample.objects.filter(run=run, output=None).update(review_count=run.reviews_per_sample)
        samples_assigned(run, list(reviewers))
        message = f"{len(samples) - report.failed_samples} samples wait for review."
        transition(run, RunStatus.AWAITING_REVIEW, RUN_TRANSITIONS, message=message)
        return
    transition(
        run,
        RunStatus.SUCCEEDED,
        RUN_TRANSITIONS,
        finished_at=clock.now(),
        message=f"{report.sample_count} samples evaluated.",
    )
    audit.record(actor=None, action="evaluation.run.succeeded", resource=run)


def _report(folder: Path) -> EvaluateReport:
    path = folder / "out" / REPORT_FILENAME
    if path.stat().st_size > _MAX_REPORT_BYTES:
        raise SpecError("", "is larger than any report should be.")
    return EvaluateReport.from_json(path.read_bytes())


def _samples(path: Path) -> Iterator[SampleResult]:
    with path.open(encoding="utf-8") as handle:
        for line in handle:
            if line.strip():
                yield SampleResult.from_json(line)


def _row(run: EvaluationRun, sample: SampleResult) -> EvaluationSample:
    # PostgreSQL's text cannot hold a null character; models can say one.
    clean = {name: (getattr(sample, name) or "").replace("\x00", "�") for name in ("input", "reference", "error")}
    return EvaluationSample(
        run=run,
        index=sample.index,
        row_id=sample.row_id[:200],
        input=clean["input"],
        reference=clean["reference"],
        output=None if sample.output is None else sample.output.replace("\x00", "�"),
        scores=sample.scores if run.run_type in WITH_METRICS else {},
        latency_ms=sample.latency_ms,
        prompt_tokens=sample.prompt_tokens,
        completion_tokens=sample.completion_tokens,
        error=clean["error"][:500],
    )


def _metrics(run: EvaluationRun, report: EvaluateReport) -> dict[str, Any]:
    if run.run_type not in WITH_METRICS:
        return {}
    return {
        name: {
            "value": round(found.value, 6),
            "low": round(found.low, 6),
            "high": round(found.high, 6),
            "samples": found.samples,
        }
        for name, found in report.metrics.items()
    }


def _kept(report: EvaluateReport) -> dict[str, Any]:
    """What of the report is worth keeping beside the columns."""
    environment = report.environment
    return {
        "warnings": list(report.warnings),
        "promptTokens": report.prompt_tokens,
        "completionTokens": report.completion_tokens,
        "wallSeconds": report.resources.wall_seconds,
        "cpuSeconds": report.resources.cpu_seconds,
        "peakMemoryBytes": report.resources.peak_memory_bytes,
        "environment": {
            "python": environment.python,
            "platform": environment.platform,
            "device": environment.device,
            "packages": environment.packages,
        }
        if environment
        else {},
    }


def _bill(run: EvaluationRun, report: EvaluateReport) -> None:
    """Tokens by attempt; seconds and memory come from the workload's intervals."""
    now = clock.now()
    usage_record_many(
        UsageEntry(
            kind=kind,
            quantity=Decimal(count),
            resource_type="evaluation",
            resource_id=run.pk,
            team_id=run.team_id,
            user_id=run.created_by_id,
            model_id=run.model_id,
            occurred_at=now,
            key=f"evaluation:{run.pk}:{run.attempt}:{kind}",
        )
        for kind, count in (("tokens_in", report.prompt_tokens), ("tokens_out", report.completion_tokens))
        if count
    )
