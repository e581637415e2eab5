"""The audit trail as a file, streamed: constant memory whatever its length."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse

from apps.accounts.models import User
from apps.core import audit, clock
from apps.core.models import AuditEvent

FORMATS = ("csv", "json")
COLUMNS = (
    "sequence",
    "id",
    "occurredAt",
    "actorId",
    "actorName",
    "action",
    "resourceType",
    "resourceId",
    "team",
    "result",
    "requestId",
    "metadata",
)
_TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/x-ndjson"}
# A spreadsheet takes text that begins like this for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class _Echo:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


def audit_file(*, actor: User, events: QuerySet[AuditEvent], kind: str) -> StreamingHttpResponse:
    """A download of these events; that it was taken is itself recorded."""
    audit.record(actor=actor, action="governance.audit.exported", resource_type="audit", metadata={"format": kind})
    rows = (_values(event) for event in events.iterator(chunk_size=2000))
    lines = _csv(rows) if kind == "csv" else (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    response = StreamingHttpResponse(lines, content_type=_TYPES[kind])
    suffix = "csv" if kind == "csv" else "ndjson"
    response["Content-Disposition"] = f'attachment; filename="audit-{clock.now():%Y%m%d-%H%M%S}.{suffix}"'
    return response


def _values(event: AuditEvent) -> dict[str, Any]:
    values = (
        event.sequence,
        str(event.id),
        event.occurred_at.isoformat(),
        str(event.actor_id or ""),
        event.actor_name,
        event.action,
        event.resource_type,
        event.resource_id,
        event.team.slug if event.team is not None else "",
        event.result,
        event.request_id,
        event.metadata,
    )
    return dict(zip(COLUMNS, values, strict=True))


def _csv(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(COLUMNS)
    for row in rows:
        row["metadata"] = json.dumps(row["metadata"], ensure_ascii=False)
        yield writer.writerow([_harmless(value) for value in row.values()])


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
