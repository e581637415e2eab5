"""FR-010: the audit trail refuses change in the database itself, and its seals tell of tampering."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from apps.core import audit, clock
from apps.core.models import AuditEvent
from apps.governance import services
from apps.governance.audit_chain import GENESIS, link_hash
from apps.governance.models import AuditChainHead, AuditSeal
from tests.support.cast import Cast


@contextmanager
def tampering() -> Iterator[Any]:
    """What an attacker with a superuser's connection can do: triggers off."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield cursor
        cursor.execute("SET LOCAL session_replication_role = origin")


def write(cast: Cast, count: int = 5) -> list[AuditEvent]:
    events = [
        audit.record(
            actor=cast.ada,
            action="test.thing.changed",
            resource_type="dataset",
            resource_id=str(uuid4()),
            team_id=cast.support.pk,
            metadata={"number": index, "text": "ä ☃ \u2028", "nested": {"b": [1.5, None], "a": True}},
        )
        for index in range(count)
    ]
    assert services.audit_seal() >= count
    return events


def kinds() -> set[str]:
    return {problem.kind for problem in services.audit_verify().problems}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE core_auditevent SET action = 'x'",
        "DELETE FROM core_auditevent",
        "TRUNCATE core_auditevent",
        "UPDATE governance_auditseal SET hash = 'x'",
        "DELETE FROM governance_auditseal",
        "TRUNCATE governance_auditseal",
        "DELETE FROM governance_auditchainhead",
        "TRUNCATE governance_auditchainhead",
        "UPDATE governance_auditchainhead SET position = position - 1",
        "UPDATE governance_auditchainhead SET hash = 'x'",
    ],
)
def test_nobody_can_change_the_trail_by_sql(cast: Cast, statement: str) -> None:
    """FR-010: append-only by triggers, also for the owner of the tables."""
    write(cast)
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert AuditEvent.objects.count() == 5
    assert services.audit_verify().is_intact


def test_the_orm_cannot_change_the_trail_either(cast: Cast) -> None:
    """FR-010: no way around through the models."""
    event = write(cast, 1)[0]
    event.action = "test.thing.forged"
    for attempt in (event.save, event.delete, AuditEvent.objects.all().delete):
        with pytest.raises(DatabaseError), transaction.atomic():
            attempt()


def test_the_chain_is_what_the_documentation_says(cast: Cast) -> None:
    """FR-010: anybody can recompute it."""
    events = write(cast, 3)
    previous = GENESIS
    for position, event in enumerate(AuditEvent.objects.order_by("sequence"), start=1):
        seal = AuditSeal.objects.get(position=position)
        assert seal.previous_hash == previous
        assert seal.hash == link_hash(previous, event)
        previous = seal.hash
    assert position == len(events)
    assert AuditChainHead.objects.get().hash == previous


def test_sealing_twice_changes_nothing(cast: Cast) -> None:
    """FR-010: the sealer may run as often as it likes, in batches."""
    for index in range(7):
        audit.record(actor=None, action="test.thing.done", resource_type="model", resource_id=str(index))
    assert services.audit_seal(batch=3) == 3
    assert services.audit_seal_all() == 4
    assert services.audit_seal() == 0
    report = services.audit_verify()
    assert (report.is_intact, report.sealed, report.waiting) == (True, 7, 0)


def test_a_late_commit_is_sealed_when_it_appears(cast: Cast) -> None:
    """FR-010: writers never wait for each other, so a lower number may become visible later."""
    first, hidden, third = (
        audit.record(actor=None, action="test.thing.done", resource_type="model", resource_id=str(index))
        for index in range(3)
    )
    with tampering() as cursor:
        cursor.execute("DELETE FROM core_auditevent WHERE sequence = %s", [hidden.sequence])
    assert services.audit_seal() == 2
    hidden.save(force_insert=True)
    assert services.audit_seal() == 1
    assert [seal.event_sequence for seal in AuditSeal.objects.order_by("position")] == [
        first.sequence,
        third.sequence,
        hidden.sequence,
    ]
    assert services.audit_verify().is_intact


@pytest.mark.parametrize(
    "change",
    [
        "action = 'test.thing.forged'",
        "actor_name = 'eve'",
        "actor_id = NULL",
        "result = 'denied'",
        "occurred_at = occurred_at + interval '1 microsecond'",
        "metadata = jsonb_set(metadata, '{number}', '99')",
        "resource_id = 'other'",
        "team_id = NULL",
        "request_id = 'x'",
    ],
)
def test_a_changed_event_is_found(cast: Cast, change: str) -> None:
    """FR-010: every column is under the seal."""
    victim = write(cast)[2]
    with tampering() as cursor:
        cursor.execute(f"UPDATE core_auditevent SET {change} WHERE sequence = %s", [victim.sequence])
    report = services.audit_verify()
    assert [(problem.kind, problem.sequence) for problem in report.problems] == [("changed", victim.sequence)]


