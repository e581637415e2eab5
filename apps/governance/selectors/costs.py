"""What things cost: the daily table for closed days, the ledger for days that still run. No answer is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from apps.accounts.models import Team, User
from apps.core import clock
from apps.core.permissions import can, teams_where
from apps.governance.cost_sql import DIMENSIONS, cost_day, day_start, next_day, priced_usage
from apps.governance.labels import resource_labels
from apps.governance.models import CostState
from apps.governance.types import (
    HOUR,
    PRICE_UNITS,
    CostAggregate,
    CostGroup,
    CostLine,
    CostProfile,
    CostSummary,
    UsageKind,
)

GROUPS = ("team_id", "model_id", "resource_type", "resource_id", "day", "user_id")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class CostFilter:
    """Which costs: whole cost days from `since` up to, not including, `until`. `teams` None means all teams."""

    since: date | None = None
    until: date | None = None
    teams: tuple[UUID, ...] | None = None
    model_id: UUID | None = None
    resource_type: str = ""
    resource_id: str = ""


@dataclass(frozen=True, slots=True)
class CostRow:
    """One group of one kind. `keys` are the values of the columns that were grouped by."""

    keys: tuple[Any, ...]
    kind: str
    quantity: Decimal
    cost: Decimal


def cost_rows(group_by: Sequence[str], wanted: CostFilter) -> list[CostRow]:
    """Usage and cost by kind and the given columns. Two queries: how far the roll-up is, and the sums."""
    unknown = set(group_by) - set(GROUPS)
    if unknown:
        raise ValueError(f"Costs cannot be grouped by {unknown}.")
    rolled = CostState.objects.filter(pk=1).values_list("rolled_until", flat=True).first()
    after_today = next_day(cost_day(clock.now()))
    until = min(wanted.until, after_today) if wanted.until is not None else after_today
    live_from = max((day for day in (wanted.since, rolled) if day is not None), default=None)
    conditions, values = _conditions(wanted)
    values |= {
        "zone": settings.TIME_ZONE,
        "start": day_start(live_from) if live_from is not None else _EPOCH,
        "end": day_start(until),
        "since": wanted.since or date.min,
        "until": min(until, rolled) if rolled is not None else date.min,
    }
    daily = "".join(f" AND {condition}" for condition in conditions)
    columns = ", ".join(f"rows.{name}" for name in (*group_by, "kind"))
    dimensions = ", ".join(f"u.{name}" for name in DIMENSIONS)
    query = f"""
    SELECT {columns}, sum(rows.quantity), sum(rows.cost) FROM (
        SELECT u.day, {dimensions}, u.quantity, u.cost FROM governance_costdaily u
        WHERE u.day >= %(since)s AND u.day < %(until)s{daily}
        UNION ALL
        SELECT * FROM ({priced_usage(conditions)}) live
    ) AS rows GROUP BY {columns}
    """
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return [CostRow(tuple(row[:-3]), row[-3], row[-2], row[-1]) for row in cursor.fetchall()]


def _conditions(wanted: CostFilter) -> tuple[list[str], dict[str, Any]]:
    conditions: list[str] = []
    values: dict[str, Any] = {}
    if wanted.teams is not None:
        conditions.append("u.team_id = ANY(%(teams)s::uuid[])")
        values["teams"] = [str(team) for team in wanted.teams]
    for column in ("model_id", "resource_type", "resource_id"):
        value = getattr(wanted, column)
        if value:
            conditions.append(f"u.{column} = %({column})s")
            values[column] = value
    return conditions, values


def cost_teams(actor: User | None) -> tuple[UUID, ...] | None:
    """Teams whose costs the actor sees; None for all."""
    if actor is None:
        return None
    return tuple(teams_where(actor, "cost.view").values_list("pk", flat=True))


def cost_for_model(
    model_id: UUID, *, actor: User | None = None, since: date | None = None, until: date | None = None
) -> CostSummary:
    """Everything that a catalog model has cost (training, evaluation, serving), as far as the actor sees the teams'."""
    return _summary(CostFilter(since=since, until=until, teams=cost_teams(actor), model_id=model_id))


def cost_for_resource(
    resource_type: str,
    resource_id: object,
    *,
    actor: User | None = None,
    since: date | None = None,
    until: date | None = None,
) -> CostSummary:
    """Everything that one training job, endpoint or evaluation run has cost."""
    return _summary(
        CostFilter(
            since=since,
            until=until,
            teams=cost_teams(actor),
            resource_type=resource_type,
            resource_id=str(resource_id),
        )
    )


def cost_summary(
    *, actor: User | None, since: date | None = None, until: date | None = None, resource_type: str = ""
) -> CostSummary:
    """Everything that the actor may see."""
    return _summary(CostFilter(since=since, until=until, teams=cost_teams(actor), resource_type=resource_type))


def cost_aggregate(
    *, actor: User | None, resource_type: str = "", since: date | None = None, until: date | None = None
) -> CostAggregate:
    """Totals over the resources that the actor may see."""
    rows = cost_rows(
        ("resource_type", "resource_id"),
        CostFilter(since=since, until=until, teams=cost_teams(actor), resource_type=resource_type),
    )
    return CostAggregate(
        total_gpu_hours=_hours(rows, UsageKind.GPU_SECONDS),
        total_tokens=_tokens(rows),
        total_cost=sum((row.cost for row in rows), Decimal(0)),
        currency=settings.COST_CURRENCY,
        resource_count=len({row.keys for row in rows}),
    )


