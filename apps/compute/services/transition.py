"""The one way a workload changes its state."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db import transaction

from apps.compute import handlers
from apps.compute.models import Workload, WorkloadEvent
from apps.compute.reasons import explain, remedy_for
from apps.compute.services.billing import interval_close, interval_open
from apps.compute.types import (
    FINAL_STATES,
    WORKLOAD_TRANSITIONS,
    Observation,
    ReasonCode,
    WorkloadState,
)
from apps.core import clock
from apps.core.transitions import transition


def moment(seconds: float | None) -> datetime | None:
    """Return a backend's time stamp as an aware time, never one that lies in the future."""
    if seconds is None:
        return None
    return min(datetime.fromtimestamp(seconds, UTC), clock.now())


def workload_transition(
    workload: Workload,
    to: WorkloadState,
    *,
    code: ReasonCode = ReasonCode.NONE,
    reason: str = "",
    observation: Observation | None = None,
) -> Workload:
    """Move a locked workload to `to`: event, interval, owner's handler, all in the caller's transaction.

    Raises Conflict when the table does not allow it. `observation` adds what the backend measured.
    """
    with transaction.atomic():
        previous = workload.state
        now = clock.now()
        updates: dict[str, Any] = {"reason_code": code.value, "reason": reason, "remedy": remedy_for(code)}
        if observation is not None:
            if not reason:
                updates["reason"], updates["remedy"] = explain(observation, code)
            updates |= _measured(workload, observation)
        if to is WorkloadState.READY and workload.ready_at is None:
            updates["ready_at"] = now
        if to in FINAL_STATES:
            end = moment(observation.finished_at) if observation else None
            start = updates.get("started_at") or workload.started_at
            updates["finished_at"] = max(end or now, start) if start else end or now
            updates["spec_secrets"] = ""  # nobody needs them any more
        transition(workload, to.value, WORKLOAD_TRANSITIONS, field="state", **updates)
        WorkloadEvent.objects.create(
            workload=workload,
            from_state=previous,
            to_state=to.value,
            reason_code=code.value,
            message=workload.reason,
            occurred_at=now,
        )
        if workload.started_at is not None:
            interval_open(workload)
            if to in FINAL_STATES:
                interval_close(workload)
        handlers.notify(workload, previous)
    return workload


def _measured(workload: Workload, observation: Observation) -> dict[str, Any]:
    """Return the columns that an observation fills; what it does not know stays as it was."""
    measured = {
        "exit_code": observation.exit_code,
        "pid": observation.pid,
        "port": observation.port,
        "address": observation.address or None,
        "peak_memory_bytes": observation.peak_memory_bytes,
        "cpu_seconds_used": observation.cpu_seconds,
        "started_at": None if workload.started_at else moment(observation.started_at),
    }
    return {column: value for column, value in measured.items() if value is not None}
