"""Reading what workloads wrote. Who may see a workload has been decided by the selector it came from."""

from __future__ import annotations

import time
from collections.abc import Iterator

from apps.compute.models import Workload
from apps.compute.types import BackendError, LogChunk, PodInfo
from apps.core.errors import InfrastructureError
from apps.integrations.registry import compute_backend

CHUNK_BYTES = 64 * 1024
FOLLOW_PAUSE_SECONDS = 0.5
FOLLOW_MAX_SECONDS = 600.0


def _unavailable(error: BackendError) -> InfrastructureError:
    return InfrastructureError(f"The log cannot be read now: {error.message} {error.remedy}".strip())


def workload_log_tail(workload: Workload, lines: int = 200) -> list[str]:
    """Return the last `lines` lines of the log."""
    try:
        return compute_backend(workload.backend).log_tail(workload.name, lines)
    except BackendError as error:
        raise _unavailable(error) from error


def workload_log_read(workload: Workload, offset: int, max_bytes: int = CHUNK_BYTES) -> LogChunk:
    """Return a piece of the log from byte `offset` on; a negative offset counts from the end."""
    try:
        return compute_backend(workload.backend).log_read(workload.name, offset, max_bytes)
    except BackendError as error:
        raise _unavailable(error) from error


def workload_log_chunks(workload: Workload) -> Iterator[bytes]:
    """Yield the whole kept log, for archiving."""
    try:
        return compute_backend(workload.backend).log_chunks(workload.name)
    except BackendError as error:
        raise _unavailable(error) from error


def workload_log_stream(workload: Workload, offset: int = 0) -> Iterator[str]:
    """Yield log text as it appears, until the workload has ended or ten minutes are over."""
    until = time.monotonic() + FOLLOW_MAX_SECONDS
    while True:
        workload.refresh_from_db(fields=["state"])
        ended = not workload.is_active
        chunk = workload_log_read(workload, offset)
        while chunk.text:
            offset = chunk.next_offset
            yield chunk.text
            chunk = workload_log_read(workload, offset)
        if ended or time.monotonic() >= until:
            return
        time.sleep(FOLLOW_PAUSE_SECONDS)


def workload_pods(workload: Workload) -> list[PodInfo]:
    """Return the processes or pods of a workload, as its backend reports them."""
    try:
        return compute_backend(workload.backend).pods(workload.name)
    except BackendError as error:
        raise InfrastructureError(f"The backend could not be asked: {error.message}") from error
