"""Taking metrics in: checked in one pass, written with one statement, whole or not at all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import connection

from apps.accounts.models import User
from apps.core import clock
from apps.core.errors import FieldError, NotFound, TooLarge, ValidationFailed
from apps.core.permissions import Scope, visible_to
from apps.core.transitions import get_or_not_found
from apps.governance.services import authorize
from apps.training.models import TrainingJob
from apps.training.selectors import OWNER_TYPE

MAX_BATCH = 10_000
MAX_NAME = 250
MAX_UNIT = 40
MAX_STEP = 2**63 - 1
MAX_ERRORS = 20

_INSERT = """
INSERT INTO training_jobmetric (job_id, name, value, unit, step, recorded_at)
SELECT %s, entry.* FROM unnest(%s::text[], %s::float8[], %s::text[], %s::int8[], %s::timestamptz[]) AS entry
ON CONFLICT DO NOTHING
"""

Row = tuple[str, float, str, int | None, datetime]


def metrics_record(*, actor: User, job_id: object, metrics: Sequence[Any], single: bool = False) -> int:
    """Record metrics of a job; returns how many were new (the same ones sent again are not).

    Allowed to the job's own token and to people who may change the job. Each metric is
    `{name, value, unit?, step?, timestamp?}`; one bad metric refuses the batch. `single`: field names in errors
    are those of one metric.
    """
    job = _recordable(actor, job_id)
    if len(metrics) > MAX_BATCH:
        raise TooLarge(f"A batch may hold {MAX_BATCH} metrics; this one holds {len(metrics)}. Send several.")
    if not metrics:
        raise ValidationFailed.field("metrics", "required", "Send at least one metric.")
    now = clock.now()
    errors: list[FieldError] = []
    rows: list[Row] = []
    for index, metric in enumerate(metrics):
        row = _read(metric, now, "" if single else f"metrics[{index}].", errors)
        if row is not None:
            rows.append(row)
        if len(errors) >= MAX_ERRORS:
            break
    if errors:
        raise ValidationFailed(f"{errors[0].field}: {errors[0].message}", errors=errors)
    with connection.cursor() as cursor:
        columns: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)]
        cursor.execute(_INSERT, [job.pk, *columns])
        return int(cursor.rowcount)


def _recordable(actor: User, job_id: object) -> TrainingJob:
    """The job, if the actor may record for it. A job's token knows its own job and nothing else."""
    token = getattr(actor, "token", None)
    if token is not None and token.bound_type:
        mine = token.bound_type == OWNER_TYPE and token.bound_id == str(job_id)
        if not mine or Scope.METRICS not in token.scopes:
            raise NotFound(f"There is no training job {job_id}.")
        return get_or_not_found(TrainingJob.objects.only("pk", "team_id"), job_id, "training job")
    job = get_or_not_found(visible_to(actor, TrainingJob.objects.all()), job_id, "training job")
    authorize(actor=actor, action="training_job.record", obj=job)
    return job


def _read(metric: Any, now: datetime, prefix: str, errors: list[FieldError]) -> Row | None:
    if not isinstance(metric, Mapping):
        errors.append(FieldError(prefix.rstrip("."), "invalid", "A metric is an object with name and value."))
        return None
    before = len(errors)
    name = metric.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable():
        errors.append(FieldError(f"{prefix}name", "invalid", f"name must have 1 to {MAX_NAME} printable characters."))
    value = metric.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float) or not _finite(value):
        errors.append(FieldError(f"{prefix}value", "invalid", "value must be a finite number."))
    unit = metric.get("unit")
    if unit is not None and (not isinstance(unit, str) or len(unit) > MAX_UNIT or not unit.isprintable()):
        errors.append(FieldError(f"{prefix}unit", "invalid", f"unit must be a text of at most {MAX_UNIT} characters."))
    step = metric.get("step")
    if step is not None and (isinstance(step, bool) or not isinstance(step, int) or not 0 <= step <= MAX_STEP):
        errors.append(FieldError(f"{prefix}step", "invalid", "step must be a whole number of at least 0."))
    moment = _moment(metric.get("timestamp"), now)
    if moment is None:
        text = "timestamp must be an ISO 8601 time, like 2026-11-23T12:00:00Z."
        errors.append(FieldError(f"{prefix}timestamp", "invalid", text))
    if len(errors) > before or moment is None:
        return None
    return str(name), float(value or 0), unit or "", step, moment


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond any float
        return False


def _moment(sent: Any, now: datetime) -> datetime | None:
    if sent is None:
        return now
    if not isinstance(sent, str) or len(sent) > 40:
        return None
    try:
        found = datetime.fromisoformat(sent)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
