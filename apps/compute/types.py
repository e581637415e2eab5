"""States of a workload and the values that move between the compute app's services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from apps.integrations.ports import (
    BackendError,
    HttpProbe,
    LogChunk,
    Observation,
    ObservedState,
    PodInfo,
    ReasonCode,
    SlotClass,
    WorkloadSpec,
)

__all__ = [
    "ACTIVE_STATES",
    "FINAL_STATES",
    "ON_BACKEND_STATES",
    "WORKLOAD_TRANSITIONS",
    "BackendError",
    "Desired",
    "HttpProbe",
    "LogChunk",
    "Observation",
    "ObservedState",
    "PassReport",
    "PodInfo",
    "ReasonCode",
    "SlotClass",
    "WorkloadKind",
    "WorkloadSpec",
    "WorkloadState",
]


class WorkloadKind(StrEnum):
    """What a workload is for; also the resource type its costs are booked under."""

    TRAINING = "training"
    SERVING = "serving"
    EVALUATION = "evaluation"


class Desired(StrEnum):
    """What the owner wants of it."""

    RUNNING = "running"
    STOPPED = "stopped"


class WorkloadState(StrEnum):
    """Where a workload is.

    pending: accepted, not yet given to a backend; waits for a slot. Leaves by a pass, or by being stopped.
    starting: the intent to start is recorded; the backend was or is being asked. A crash in between is
        repaired by asking again: backends start a name once.
    running: its process or pod is up; with a readiness probe: not ready.
    ready: up and its readiness probe passes.
    succeeded: ended by itself with exit code 0. Final.
    failed: ended otherwise; `reason_code` says why. Final.
    stopped: ended because its owner wanted it to. Final.
    """

    PENDING = "pending"
    STARTING = "starting"
    RUNNING = "running"
    READY = "ready"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"


_ENDS = frozenset({"succeeded", "failed", "stopped"})
WORKLOAD_TRANSITIONS: Mapping[str, frozenset[str]] = {
    "pending": frozenset({"starting", "failed", "stopped"}),
    "starting": frozenset({"running", "ready"}) | _ENDS,
    "running": frozenset({"ready"}) | _ENDS,
    "ready": frozenset({"running"}) | _ENDS,
    "succeeded": frozenset(),
    "failed": frozenset(),
    "stopped": frozenset(),
}
FINAL_STATES = frozenset({WorkloadState.SUCCEEDED, WorkloadState.FAILED, WorkloadState.STOPPED})
ON_BACKEND_STATES = frozenset({WorkloadState.STARTING, WorkloadState.RUNNING, WorkloadState.READY})
ACTIVE_STATES = ON_BACKEND_STATES | {WorkloadState.PENDING}


@dataclass(slots=True)
class PassReport:
    """What one reconciler pass did. `unreachable`: backend name → why it could not be asked.

    `errors`: workloads whose own handling failed; the others were looked after all the same."""

    observed: int = 0
    changed: int = 0
    started: int = 0
    stopped: int = 0
    waiting: int = 0
    active: int = 0
    unreachable: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