def test_a_removed_event_is_found(cast: Cast) -> None:
    """FR-010: the seal outlives the event."""
    victim = write(cast)[1]
    with tampering() as cursor:
        cursor.execute("DELETE FROM core_auditevent WHERE sequence = %s", [victim.sequence])
    report = services.audit_verify()
    assert [(problem.kind, problem.sequence) for problem in report.problems] == [("removed", victim.sequence)]


def test_a_removed_event_with_its_seal_is_found(cast: Cast) -> None:
    """FR-010: positions have no gaps and links hang together."""
    victim = write(cast)[1]
    with tampering() as cursor:
        cursor.execute("DELETE FROM core_auditevent WHERE sequence = %s", [victim.sequence])
        cursor.execute("DELETE FROM governance_auditseal WHERE event_sequence = %s", [victim.sequence])
    assert "removed" in kinds()


def test_a_cut_off_end_is_found(cast: Cast) -> None:
    """FR-010: the head remembers how long the chain was."""
    victim = write(cast)[-1]
    with tampering() as cursor:
        cursor.execute("DELETE FROM core_auditevent WHERE sequence = %s", [victim.sequence])
        cursor.execute("DELETE FROM governance_auditseal WHERE event_sequence = %s", [victim.sequence])
    assert kinds() == {"truncated"}


def test_swapped_events_are_found(cast: Cast) -> None:
    """FR-010: reordering shows."""
    one, two = write(cast)[1:3]
    with tampering() as cursor:
        cursor.execute("UPDATE core_auditevent SET sequence = -1 WHERE sequence = %s", [one.sequence])
        cursor.execute("UPDATE core_auditevent SET sequence = %s WHERE sequence = %s", [one.sequence, two.sequence])
        cursor.execute("UPDATE core_auditevent SET sequence = %s WHERE sequence = -1", [two.sequence])
    report = services.audit_verify()
    assert [problem.kind for problem in report.problems] == ["reordered", "reordered"]


def test_an_event_put_in_between_is_found_before_and_after_sealing(cast: Cast) -> None:
    """FR-010: what is inserted with an earlier time shows, sealed or not."""
    audit.record(actor=None, action="test.gap", resource_type="model", resource_id="gap")
    with tampering() as cursor:
        cursor.execute("DELETE FROM core_auditevent WHERE action = 'test.gap' RETURNING sequence")
        gap = cursor.fetchone()[0]
    write(cast)
    forged = AuditEvent(
        sequence=gap,
        actor=cast.eve,
        actor_name="eve",
        action="test.thing.approved",
        resource_type="model",
        occurred_at=clock.now() - timedelta(hours=3),
    )
    forged.save(force_insert=True)
    assert kinds() == {"inserted"}
    services.audit_seal()
    assert kinds() == {"inserted"}


def test_a_rewritten_chain_does_not_match_an_anchor(cast: Cast) -> None:
    """FR-010: who can recompute everything is caught by a hash noted elsewhere."""
    write(cast)
    before = services.audit_verify()
    anchor = (before.head_position, before.head_hash)
    assert services.audit_verify(anchor=anchor).is_intact
    with tampering() as cursor:
        cursor.execute("UPDATE core_auditevent SET actor_name = 'eve'")
        cursor.execute("DELETE FROM governance_auditseal")
        cursor.execute("DELETE FROM governance_auditchainhead")
    services.audit_seal_all()
    assert services.audit_verify().is_intact
    assert [problem.kind for problem in services.audit_verify(anchor=anchor).problems] == ["anchor"]


def test_fresh_events_wait_for_the_sealer_without_alarm(cast: Cast) -> None:
    """FR-010: verification at any moment, no false alarm."""
    write(cast)
    audit.record(actor=None, action="test.thing.done", resource_type="model", resource_id="1")
    report = services.audit_verify()
    assert (report.is_intact, report.waiting) == (True, 1)


def test_the_command_says_what_it_found(cast: Cast) -> None:
    """FR-010: clear output, exit status for scripts."""
    victim = write(cast)[0]
    out = StringIO()
    call_command("audit_verify", stdout=out)
    assert "intact" in out.getvalue()
    head = AuditChainHead.objects.get()
    call_command("audit_verify", anchor=f"{head.position}:{head.hash}", stdout=out)
    with tampering() as cursor:
        cursor.execute("DELETE FROM core_auditevent WHERE sequence = %s", [victim.sequence])
    with pytest.raises(CommandError, match="1 sign"):
        call_command("audit_verify", stdout=out)
    assert f"Event {victim.sequence} was sealed as link 1 and is gone." in out.getvalue()
    with pytest.raises(CommandError, match="position:hash"):
        call_command("audit_verify", anchor="nonsense", stdout=out)


def test_verification_takes_few_queries(cast: Cast, django_assert_num_queries: Callable[[int], Any]) -> None:
    """Performance: one walk in one snapshot, whatever the length."""
    write(cast, 20)
    with django_assert_num_queries(2):
        services.audit_verify()


def test_sealing_survives_a_frozen_clock(cast: Cast) -> None:
    """FR-010: equal times are no sign of tampering."""
    with clock.frozen(datetime(2026, 1, 1, tzinfo=UTC)):
        write(cast, 3)
        assert services.audit_verify().is_intact
