"""Resource intervals and the usage ledger: no gap, no overlap, nothing twice (FR-011)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.db.models import Sum

from apps.compute.models import ResourceInterval, Workload
from apps.compute.services import intervals_bill
from apps.compute.services.transition import workload_transition
from apps.compute.types import Observation, ObservedState, WorkloadState
from apps.core import clock
from apps.governance.models import UsageRecord
from tests.compute.conftest import Submit
from tests.compute.programs import python

START = datetime(2026, 11, 20, 23, 58, 0, tzinfo=UTC)


def run(workload: Workload, started: datetime, finished: datetime | None = None) -> None:
    with clock.frozen(started):
        workload_transition(workload, WorkloadState.STARTING)
        seen = Observation(ObservedState.RUNNING, started_at=started.timestamp())
        workload_transition(workload, WorkloadState.RUNNING, observation=seen)
    if finished is not None:
        end(workload, finished)


def end(workload: Workload, finished: datetime) -> None:
    with clock.frozen(finished):
        seen = Observation(ObservedState.SUCCEEDED, finished_at=finished.timestamp())
        workload_transition(workload, WorkloadState.SUCCEEDED, observation=seen)


def booked(workload: Workload, kind: str) -> Decimal:
    rows = UsageRecord.objects.filter(resource_id=str(workload.owner_id), kind=kind)
    return rows.aggregate(total=Sum("quantity"))["total"] or Decimal(0)


def test_interval_sums_to_the_time_that_was_used(submit: Submit) -> None:
    """FR-011: cores, bytes and GPUs, each times seconds, whatever the number of slices."""
    workload = submit(python("pass", cpu=1.5, memory_bytes=1000, gpu_count=2))
    run(workload, START)
    for seconds in (50, 110, 170, 200):
        intervals_bill(now=START + timedelta(seconds=seconds))
    end(workload, START + timedelta(seconds=241))
    assert booked(workload, "cpu_seconds") == Decimal("361.5")
    assert booked(workload, "memory_byte_seconds") == 241_000
    assert booked(workload, "gpu_seconds") == 482
    interval = ResourceInterval.objects.get(workload=workload)
    assert interval.settled
    assert interval.ended_at == workload.finished_at


def test_slices_touch_and_never_overlap(submit: Submit) -> None:
    """FR-011: slices are half-open and end at midnight, so that every entry belongs to one day."""
    workload = submit(python("pass", cpu=1))
    run(workload, START)
    intervals_bill(now=START + timedelta(seconds=60))
    intervals_bill(now=START + timedelta(seconds=200))
    rows = UsageRecord.objects.filter(kind="cpu_seconds").order_by("occurred_at")
    parts = [(row.occurred_at, row.quantity) for row in rows]
    assert parts == [
        (START, Decimal(60)),
        (START + timedelta(seconds=60), Decimal(60)),
        (START + timedelta(seconds=120), Decimal(80)),
    ]


def test_billing_twice_changes_nothing(submit: Submit) -> None:
    """FR-011: a pass that is repeated after a crash books nothing again."""
    workload = submit(python("pass", cpu=1))
    run(workload, START)
    now = START + timedelta(seconds=100)
    assert intervals_bill(now=now) == 1
    ResourceInterval.objects.update(billed_until=START)  # as if the crash had come before the row was saved
    intervals_bill(now=now)
    assert booked(workload, "cpu_seconds") == 100
    end(workload, START + timedelta(seconds=130))
    assert intervals_bill(now=START + timedelta(hours=1)) == 0
    assert booked(workload, "cpu_seconds") == 130


def test_running_costs_are_at_most_a_minute_old(submit: Submit) -> None:
    """API contract: what runs now is in the ledger up to less than a minute ago."""
    workload = submit(python("pass", cpu=1))
    run(workload, START)
    assert intervals_bill(now=START + timedelta(seconds=20)) == 0
    assert intervals_bill(now=START + timedelta(seconds=46)) == 1
    assert booked(workload, "cpu_seconds") == 46


def test_what_never_started_costs_nothing(submit: Submit) -> None:
    """FR-011: waiting is free; so is failing to start."""
    workload = submit(python("pass"))
    workload_transition(workload, WorkloadState.STARTING)
    workload_transition(workload, WorkloadState.FAILED)
    assert not ResourceInterval.objects.exists()


def test_short_job_seen_only_at_its_end_is_billed_whole(submit: Submit) -> None:
    """FR-011: start and end come from the backend's record, not from when the reconciler looked."""
    workload = submit(python("pass", cpu=2))
    with clock.frozen(START + timedelta(seconds=30)):
        workload_transition(workload, WorkloadState.STARTING)
        seen = Observation(
            ObservedState.SUCCEEDED,
            started_at=START.timestamp(),
            finished_at=(START + timedelta(seconds=7)).timestamp(),
        )
        workload_transition(workload, WorkloadState.SUCCEEDED, observation=seen)
    assert booked(workload, "cpu_seconds") == 14
