"""One pass over everything that is not at its end: look, stop, start, bill.

A pass holds no state: it may die anywhere and the next one continues. The order within one workload is always
commit the intent, call the backend outside the transaction, record the outcome.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from django.db import DatabaseError, transaction

from apps.compute.models import Workload, WorkloadEvent
from apps.compute.reasons import remedy_for, waiting_for_slot
from apps.compute.services.billing import intervals_bill
from apps.compute.services.lease import lease_held
from apps.compute.services.submit import workload_spec
from apps.compute.services.transition import workload_transition
from apps.compute.types import (
    ACTIVE_STATES,
    ON_BACKEND_STATES,
    BackendError,
    Desired,
    Observation,
    ObservedState,
    PassReport,
    ReasonCode,
    SlotClass,
    WorkloadSpec,
    WorkloadState,
)
from apps.core import clock
from apps.integrations.ports import ComputeBackend
from apps.integrations.registry import compute_backend

log = structlog.get_logger(__name__)


def reconcile_with_lease() -> PassReport | None:
    """Make one pass if nobody else is at it; None when somebody is."""
    with lease_held() as held:
        return reconcile_once() if held else None


def reconcile_once(*, start: bool = True) -> PassReport:
    """Make one pass. The caller holds the lease (tests: is alone). `start=False` only looks and records."""
    report = PassReport()
    by_backend: dict[str, list[Workload]] = defaultdict(list)
    for workload in Workload.objects.filter(state__in=sorted(ACTIVE_STATES)).order_by("-priority", "created_at"):
        by_backend[workload.backend].append(workload)
        report.active += 1
    for name, workloads in by_backend.items():
        try:
            _reconcile_backend(compute_backend(name), workloads, report, start=start)
        except BackendError as error:
            # It could not be asked. That says nothing about what runs there: leave every workload as it is.
            report.unreachable[name] = error.message
            log.warning("compute.backend.unreachable", backend=name, error=error.message)
    intervals_bill()
    return report


def _reconcile_backend(backend: ComputeBackend, workloads: list[Workload], report: PassReport, *, start: bool) -> None:
    placed = [workload for workload in workloads if workload.state in ON_BACKEND_STATES]
    seen = backend.observe([workload.name for workload in placed])
    for workload in placed:
        report.observed += 1
        with _contained(workload, report):
            _look_after(backend, workload, seen[workload.name], report, start=start)
    if start:
        up = [workload for workload in placed if workload.state in ON_BACKEND_STATES]
        waiting = [workload for workload in workloads if workload.state == WorkloadState.PENDING]
        _start_waiting(backend, waiting, up, report)


@contextmanager
def _contained(workload: Workload, report: PassReport) -> Iterator[None]:
    """Keep one workload's trouble away from the others; an unreachable backend concerns them all."""
    try:
        yield
    except (BackendError, DatabaseError):
        raise
    except Exception as error:
        log.exception("compute.workload.trouble", workload=workload.name)
        report.errors.append(f"{workload.name}: {error}")


def _look_after(
    backend: ComputeBackend, workload: Workload, observation: Observation, report: PassReport, *, start: bool
) -> None:
    if observation.state is ObservedState.ABSENT and workload.state == WorkloadState.STARTING:
        # The intent was recorded and the call never arrived (or its answer was lost): ask (again).
        if workload.desired == Desired.STOPPED:
            _record(workload, Observation(ObservedState.STOPPED), report)
        elif start:
            _start(backend, workload, report)
    elif _record(workload, observation, report) and workload.desired == Desired.STOPPED:
        backend.stop(workload.name)
        report.stopped += 1


def _start_waiting(backend: ComputeBackend, waiting: list[Workload], up: list[Workload], report: PassReport) -> None:
    """Start what has a place, in order; tell the others where they stand."""
    capacity = backend.capacity()
    occupied: dict[str, int] = defaultdict(int)
    for workload in up:
        occupied[workload.slot_class] += 1
    gpus = sum(workload.gpu_count for workload in up)
    lines: dict[str, list[Workload]] = defaultdict(list)
    for workload in waiting:
        if workload.desired == Desired.STOPPED:
            continue
        problem = backend.unplaceable(WorkloadSpec.from_json(workload.spec))
        if problem:
            _note(workload, ReasonCode.UNPLACEABLE, problem)
            report.waiting += 1
            continue
        full = occupied[workload.slot_class] >= capacity.of(SlotClass(workload.slot_class))
        no_gpu = workload.gpu_count > 0 and gpus + workload.gpu_count > capacity.gpus
        # Nobody overtakes in a class: a small one that fits would starve a big one that waits in front.
        if full or no_gpu or lines[workload.slot_class]:
            lines[workload.slot_class].append(workload)
            continue
        if _claim(workload):
            occupied[workload.slot_class] += 1
            gpus += workload.gpu_count
            with _contained(workload, report):
                _start(backend, workload, report)
    for slot_class, line in lines.items():
        places = capacity.of(SlotClass(slot_class))
        for position, workload in enumerate(line, start=1):
            text = waiting_for_slot(position, len(line), slot_class, places)
            _note(workload, ReasonCode.WAITING_FOR_SLOT, text)
            report.waiting += 1


