"""Checking the seals of the audit trail: was an event changed, removed, inserted or reordered since it was sealed?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from apps.accounts.models import User
from apps.core import audit, clock
from apps.governance.audit_chain import GENESIS, link_hash
from apps.governance.models import AuditChainHead
from apps.governance.services.authorization import authorize

# The portal's transactions last minutes at most: an event that appears in the chain this long after its own time,
# although the sealer was at work meanwhile, was not written when it says.
LATE_AFTER = timedelta(hours=1)
# An event this young may still wait for the next run of the sealer.
GRACE = timedelta(minutes=10)
MAX_PROBLEMS = 200
FETCH = 2000

_WALK = """
SELECT s.position, s.event_sequence, s.event_id, s.previous_hash, s.hash, s.sealed_at,
       e.sequence, e.id, e.occurred_at, e.actor_id, e.actor_name, e.action, e.resource_type, e.resource_id,
       e.team_id, e.result, e.request_id, e.metadata
FROM governance_auditseal s FULL OUTER JOIN core_auditevent e ON e.sequence = s.event_sequence
ORDER BY s.position NULLS LAST, e.sequence
"""


@dataclass(frozen=True, slots=True)
class AuditProblem:
    """One sign of tampering, in words. `kind`: changed, removed, inserted, reordered, broken, truncated, anchor."""

    kind: str
    message: str
    position: int | None = None
    sequence: int | None = None


@dataclass(slots=True)
class AuditReport:
    """What a verification found."""

    sealed: int = 0
    waiting: int = 0
    head_position: int = 0
    head_hash: str = GENESIS
    problems: list[AuditProblem] = field(default_factory=list)
    problem_count: int = 0

    @property
    def is_intact(self) -> bool:
        """True when nothing speaks of tampering."""
        return self.problem_count == 0

    @property
    def anchor(self) -> str:
        """The last link, to be noted outside the database."""
        return f"{self.head_position}:{self.head_hash}"

    def add(self, kind: str, message: str, *, position: int | None = None, sequence: int | None = None) -> None:
        """Note a problem; all are counted, the first two hundred are kept."""
        self.problem_count += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(AuditProblem(kind, message, position, sequence))


@dataclass(slots=True)
class _Event:
    sequence: int
    id: UUID
    occurred_at: datetime
    actor_id: Any
    actor_name: str
    action: str
    resource_type: str
    resource_id: str
    team_id: Any
    result: str
    request_id: str
    metadata: Any


@dataclass(frozen=True, slots=True)
class _Seal:
    position: int
    event_sequence: int
    event_id: UUID
    previous_hash: str
    hash: str
    sealed_at: datetime


def audit_verify(*, anchor: tuple[int, str] | None = None) -> AuditReport:
    """Recompute the whole chain against the events, in one statement and so on one snapshot, in constant memory.

    Args:
        anchor: position and hash of a link noted earlier outside the database; the chain must still hold it.
    """
    report = AuditReport()
    head = AuditChainHead.objects.filter(pk=1).first()
    previous: _Seal | None = None
    highest_sealed = 0
    anchored = anchor is None
    for seal, event in _walk():
        if seal is None:
            if event is not None:
                _check_unsealed(report, event, highest_sealed)
            continue
        _check_link(report, seal, event, previous)
        if head is not None and seal.position == head.position and seal.hash != head.hash:
            report.add("broken", "The head of the chain does not match the link it names.", position=seal.position)
        if anchor is not None and seal.position == anchor[0]:
            anchored = seal.hash == anchor[1]
        highest_sealed = max(highest_sealed, seal.event_sequence)
        report.sealed += 1
        report.head_position, report.head_hash = seal.position, seal.hash
        previous = seal
    if head is not None and report.head_position < head.position:
        report.add(
            "truncated",
            f"The chain ends at link {report.head_position} although {head.position} were made: its end was cut off.",
            position=report.head_position,
        )
    if head is None and report.sealed:
        report.add("truncated", "The head of the chain is gone although there are links.")
    if not anchored and anchor is not None:
        report.add("anchor", f"Link {anchor[0]} does not have the hash that was noted for it.", position=anchor[0])
    return report


def audit_verify_for(*, actor: User) -> AuditReport:
    """The same on behalf of a person, which is recorded; PermissionRefused unless they may read the trail."""
    authorize(actor=actor, action="audit.view")
    report = audit_verify()
    audit.record(
        actor=actor,
        action="governance.audit.verified",
        resource_type="audit",
        metadata={"intact": report.is_intact, "sealed": report.sealed, "problems": report.problem_count},
    )
    return report


def _walk() -> Iterator[tuple[_Seal | None, _Event | None]]:
    with connection.chunked_cursor() as cursor:
        cursor.execute(_WALK)
        while rows := cursor.fetchmany(FETCH):
            for row in rows:
                seal = _Seal(*row[:6]) if row[0] is not None else None
                event = None
                if row[6] is not None:
                    metadata = json.loads(row[17]) if isinstance(row[17], str) else row[17]
                    event = _Event(*(*row[6:17], metadata))
                yield seal, event


def _check_link(report: AuditReport, seal: _Seal, event: _Event | None, previous: _Seal | None) -> None:
    position = seal.position
    expected_position = previous.position + 1 if previous is not None else 1
    expected_hash = previous.hash if previous is not None else GENESIS
    if position != expected_position:
        report.add(
            "removed",
            f"Links {expected_position} to {position - 1} of the chain are missing.",
            position=position,
        )
    elif seal.previous_hash != expected_hash:
        report.add("broken", f"Link {position} does not follow from the link before it.", position=position)
    if event is None:
        report.add(
            "removed",
            f"Event {seal.event_sequence} was sealed as link {position} and is gone.",
            position=position,
            sequence=seal.event_sequence,
        )
        return
    if event.id != seal.event_id:
        report.add(
            "reordered",
            f"Event {event.sequence} is not the one that was sealed as link {position} (another id).",
            position=position,
            sequence=event.sequence,
        )
    elif link_hash(seal.previous_hash, event) != seal.hash:
        report.add(
            "changed",
            f"Event {event.sequence} ({event.action} by {event.actor_name}) is not what was sealed as link {position}.",
            position=position,
            sequence=event.sequence,
        )
    if previous is not None and event.occurred_at + LATE_AFTER < previous.sealed_at:
        report.add(
            "inserted",
            f"Event {event.sequence} says {event.occurred_at.isoformat()}, but the chain had passed that time "
            f"by more than an hour when it appeared.",
            position=position,
            sequence=event.sequence,
        )


def _check_unsealed(report: AuditReport, event: _Event, highest_sealed: int) -> None:
    old = event.occurred_at + GRACE < clock.now()
    if old and event.sequence < highest_sealed:
        report.add(
            "inserted",
            f"Event {event.sequence} ({event.action} by {event.actor_name}) stands among sealed events without a seal.",
            sequence=event.sequence,
        )
        return
    report.waiting += 1
