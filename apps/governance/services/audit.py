"""Sealing the audit trail.

Writers of events never wait: they only insert. One sealer at a time (an advisory lock) links what was committed since.
Events are linked in the order of their sequence numbers; a transaction that commits late is linked when it appears.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet

from apps.core import clock
from apps.core.models import AuditEvent
from apps.governance.audit_chain import GENESIS, link_hash
from apps.governance.models import AuditChainHead, AuditSeal

logger = logging.getLogger(__name__)

SEAL_LOCK = 0x4C4C4D01
BATCH = 5000
SETTLED_AFTER = timedelta(days=1)


def audit_seal(*, batch: int = BATCH) -> int:
    """Link the events that have no seal yet, at most `batch`. Returns how many; 0 when another sealer is at it."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [SEAL_LOCK])
            row = cursor.fetchone()
        if row is None or not row[0]:
            return 0
        last = AuditSeal.objects.order_by("-position").first()
        position = last.position if last is not None else 0
        previous = last.hash if last is not None else GENESIS
        now = clock.now()
        seals = []
        for event in _unsealed(settled_sequence(now - SETTLED_AFTER))[:batch]:
            position += 1
            digest = link_hash(previous, event)
            seals.append(
                AuditSeal(
                    position=position,
                    event_sequence=event.sequence,
                    event_id=event.id,
                    previous_hash=previous,
                    hash=digest,
                    sealed_at=now,
                )
            )
            previous = digest
        if not seals:
            return 0
        AuditSeal.objects.bulk_create(seals)
        AuditChainHead.objects.update_or_create(
            pk=1, defaults={"position": position, "hash": previous, "sealed_at": now}
        )
    # A witness outside the database: whoever cuts the chain cannot reach the collected logs.
    logger.info("audit_sealed", extra={"position": position, "hash": previous, "events": len(seals)})
    return len(seals)


def audit_seal_all() -> int:
    """Seal batch after batch until nothing waits (or another sealer is at it)."""
    total = 0
    while count := audit_seal():
        total += count
        if count < BATCH:
            break
    return total


def settled_sequence(before: datetime) -> int:
    """The sequence up to which everything was sealed before this moment; gaps below it can no longer fill."""
    sealed = AuditSeal.objects.filter(sealed_at__lt=before).order_by("-position")
    return int(sealed.values_list("event_sequence", flat=True).first() or 0)


def _unsealed(after: int) -> QuerySet[AuditEvent]:
    sealed = AuditSeal.objects.filter(event_sequence=OuterRef("sequence"))
    return AuditEvent.objects.filter(sequence__gt=after).exclude(Exists(sealed)).order_by("sequence")
