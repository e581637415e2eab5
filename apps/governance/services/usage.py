"""The usage ledger: written in batches, every entry counted once."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django.db import connection, transaction

from apps.accounts.models import Team, User
from apps.core import clock
from apps.core.errors import FieldError, ValidationFailed
from apps.governance.types import CostResource, UsageEntry, UsageKind

CHUNK = 5000
MAX_KEY = 200

_INSERT = """
INSERT INTO governance_usagerecord
    (key, kind, quantity, resource_type, resource_id, team_id, user_id, model_id, gpu_type, occurred_at, recorded_at)
SELECT entry.*, %s
FROM unnest(%s::text[], %s::text[], %s::numeric[], %s::text[], %s::text[], %s::uuid[], %s::uuid[], %s::uuid[],
            %s::text[], %s::timestamptz[]) AS entry
ON CONFLICT (key) DO NOTHING
"""


def usage_record_many(entries: Iterable[UsageEntry]) -> int:
    """Append entries to the ledger. Returns how many were new: a key that is known already is left alone.

    Safe to call again after a crash and from many writers at once; each chunk of 5,000 is one statement.

    Raises:
        ValidationFailed: an entry that cannot be right (unknown kind, negative or absurd quantity, naive time, …) or
            names a team or user that does not exist. Nothing of its chunk is written.
    """
    written = 0
    chunk: list[UsageEntry] = []
    for entry in entries:
        _check(entry)
        chunk.append(entry)
        if len(chunk) >= CHUNK:
            written += _write(chunk)
            chunk = []
    return written + (_write(chunk) if chunk else 0)


def _check(entry: UsageEntry) -> None:
    faults = []
    if not entry.key or len(entry.key) > MAX_KEY or "\x00" in entry.key:
        faults.append(FieldError("key", "invalid", f"key must hold 1 to {MAX_KEY} characters."))
    if entry.kind not in UsageKind.values:
        faults.append(FieldError("kind", "invalid_choice", f"kind must be one of {', '.join(UsageKind.values)}."))
    if entry.resource_type not in CostResource.values:
        known = ", ".join(CostResource.values)
        faults.append(FieldError("resource_type", "invalid_choice", f"resource_type must be one of {known}."))
    if not isinstance(entry.quantity, Decimal) or not entry.quantity.is_finite() or entry.quantity < 0:
        faults.append(FieldError("quantity", "invalid", "quantity must be a finite Decimal of at least 0."))
    elif entry.quantity >= Decimal(10) ** 29:
        faults.append(FieldError("quantity", "too_large", "quantity is larger than the ledger can hold."))
    if entry.occurred_at.tzinfo is None:
        faults.append(FieldError("occurred_at", "invalid", "occurred_at must carry a time zone."))
    if faults:
        raise ValidationFailed(
            f"The usage entry '{entry.key[:80]}' cannot be booked: {faults[0].message}", errors=faults
        )


def _write(chunk: list[UsageEntry]) -> int:
    # Sorted by key: two writers with overlapping entries then wait for each other instead of deadlocking.
    rows = sorted({entry.key: entry for entry in chunk}.values(), key=lambda entry: entry.key)
    columns: list[list[Any]] = [
        [entry.key for entry in rows],
        [str(entry.kind) for entry in rows],
        [entry.quantity for entry in rows],
        [str(entry.resource_type) for entry in rows],
        [str(entry.resource_id) for entry in rows],
        [str(entry.team_id) for entry in rows],
        [str(entry.user_id) if entry.user_id is not None else None for entry in rows],
        [str(entry.model_id) if entry.model_id is not None else None for entry in rows],
        [entry.gpu_type for entry in rows],
        [entry.occurred_at for entry in rows],
    ]
    _require_known(rows)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_INSERT, [clock.now(), *columns])
        return int(cursor.rowcount)


def _require_known(rows: list[UsageEntry]) -> None:
    # The database checks references only at commit, too late to say which entry is wrong.
    for field, model in (("team_id", Team), ("user_id", User)):
        wanted = {str(getattr(row, field)) for row in rows if getattr(row, field) is not None}
        known = {str(pk) for pk in model._default_manager.filter(pk__in=wanted).values_list("pk", flat=True)}
        if unknown := wanted - known:
            raise ValidationFailed.field(
                field,
                "unknown",
                f"A usage entry names the {field} {min(unknown)}, which does not exist; none of its batch is booked.",
            )
