"""A job's log: from compute while it is kept there, from the store afterwards."""

from __future__ import annotations

from collections.abc import Iterator

from apps.compute.services import workload_log_read, workload_log_stream, workload_log_tail
from apps.compute.types import LogChunk
from apps.core.errors import ValidationFailed
from apps.core.storage import store
from apps.training.models import JobAttempt, TrainingJob
from apps.training.selectors import attempts_of

TAIL_BYTES = 512 * 1024
CHUNK_BYTES = 64 * 1024
MAX_TAIL = 10_000


def attempt_shown(job: TrainingJob, number: int | None = None) -> JobAttempt | None:
    """Return the attempt whose log is meant: the numbered one, else the newest that has a workload."""
    attempts = attempts_of(job)
    if number is not None:
        return attempts.filter(number=number).first()
    return attempts.filter(workload__isnull=False).first()


def job_log_tail(job: TrainingJob, lines: int, attempt: JobAttempt | None = None) -> list[str]:
    """Return the last `lines` lines of an attempt's log (the newest attempt's by default)."""
    if not 0 <= lines <= MAX_TAIL:
        raise ValidationFailed.field("tail", "invalid", f"tail must be between 0 and {MAX_TAIL} lines.")
    attempt = attempt or attempt_shown(job)
    if attempt is None or lines == 0:
        return []
    if attempt.log_key:
        start = max(attempt.log_bytes - TAIL_BYTES, 0)
        text = _stored(attempt, start, attempt.log_bytes)
        found = text.splitlines()
        return (found[1:] if start and len(found) > 1 else found)[-lines:]
    return workload_log_tail(attempt.workload, lines) if attempt.workload is not None else []


def job_log_read(job: TrainingJob, offset: int, attempt: JobAttempt | None = None) -> tuple[LogChunk, bool]:
    """Return a piece of the log from `offset` on (negative: from the end), and whether more may come."""
    attempt = attempt or attempt_shown(job)
    if attempt is None:
        return LogChunk("", 0, 0), job.is_active
    if attempt.log_key:
        begin = offset if offset >= 0 else max(attempt.log_bytes + offset, 0)
        end = min(begin + CHUNK_BYTES, attempt.log_bytes)
        text = _stored(attempt, begin, end) if begin < end else ""
        return LogChunk(text, begin, max(begin, end)), end < attempt.log_bytes
    if attempt.workload is None:
        return LogChunk("", 0, 0), job.is_active
    return workload_log_read(attempt.workload, offset), attempt.workload.is_active


def job_log_stream(job: TrainingJob) -> Iterator[str]:
    """Yield the newest attempt's log as it grows, until it ends."""
    attempt = attempt_shown(job)
    if attempt is None:
        return
    if attempt.log_key:
        for start in range(0, attempt.log_bytes, CHUNK_BYTES):
            yield _stored(attempt, start, min(start + CHUNK_BYTES, attempt.log_bytes))
    elif attempt.workload is not None:
        yield from workload_log_stream(attempt.workload)


def _stored(attempt: JobAttempt, start: int, end: int) -> str:
    return b"".join(store().open_range(attempt.log_key, start, end)).decode("utf-8", "replace")
