"""Resource intervals and what they put into the usage ledger.

An interval is written to the ledger in consecutive slices. The key of a slice is the interval and the
slice's beginning; slice and new `billed_until` are committed together: nothing is missed, nothing doubled.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

from django.db import transaction

from apps.compute.handlers import billed_resource
from apps.compute.models import ResourceInterval, Workload
from apps.core import clock
from apps.governance.services import UsageEntry, usage_record_many

SLICE = timedelta(seconds=45)  # "at most a minute old", with room for a pass
BATCH = 500


def interval_open(workload: Workload) -> None:
    """Open the interval of a workload that has started; a second call finds the first one's."""
    started = workload.started_at
    if started is None:
        return
    ResourceInterval.objects.get_or_create(
        workload=workload,
        started_at=started,
        defaults={
            "billed_until": started,
            "cpu": workload.cpu,
            "memory_bytes": workload.memory_bytes,
            "gpu_count": workload.gpu_count,
        },
    )


def interval_close(workload: Workload) -> None:
    """Close the open interval at the workload's end and settle it in the ledger."""
    for interval in workload.intervals.select_for_update().filter(ended_at__isnull=True):
        interval.ended_at = max(workload.finished_at or clock.now(), interval.billed_until)
        _bill(interval, workload, interval.ended_at)


def intervals_bill(*, now: datetime | None = None) -> int:
    """Write the running intervals' latest slices to the ledger; returns how many intervals had one."""
    now = now or clock.now()
    billed = 0
    due = ResourceInterval.objects.filter(settled=False, billed_until__lte=now - SLICE)
    for pk in due.order_by("billed_until").values_list("pk", flat=True)[:BATCH]:
        with transaction.atomic():
            interval = (
                ResourceInterval.objects.select_for_update(skip_locked=True, of=("self",))
                .select_related("workload")
                .filter(pk=pk, settled=False)
                .first()
            )
            if interval is not None:
                _bill(interval, interval.workload, interval.ended_at or now)
                billed += 1
    return billed


def _bill(interval: ResourceInterval, workload: Workload, until: datetime) -> None:
    entries: list[UsageEntry] = []
    resource_id = billed_resource(workload)
    for begin, end in _slices(interval.billed_until, until):
        seconds = Decimal(str((end - begin).total_seconds()))
        entries += _entries(interval, workload, resource_id, begin, seconds)
    usage_record_many(entries)
    interval.billed_until = max(until, interval.billed_until)
    interval.settled = interval.ended_at is not None
    interval.save(update_fields=["billed_until", "ended_at", "settled", "updated_at"])


def _slices(begin: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Cut [begin, until) at midnights, so that every entry belongs to one day."""
    while begin < until:
        midnight = datetime.combine(begin.date() + timedelta(days=1), time(), UTC)
        end = min(until, midnight)
        yield begin, end
        begin = end


def _entries(
    interval: ResourceInterval, workload: Workload, resource_id: str, begin: datetime, seconds: Decimal
) -> Iterator[UsageEntry]:
    for kind, amount in (
        ("cpu_seconds", interval.cpu),
        ("memory_byte_seconds", Decimal(interval.memory_bytes)),
        ("gpu_seconds", Decimal(interval.gpu_count)),
    ):
        if amount:
            yield UsageEntry(
                kind=kind,
                quantity=amount * seconds,
                resource_type=workload.kind,
                resource_id=resource_id,
                team_id=workload.team_id,
                user_id=workload.created_by_id,
                model_id=workload.model_id,
                gpu_type=workload.gpu_type,
                occurred_at=begin,
                key=f"interval:{interval.pk}:{begin.timestamp():.6f}:{kind}",
            )