def _claim(workload: Workload) -> bool:
    """Commit the intent to start; False when it was stopped meanwhile."""
    with transaction.atomic():
        locked = _lock(workload)
        if locked is None or locked.state != WorkloadState.PENDING or locked.desired != Desired.RUNNING:
            return False
        workload_transition(locked, WorkloadState.STARTING)
    _copy(locked, workload)
    return True


def _start(backend: ComputeBackend, workload: Workload, report: PassReport) -> None:
    """Ask the backend to run a claimed workload and record what came of it."""
    try:
        observation = backend.submit(workload.name, workload_spec(workload))
    except BackendError as error:
        log.warning("compute.workload.submit_failed", workload=workload.name, error=error.message)
        if error.permanent:
            reason = f"The backend refused it: {error.message}"
            _finish(workload, WorkloadState.FAILED, ReasonCode.BACKEND_REFUSED, reason)
            report.changed += 1
        else:
            _note(workload, ReasonCode.BACKEND_UNREACHABLE, f"It could not be started yet: {error.message}")
        return
    report.started += 1
    _record(workload, observation, report)


def _record(workload: Workload, observation: Observation, report: PassReport) -> bool:
    """Bring the row in line with what was seen; returns whether it is still up."""
    with transaction.atomic():
        target, code = read_observation(workload, observation)
        if target == workload.state:
            return True
        locked = _lock(workload)
        if locked is None:
            return False
        target, code = read_observation(locked, observation)
        if locked.state in ON_BACKEND_STATES and target != locked.state:
            reason = locked.stop_reason if code is ReasonCode.STOPPED else ""
            workload_transition(locked, target, code=code, reason=reason, observation=observation)
            report.changed += 1
            log.info("compute.workload.changed", workload=locked.name, state=locked.state, reason=code.value)
    _copy(locked, workload)
    return workload.is_active


def read_observation(workload: Workload, observation: Observation) -> tuple[WorkloadState, ReasonCode]:
    """Return the state and root cause that an observation means for this workload, given what was wanted."""
    wanted = workload.desired == Desired.RUNNING
    match observation.state:
        case ObservedState.STARTING:
            return WorkloadState(workload.state), ReasonCode.NONE
        case ObservedState.RUNNING:
            return WorkloadState.RUNNING, ReasonCode.NONE
        case ObservedState.READY:
            return WorkloadState.READY, ReasonCode.NONE
        case ObservedState.SUCCEEDED if workload.slot_class == SlotClass.JOB:
            return WorkloadState.SUCCEEDED, ReasonCode.NONE
        case _ if not wanted:
            return WorkloadState.STOPPED, ReasonCode.STOPPED
        case ObservedState.SUCCEEDED:
            # A server that leaves by itself has failed its purpose, whatever its exit code.
            return WorkloadState.FAILED, ReasonCode.EXIT_CODE
        case ObservedState.FAILED:
            return WorkloadState.FAILED, observation.reason
        case _:
            # Stopped by a hand that was not ours, or gone without a record.
            return WorkloadState.FAILED, ReasonCode.INTERRUPTED


def _finish(workload: Workload, to: WorkloadState, code: ReasonCode, reason: str) -> None:
    with transaction.atomic():
        locked = _lock(workload)
        if locked is not None and locked.is_active:
            workload_transition(locked, to, code=code, reason=reason)
            _copy(locked, workload)


def _note(workload: Workload, code: ReasonCode, text: str) -> None:
    """Say why nothing happens yet; an event only when the cause is a new one, not for each step forward."""
    if workload.reason_code == code and workload.reason == text:
        return
    with transaction.atomic():
        locked = _lock(workload)
        if locked is None or not locked.is_active:
            return
        if locked.reason_code != code:
            WorkloadEvent.objects.create(
                workload=locked,
                from_state=locked.state,
                to_state=locked.state,
                reason_code=code.value,
                message=text,
                occurred_at=clock.now(),
            )
        locked.reason_code, locked.reason, locked.remedy = code.value, text, remedy_for(code)
        locked.save(update_fields=["reason_code", "reason", "remedy", "updated_at"])
    _copy(locked, workload)


def _lock(workload: Workload) -> Workload | None:
    return Workload.objects.select_for_update(of=("self",)).filter(pk=workload.pk).first()


def _copy(source: Workload | None, target: Workload) -> None:
    """Carry what was written to the locked row over to the pass's own copy of it."""
    if source is not None:
        for name in ("state", "desired", "reason_code", "reason"):
            setattr(target, name, getattr(source, name))
