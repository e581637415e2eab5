"""The nightly roll-up: closed cost days go from the ledger into the daily table; late usage is filled in."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date, timedelta

from django.conf import settings
from django.db import connection, transaction

from apps.core import clock
from apps.governance.cost_sql import ROLL_UP, cost_day, day_range, next_day
from apps.governance.models import CostDaily, CostState, UsageRecord

logger = logging.getLogger(__name__)

ROLL_UP_LOCK = 0x4C4C4D02
# A transaction that was open while the last run looked may have written rows with an earlier time stamp.
OVERLAP = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class RollUp:
    """What one run did. `days` were computed anew; `changed` rows of the daily table differ from before."""

    days: tuple[date, ...]
    changed: int
    busy: bool = False


def costs_rollup(*, everything: bool = False) -> RollUp:
    """Bring the daily table up to the last closed cost day. Any number of runs gives the same table.

    Days with usage that was recorded since the last run are computed anew from the ledger, never added to, so late
    usage is counted once. With `everything`, or after the day boundary was moved, all days are.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [ROLL_UP_LOCK])
            row = cursor.fetchone()
        if row is None or not row[0]:
            return RollUp((), 0, busy=True)
        state, _ = CostState.objects.select_for_update().get_or_create(pk=1)
        started, today = clock.now(), cost_day(clock.now())
        if everything or state.time_zone != settings.TIME_ZONE:
            CostDaily.objects.all().delete()
            state.rolled_until = state.seen_until = None
        days = _days_to_do(state, today)
        changed = sum(_roll_up(day) for day in days)
        state.rolled_until, state.seen_until, state.time_zone = today, started, settings.TIME_ZONE
        state.save()
    if days:
        logger.info("costs_rolled_up", extra={"days": len(days), "changed": changed})
    return RollUp(tuple(days), changed)


def _days_to_do(state: CostState, today: date) -> list[date]:
    recorded = "" if state.seen_until is None else "AND recorded_at >= %(recorded)s"
    seen = state.seen_until - OVERLAP if state.seen_until is not None else None
    until = day_range(today, today)[0]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT DISTINCT (occurred_at AT TIME ZONE %(zone)s)::date FROM {UsageRecord._meta.db_table} "
            f"WHERE occurred_at < %(until)s {recorded}",
            {"zone": settings.TIME_ZONE, "until": until, "recorded": seen},
        )
        found = {row[0] for row in cursor.fetchall()}
    day = state.rolled_until
    while day is not None and day < today:
        found.add(day)
        day = next_day(day)
    return sorted(found)


def _roll_up(day: date) -> int:
    start, end = day_range(day, next_day(day))
    with connection.cursor() as cursor:
        # A day's groups fit into memory; sorting ten million rows on disk takes several times as long.
        cursor.execute("SET LOCAL work_mem = '128MB'")
        cursor.execute(ROLL_UP, {"start": start, "end": end, "day": day})
        return int(cursor.rowcount)
