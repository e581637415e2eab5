"""Windows of whole cost days, as callers write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

from apps.core import clock
from apps.core.errors import ValidationFailed
from apps.governance.cost_sql import cost_day, next_day

MAX_DAYS = 3660
_LENGTH = re.compile(r"^(\d{1,4})([hdwm])$")
_DAYS = {"d": 1, "w": 7, "m": 30}


@dataclass(frozen=True, slots=True)
class Window:
    """`since` is included, `until` is not; `text` is what the caller wrote."""

    since: date | None
    until: date | None
    text: str = ""


def parse_day(text: str, field: str) -> date:
    """A day from `2026-11-23` or a time stamp (whose day counts).

    Raises:
        ValidationFailed: on `field`.
    """
    try:
        return date.fromisoformat(text[:10])
    except ValueError as error:
        message = f"{field} must be a day such as 2026-11-23, not {text[:40]!r}."
        raise ValidationFailed.field(field, "invalid", message) from error


def window_between(start: str, end: str) -> Window:
    """From `startDate` to `endDate`, both included; either may be empty.

    Raises:
        ValidationFailed: not a day, or the end before the start.
    """
    since = parse_day(start, "startDate") if start else None
    last = parse_day(end, "endDate") if end else None
    if since is not None and last is not None and last < since:
        raise ValidationFailed.field("endDate", "before_start", f"endDate {last} is before startDate {since}.")
    return Window(since, _after(last) if last is not None else None)


def window_of(text: str) -> Window:
    """A `timeWindow`: `24h`, `7d`, `4w`, `3m` (up to and with today), or `2026-11-01/2026-11-30` (both included).

    Raises:
        ValidationFailed: on `timeWindow`.
    """
    if not text:
        return Window(None, None)
    if "/" in text:
        start, _, end = text.partition("/")
        since, last = parse_day(start, "timeWindow"), parse_day(end, "timeWindow")
        if last < since:
            raise ValidationFailed.field("timeWindow", "before_start", "timeWindow ends before it begins.")
        return Window(since, _after(last), text)
    found = _LENGTH.match(text.strip().lower())
    count = int(found.group(1)) if found else 0
    if found is None or count == 0:
        raise ValidationFailed.field(
            "timeWindow",
            "invalid",
            f"timeWindow must look like 24h, 7d, 4w, 3m or 2026-11-01/2026-11-30, not {text[:40]!r}.",
        )
    days = -(-count // 24) if found.group(2) == "h" else count * _DAYS[found.group(2)]
    if days > MAX_DAYS:
        raise ValidationFailed.field("timeWindow", "too_long", f"timeWindow covers more than {MAX_DAYS} days.")
    today = cost_day(clock.now())
    return Window(today - timedelta(days=days - 1), next_day(today), text)


def _after(day: date) -> date:
    return next_day(day) if day < date.max else day
