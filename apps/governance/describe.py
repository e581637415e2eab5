"""Audit events in words."""

from __future__ import annotations

from typing import Any

from apps.core.models import AuditEvent, AuditResult

# Facts that say more to people than the rest of an event's metadata, in this order.
_TELLING = ("reason", "notes", "policy", "amount", "unit")
MAX_TEXT = 240


def event_title(event: AuditEvent) -> str:
    """`datasets.dataset.approved` → "Dataset approved"; denials say what was refused."""
    parts = event.action.split(".")
    thing, what = (parts[-2], parts[-1]) if len(parts) > 1 else ("", parts[-1])
    if event.result == AuditResult.DENIED:
        attempt = str(event.metadata.get("action", "")) if isinstance(event.metadata, dict) else ""
        return f"Refused: {_words(attempt.replace('.', ' ') or thing)}"
    words = _words(f"{thing} {what}".strip())
    return words[:1].upper() + words[1:]


def event_text(event: AuditEvent) -> str:
    """The facts worth reading in a line; the whole is in the metadata."""
    metadata = event.metadata if isinstance(event.metadata, dict) else {}
    facts = []
    if metadata.get("from") and metadata.get("to"):
        facts.append(f"{_words(str(metadata['from']))} → {_words(str(metadata['to']))}")
    if event.action.endswith(".deleted") and metadata.get("name"):
        facts.append(str(metadata["name"]))
    for key in _TELLING:
        value = metadata.get(key)
        if isinstance(value, str | int | float) and not isinstance(value, bool) and str(value).strip():
            facts.append(str(value) if key in {"reason", "notes"} else f"{_words(key)}: {value}")
    text = " · ".join(facts)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def event_items(events: list[AuditEvent]) -> list[dict[str, Any]]:
    """Items for `components/timeline.html`."""
    return [
        {
            "title": event_title(event),
            "text": event_text(event),
            "who": event.who,
            "at": event.occurred_at,
            "tone": "danger" if event.result == AuditResult.DENIED else "neutral",
            "icon": "lock" if event.result == AuditResult.DENIED else "point",
        }
        for event in events
    ]


def _words(text: str) -> str:
    return text.replace("_", " ").strip()
