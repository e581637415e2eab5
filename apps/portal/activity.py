"""Audit events as sentences for the home page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from apps.accounts.models import User
from apps.core.models import AuditEvent, AuditResult
from apps.governance.labels import resource_labels
from apps.governance.selectors import audit_events_visible_to

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


def recent_activity(actor: User, *, limit: int = 12) -> list[Activity]:
    """The newest events that the person may know of, with names of what they may see."""
    events = list(_loud(actor)[:limit])
    wanted: dict[str, set[str]] = {}
    for event in events:
        wanted.setdefault(event.resource_type, set()).add(event.resource_id)
    labels = {kind: resource_labels.resolve(actor, kind, ids) for kind, ids in wanted.items()}
    found = []
    for event in events:
        label = labels.get(event.resource_type, {}).get(event.resource_id)
        title = str(event.metadata.get("title") or event.metadata.get("name") or "")
        denied = event.result == AuditResult.DENIED
        found.append(
            Activity(
                title=sentence(event),
                who=event.actor.display_name if isinstance(event.actor, User) else event.actor_name,
                at=event.occurred_at,
                tone="danger" if denied else "neutral",
                icon="lock" if denied else ICONS.get(event.resource_type, "point"),
                text=title or (label.title if label else ""),
                url=label.url if label else "",
            )
        )
    return found


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
