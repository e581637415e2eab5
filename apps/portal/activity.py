"""Audit events as sentences for the home page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from apps.accounts.models import User
from apps.core.models import AuditEvent, AuditResult
from apps.governance.selectors import audit_events_visible_to
from apps.portal.sources import SOURCES

ICONS = {
    "dataset": "database",
    "model": "box",
    "training_job": "chart-line",
    "evaluation_run": "clipboard-check",
    "serving_endpoint": "cloud-computing",
    "approval": "checkbox",
    "policy": "shield-check",
    "token": "key",
    "user": "user",
    "team": "users",
    "budget": "coins",
}
# Sign-ins and other people's tokens are for the audit page.
QUIET = ("accounts.session.", "accounts.token.")


@dataclass(frozen=True, slots=True)
class Activity:
    """One line of the timeline component."""

    title: str
    who: str
    at: datetime
    tone: str
    icon: str
    text: str
    url: str


def recent_activity(actor: User, *, limit: int = 10) -> list[Activity]:
    """The newest events that the person may know of, with names of what they may see."""
    events = list(_loud(actor)[:limit])
    known = _named(actor, events)
    found = []
    for event in events:
        title, url = known.get((event.resource_type, event.resource_id), ("", ""))
        denied = event.result == AuditResult.DENIED
        found.append(
            Activity(
                title=sentence(event),
                who=event.who,
                at=event.occurred_at,
                tone="danger" if denied else "neutral",
                icon="lock" if denied else ICONS.get(event.resource_type, "point"),
                text=title or str(event.metadata.get("title") or event.metadata.get("name") or ""),
                url=url,
            )
        )
    return found


def _named(actor: User, events: list[AuditEvent]) -> dict[tuple[str, str], tuple[str, str]]:
    """Name and page of the things that still exist for the person; one query per kind."""
    known: dict[tuple[str, str], tuple[str, str]] = {}
    for source in SOURCES:
        ids = {event.resource_id for event in events if event.resource_type == source.kind}
        known |= {(source.kind, key): found for key, found in source.named(actor, ids).items()}
    return known


def sentence(event: AuditEvent) -> str:
    """`datasets.dataset.approved` → "Dataset approved"; a denial says so."""
    parts = event.action.split(".")
    words = " ".join(parts[1:] if len(parts) > 2 else parts).replace("_", " ")
    words = words[:1].upper() + words[1:]
    return f"{words} (refused)" if event.result == AuditResult.DENIED else words


def _loud(actor: User) -> QuerySet[AuditEvent]:
    events = audit_events_visible_to(actor)
    for prefix in QUIET:
        events = events.exclude(action__startswith=prefix)
    return events
