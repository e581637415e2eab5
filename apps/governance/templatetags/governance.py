"""Template filters for evidence: `{% load governance %}`."""

from __future__ import annotations

from typing import Any

from django import template

from apps.core.models import AuditEvent
from apps.governance import describe

register = template.Library()


@register.filter
def event_title(event: AuditEvent) -> str:
    """An audit event's action in words."""
    return describe.event_title(event)


@register.filter
def event_text(event: AuditEvent) -> str:
    """Its telling facts in one line."""
    return describe.event_text(event)


@register.filter
def event_items(events: list[AuditEvent]) -> list[dict[str, Any]]:
    """Events as items of the timeline component."""
    return describe.event_items(list(events))