def cost_profiles(
    *,
    actor: User | None,
    resource_type: str = "",
    resource_id: str = "",
    since: date | None = None,
    until: date | None = None,
    time_window: str = "",
) -> list[CostProfile]:
    """Use and cost per resource, dearest first."""
    wanted = CostFilter(
        since=since,
        until=until,
        teams=cost_teams(actor),
        resource_type=resource_type,
        resource_id=resource_id,
    )
    profiles = [
        CostProfile(
            resource_type=kind,
            resource_id=identity,
            time_window=time_window,
            gpu_hours=_hours(rows, UsageKind.GPU_SECONDS),
            token_count=_tokens(rows),
            cost_amount=sum((row.cost for row in rows), Decimal(0)),
            cost_currency=settings.COST_CURRENCY,
        )
        for (kind, identity), rows in _grouped(cost_rows(("resource_type", "resource_id"), wanted)).items()
    ]
    return sorted(profiles, key=lambda profile: (-profile.cost_amount, profile.resource_type, profile.resource_id))


def cost_groups(
    by: str,
    *,
    actor: User | None,
    since: date | None = None,
    until: date | None = None,
    resource_type: str = "",
) -> list[CostGroup]:
    """Costs by `team`, `model`, `resource` or `day`, with names for people; dearest first (days in their order)."""
    columns = {
        "team": ("team_id",),
        "model": ("model_id",),
        "resource": ("resource_type", "resource_id"),
        "day": ("day",),
    }[by]
    grouped = _grouped(
        cost_rows(
            columns,
            CostFilter(since=since, until=until, teams=cost_teams(actor), resource_type=resource_type),
        )
    )
    labels = _labels(by, actor, grouped.keys())
    groups = [
        CostGroup(
            key=":".join(str(part) for part in keys if part is not None),
            label=labels[keys][0],
            cost=sum((row.cost for row in rows), Decimal(0)),
            gpu_hours=_hours(rows, UsageKind.GPU_SECONDS),
            cpu_hours=_hours(rows, UsageKind.CPU_SECONDS),
            tokens=_tokens(rows),
            url=labels[keys][1],
        )
        for keys, rows in grouped.items()
    ]
    if by == "day":
        return sorted(groups, key=lambda group: group.key)
    return sorted(groups, key=lambda group: (-group.cost, group.label))


def cost_currency() -> str:
    """The currency of the price book."""
    return str(settings.COST_CURRENCY)


def may_see_costs(actor: User) -> bool:
    """For navigation."""
    return can(actor, "cost.view")


def _labels(by: str, actor: User | None, keys: Iterable[tuple[Any, ...]]) -> dict[tuple[Any, ...], tuple[str, str]]:
    wanted = list(keys)
    if by == "day":
        return {key: (key[0].isoformat(), "") for key in wanted}
    if by == "team":
        names = dict(Team.objects.filter(pk__in=[key[0] for key in wanted]).values_list("pk", "name"))
        return {key: (names.get(key[0], str(key[0])), "") for key in wanted}
    if by == "model":
        known = resource_labels.resolve(actor, "model", [str(key[0]) for key in wanted if key[0]])
        return {
            key: (known[str(key[0])].title, known[str(key[0])].url) if key[0] else ("Without a model", "")
            for key in wanted
        }
    found = {}
    for kind in {key[0] for key in wanted}:
        labels = resource_labels.resolve(actor, kind, [key[1] for key in wanted if key[0] == kind])
        for key in wanted:
            if key[0] == kind:
                found[key] = (labels[key[1]].title, labels[key[1]].url)
    return found


def _grouped(rows: Iterable[CostRow]) -> dict[tuple[Any, ...], list[CostRow]]:
    groups: dict[tuple[Any, ...], list[CostRow]] = {}
    for row in rows:
        groups.setdefault(row.keys, []).append(row)
    return groups


def _hours(rows: Iterable[CostRow], kind: str) -> Decimal:
    return sum((row.quantity for row in rows if row.kind == kind), Decimal(0)) / HOUR


def _tokens(rows: Iterable[CostRow]) -> int:
    return int(sum(row.quantity for row in rows if row.kind in {UsageKind.TOKENS_IN, UsageKind.TOKENS_OUT}))


def _summary(wanted: CostFilter) -> CostSummary:
    rows = cost_rows((), wanted)
    by_kind: Mapping[str, CostRow] = {row.kind: row for row in rows}

    def quantity(kind: str) -> Decimal:
        return by_kind[kind].quantity if kind in by_kind else Decimal(0)

    lines = tuple(
        CostLine(
            kind=kind.value,
            label=str(kind.label),
            quantity=by_kind[kind].quantity,
            unit_label=PRICE_UNITS[kind].label,
            units=by_kind[kind].quantity / PRICE_UNITS[kind].quantity,
            cost=by_kind[kind].cost,
        )
        for kind in UsageKind
        if kind in by_kind
    )
    return CostSummary(
        since=wanted.since,
        until=wanted.until,
        currency=settings.COST_CURRENCY,
        total=sum((row.cost for row in rows), Decimal(0)),
        tokens_in=int(quantity(UsageKind.TOKENS_IN)),
        tokens_out=int(quantity(UsageKind.TOKENS_OUT)),
        cpu_hours=quantity(UsageKind.CPU_SECONDS) / HOUR,
        gpu_hours=quantity(UsageKind.GPU_SECONDS) / HOUR,
        requests=int(quantity(UsageKind.REQUESTS)),
        lines=lines,
    )
