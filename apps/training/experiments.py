"""Reading experiments: metrics (down-sampled where there are many) and searching over records."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.db.models.fields.json import KeyTransform

from apps.core.errors import ValidationFailed
from apps.training.models import JobMetric, TrainingJob
from apps.training.types import JobStatus, JobType

MAX_POINTS = 20_000

# Smallest and largest value of every stretch of steps, and both ends: a spike is never averaged away.
_SAMPLED = """
WITH series AS MATERIALIZED (
    SELECT id, coalesce(step, 0) AS x, value FROM training_jobmetric WHERE job_id = %(job)s AND name = %(name)s
), span AS (
    SELECT min(x) AS low, max(x) AS high FROM series
), stretch AS (
    SELECT id, x, value,
           CASE WHEN span.high > span.low
                THEN width_bucket(x::float8, span.low::float8, span.high::float8 + 1, %(stretches)s) ELSE 1 END AS part
    FROM series, span
), extreme AS (
    SELECT part, min(value) AS low, max(value) AS high FROM stretch GROUP BY part
), kept AS (
    SELECT DISTINCT ON (stretch.part, stretch.value) stretch.id
    FROM stretch JOIN extreme ON extreme.part = stretch.part AND stretch.value IN (extreme.low, extreme.high)
    ORDER BY stretch.part, stretch.value, stretch.x
)
SELECT id FROM kept
"""


def metric_names(job: TrainingJob) -> list[str]:
    """Return the names of a job's metrics, by a loose index scan: one probe per name, not one per point."""
    sql = """
        WITH RECURSIVE names AS (
            (SELECT name FROM training_jobmetric WHERE job_id = %(job)s ORDER BY name LIMIT 1)
            UNION ALL
            SELECT (SELECT name FROM training_jobmetric WHERE job_id = %(job)s AND name > names.name
                    ORDER BY name LIMIT 1)
            FROM names WHERE names.name IS NOT NULL
        )
        SELECT name FROM names WHERE name IS NOT NULL
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, {"job": job.pk})
        return [row[0] for row in cursor.fetchall()]


def metrics_of(job: TrainingJob, *, name: str = "", max_points: int = 0) -> QuerySet[JobMetric]:
    """Return a visible job's metrics by name and step; with `max_points`, about so many per name, extremes kept."""
    found = JobMetric.objects.filter(job=job)
    if name:
        found = found.filter(name=name)
    if max_points:
        if not 2 <= max_points <= MAX_POINTS:
            raise ValidationFailed.field("maxPoints", "invalid", f"maxPoints must be between 2 and {MAX_POINTS}.")
        keep: list[int] = []
        for each in [name] if name else metric_names(job):
            keep += _sample(job, each, max_points)
        if keep:
            found = found.filter(pk__in=keep)
    return found.order_by("name", "step", "recorded_at", "id")


def _sample(job: TrainingJob, name: str, max_points: int) -> list[int]:
    rows = JobMetric.objects.filter(job=job, name=name)
    if rows.count() <= max_points:
        return list(rows.values_list("pk", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(_SAMPLED, {"job": job.pk, "name": name, "stretches": max(max_points // 2, 1)})
        return [row[0] for row in cursor.fetchall()]


def series_of(job: TrainingJob, names: list[str], max_points: int = 600) -> Iterator[dict[str, Any]]:
    """Yield chart series of the named metrics: `{"name", "unit", "points": [[step, value], …]}`."""
    for name in names:
        rows = metrics_of(job, name=name, max_points=max_points).values_list("step", "value", "unit")
        points = [[index if step is None else step, value] for index, (step, value, _) in enumerate(rows)]
        if points:
            yield {"name": name, "unit": next((unit for _, _, unit in rows if unit), ""), "points": points}


_CLAUSE = re.compile(
    r"""\s*(?P<kind>params|metrics|attributes)\.(?P<key>"[^"]+"|`[^`]+`|[\w.\-]+)\s*(?P<op>!=|>=|<=|=|>|<)\s*"""
    r"""(?P<value>'[^']*'|"[^"]*"|-?[\d.]+(?:[eE][-+]?\d+)?)\s*"""
)
_LOOKUPS = {"=": "exact", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
_ATTRIBUTES = {"status": (JobStatus.values, "status"), "jobType": (JobType.values, "job_type")}
_ORDER = {"createdAt": "created_at", "completedAt": "completed_at", "name": "name", "status": "status"}


def experiments_search(
    visible: QuerySet[TrainingJob], *, name: str = "", filter_string: str = "", order_by: str = ""
) -> QuerySet[TrainingJob]:
    """Narrow visible jobs by name and by clauses like `metrics.eval_loss < 2 and params.learning_rate = 0.001`.

    Metrics mean the final figures; `attributes.status` and `attributes.jobType` are understood.
    """
    found = visible.select_related("experiment")
    if name:
        found = found.filter(name__icontains=name)
    for clause in re.split(r"\s+and\s+", filter_string.strip(), flags=re.IGNORECASE) if filter_string.strip() else []:
        found = _narrow(found, clause)
    if order_by:
        key, _, direction = order_by.strip().partition(" ")
        column = _ORDER.get(key.lstrip("-"))
        if column is None or direction.lower() not in ("", "asc", "desc"):
            raise ValidationFailed.field(
                "orderBy", "invalid", f"Order by one of {', '.join(_ORDER)}, with asc or desc."
            )
        down = key.startswith("-") or direction.lower() == "desc"
        found = found.order_by(f"{'-' if down else ''}{column}", "pk")
    return found


def _narrow(found: QuerySet[TrainingJob], clause: str) -> QuerySet[TrainingJob]:
    match = _CLAUSE.fullmatch(clause)
    if match is None:
        text = f"Cannot read {clause[:80]!r}. Write params.x = 'y', metrics.x < 1 or attributes.status = 'succeeded'."
        raise ValidationFailed.field("filterString", "invalid", text)
    kind, operator = match["kind"], match["op"]
    key = match["key"].strip('"`')
    raw = match["value"]
    text = raw[1:-1] if raw[0] in "'\"" else raw
    number = None if raw[0] in "'\"" else _number(raw)
    if kind == "attributes":
        if key not in _ATTRIBUTES or operator not in ("=", "!="):
            known = ", ".join(_ATTRIBUTES)
            raise ValidationFailed.field("filterString", "unknown", f"attributes knows = and != on {known}.")
        condition = {_ATTRIBUTES[key][1]: text}
        return found.exclude(**condition) if operator == "!=" else found.filter(**condition)
    column = "experiment__final_metrics" if kind == "metrics" else "experiment__parameters__hyperparameters"
    value: Any = text if number is None else number
    # A key transform, not a lookup path: names such as "contains" or "a__b" stay names.
    found = found.alias(sought=KeyTransform(key, column))
    if operator == "!=":
        return found.exclude(sought=value)
    return found.filter(**{f"sought__{_LOOKUPS[operator]}": value})


def _number(text: str) -> float | int:
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError as error:
            raise ValidationFailed.field("filterString", "invalid", f"{text[:40]!r} is no number.") from error
