"""How far the demo is: `var/demo.json`, which the launcher writes while it walks the demo."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

from apps.accounts.models import User
from apps.accounts.selectors import teams_visible_to

logger = logging.getLogger(__name__)

DEMO_TEAM = "support"


@dataclass(frozen=True, slots=True)
class DemoStep:
    """One step: status is waiting | running | done | failed; detail says what it is doing or what went
    wrong."""

    key: str
    title: str
    status: str
    detail: str
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Demo:
    """The whole walk, and what it made (ids by name)."""

    steps: list[DemoStep]
    made: dict[str, Any]

    @property
    def done(self) -> int:
        """Steps that are finished."""
        return sum(step.status == "done" for step in self.steps)

    @property
    def percent(self) -> int:
        """Share of the steps that are finished."""
        return round(100 * self.done / len(self.steps)) if self.steps else 0

    @property
    def complete(self) -> bool:
        """Whether everything was done."""
        return bool(self.steps) and self.done == len(self.steps)

    @property
    def active(self) -> bool:
        """Whether a step runs right now (the page keeps asking)."""
        return any(step.status == "running" for step in self.steps)

    @property
    def current(self) -> DemoStep | None:
        """The running step, else the failed one, else the next."""
        for status in ("running", "failed", "waiting"):
            for step in self.steps:
                if step.status == status:
                    return step
        return None


def demo_for(actor: User) -> Demo | None:
    """The demo's progress, or None where there is no demo or its team does not exist for this person."""
    try:
        data = _mapping(json.loads((settings.VAR_DIR / "demo.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        # The launcher replaces the file atomically, so this is a damaged file: the home page must not break
        # over it.
        logger.warning("demo_file_unreadable", extra={"reason": str(error)})
        return None
    progress = data.get("progress")
    steps = [_step(entry) for entry in progress if isinstance(entry, dict)] if isinstance(progress, list) else []
    if not steps or not teams_visible_to(actor).filter(slug=DEMO_TEAM).exists():
        return None
    return Demo(steps, _mapping(data.get("made")))


def _step(entry: dict[str, Any]) -> DemoStep:
    return DemoStep(
        key=str(entry.get("key", "")),
        title=str(entry.get("title", "")),
        status=str(entry.get("status", "waiting")),
        detail=str(entry.get("detail") or ""),
        started_at=_moment(entry.get("started_at")),
        finished_at=_moment(entry.get("finished_at")),
    )


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _moment(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except (TypeError, ValueError):
        return None
