"""The SQL that turns ledger rows into priced rows per cost day; used by the roll-up and by answers about running days.

Usage is grouped before it is priced: per day, per combination of columns and per stretch of time in which no price
changes. So ten million rows need one pass and a few thousand price look-ups. Inside a cost day everything is priced
with the entry that was valid when it was used, the most specific one first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from django.conf import settings

DIMENSIONS = ("kind", "resource_type", "resource_id", "team_id", "user_id", "model_id", "gpu_type")


def cost_zone() -> ZoneInfo:
    """The time zone whose midnight ends a cost day."""
    return _zone(settings.TIME_ZONE)


@lru_cache(maxsize=8)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def cost_day(moment: datetime) -> date:
    """The cost day that a moment belongs to."""
    return moment.astimezone(cost_zone()).date()


def day_start(day: date) -> datetime:
    """The first moment of a cost day, in UTC (days are half-open)."""
    return datetime.combine(day, time.min, tzinfo=cost_zone()).astimezone(UTC)


def day_range(since: date, until: date) -> tuple[datetime, datetime]:
    """First moment of `since` and first moment of `until`."""
    return day_start(since), day_start(until)


def next_day(day: date) -> date:
    """The day after."""
    return day + timedelta(days=1)


# The cost day of a ledger row. Within one known day the constant spares a calculation per row.
DAY_OF_ROW = "(u.occurred_at AT TIME ZONE %(zone)s)::date"
KNOWN_DAY = "%(day)s::date"


def priced_usage(conditions: Sequence[str] = (), *, day: str = DAY_OF_ROW) -> str:
    """A query for (day, dimensions…, quantity, cost) of the ledger rows between `%(start)s` and `%(end)s`.

    `conditions` are trusted SQL over the columns of the ledger; their values are named parameters.
    """
    where = "".join(f"\n        AND {condition}" for condition in conditions)
    columns = ", ".join(f"u.{name}" for name in DIMENSIONS)
    grouped = ", ".join(f"g.{name}" for name in DIMENSIONS)
    return f"""
    WITH marks AS (
        SELECT coalesce(array_agg(DISTINCT valid_from ORDER BY valid_from), '{{}}'::timestamptz[]) AS at
        FROM governance_priceentry WHERE valid_from > %(start)s AND valid_from < %(end)s
    ), grouped AS (
        SELECT {day} AS day, {columns},
               width_bucket(u.occurred_at, m.at) AS stretch, sum(u.quantity) AS quantity
        FROM governance_usagerecord u, marks m
        WHERE u.occurred_at >= %(start)s AND u.occurred_at < %(end)s{where}
        GROUP BY 1, {columns}, 9
    )
    SELECT g.day, {grouped}, sum(g.quantity) AS quantity,
           sum(coalesce(round(g.quantity / p.per_quantity * p.amount, 12), 0)) AS cost
    FROM grouped g CROSS JOIN marks m
    LEFT JOIN LATERAL (
        SELECT e.amount, e.per_quantity FROM governance_priceentry e
        WHERE e.kind = g.kind AND (e.model_id IS NULL OR e.model_id = g.model_id)
          AND (e.gpu_type = '' OR e.gpu_type = g.gpu_type)
          AND e.valid_from <= CASE WHEN g.stretch = 0 THEN %(start)s ELSE m.at[g.stretch] END
        ORDER BY (e.model_id IS NOT NULL) DESC, (e.gpu_type <> '') DESC, e.valid_from DESC
        LIMIT 1
    ) p ON true
    GROUP BY g.day, {grouped}
    """


ROLL_UP = f"""
INSERT INTO governance_costdaily (day, {", ".join(DIMENSIONS)}, quantity, cost)
{priced_usage(day=KNOWN_DAY)}
ON CONFLICT (day, kind, resource_type, resource_id, team_id, user_id, model_id, gpu_type)
DO UPDATE SET quantity = EXCLUDED.quantity, cost = EXCLUDED.cost
WHERE (governance_costdaily.quantity, governance_costdaily.cost) IS DISTINCT FROM (EXCLUDED.quantity, EXCLUDED.cost)
"""
