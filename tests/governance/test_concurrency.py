"""P-8, FR-010, FR-011: two at once. Real connections, real locks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from apps.core import audit
from apps.core.errors import Conflict, DomainError
from apps.core.models import AuditEvent, Operation
from apps.governance import services
from apps.governance.models import ApprovalDecision, ApprovalRequest, AuditSeal, UsageRecord
from apps.governance.services import UsageEntry
from tests.governance.conftest import ThingSubject
from tests.support.cast import Cast, make_cast

pytestmark = pytest.mark.django_db(transaction=True)


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Run the calls at the same moment, each on its own connection; results and domain errors in order."""
    results: list[Any] = [None] * len(calls)
    gate = threading.Barrier(len(calls))

    def run(index: int, call: Callable[[], Any]) -> None:
        try:
            gate.wait()
            results[index] = call()
        except DomainError as error:
            results[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(index, call)) for index, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """The cast, committed."""
    return make_cast()


def test_of_two_reviewers_at_once_one_wins(cast: Cast, subject: ThingSubject, thing: Operation) -> None:
    """FR-010: one decision stands, the other person gets a conflict."""
    services.approval_request(actor=cast.ada, kind="thing", subject_id=thing.pk)
    results = together(
        lambda: services.approval_decide(actor=cast.ben, kind="thing", subject_id=thing.pk, decision="approve"),
        lambda: services.approval_decide(actor=cast.chen, kind="thing", subject_id=thing.pk, decision="reject"),
    )
    assert sorted(isinstance(result, Conflict) for result in results) == [False, True]
    assert ApprovalDecision.objects.count() == 1
    assert ApprovalRequest.objects.get().status in {"approved", "rejected"}
    assert len(subject.calls) == 2


def test_of_two_submissions_at_once_one_wins(cast: Cast, subject: ThingSubject, thing: Operation) -> None:
    """FR-010: one open request per subject."""
    results = together(
        lambda: services.approval_request(actor=cast.ada, kind="thing", subject_id=thing.pk),
        lambda: services.approval_request(actor=cast.dana, kind="thing", subject_id=thing.pk),
    )
    assert sorted(isinstance(result, Conflict) for result in results) == [False, True]
    assert ApprovalRequest.objects.count() == 1


def test_withdrawing_while_deciding_ends_in_one_of_both(cast: Cast, subject: ThingSubject, thing: Operation) -> None:
    """FR-010: never withdrawn and approved."""
    services.approval_request(actor=cast.ada, kind="thing", subject_id=thing.pk)
    results = together(
        lambda: services.approval_decide(actor=cast.chen, kind="thing", subject_id=thing.pk, decision="approve"),
        lambda: services.approval_withdraw(actor=cast.ada, kind="thing", subject_id=thing.pk),
    )
    assert sorted(isinstance(result, Conflict) for result in results) == [False, True]
    assert len(subject.calls) == 2


def test_two_writers_of_the_same_usage_count_it_once(cast: Cast) -> None:
    """FR-011: overlapping batches in any order, no deadlock, no double counting."""
    entries = [
        UsageEntry(
            kind="tokens_in",
            quantity=Decimal(1),
            resource_type="serving",
            resource_id=uuid4(),
            team_id=cast.support.pk,
            occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
            key=f"key-{index}",
        )
        for index in range(400)
    ]
    results = together(
        lambda: services.usage_record_many(entries),
        lambda: services.usage_record_many(reversed(entries)),
        lambda: services.usage_record_many(entries[100:] + entries[:100]),
    )
    assert sum(results) == 400
    assert UsageRecord.objects.count() == 400


def test_two_sealers_make_one_chain(cast: Cast) -> None:
    """FR-010: one seals, the other leaves."""
    for index in range(50):
        audit.record(actor=None, action="test.thing.done", resource_type="model", resource_id=str(index))
    results = together(services.audit_seal, services.audit_seal, services.audit_seal)
    assert sum(results) >= 50
    assert AuditSeal.objects.count() == AuditEvent.objects.count()
    assert services.audit_verify().is_intact


def test_writers_do_not_wait_for_the_sealer(cast: Cast) -> None:
    """FR-010: events are written while sealing goes on, and all end up in the chain."""

    def write() -> int:
        for index in range(20):
            audit.record(actor=None, action="test.thing.done", resource_type="model", resource_id=str(index))
        return 20

    def seal() -> int:
        return sum(services.audit_seal(batch=5) for _ in range(10))

    results = together(write, seal, write, write)
    assert results[0] + results[2] + results[3] == 60
    services.audit_seal_all()
    report = services.audit_verify()
    assert (report.is_intact, report.sealed, report.waiting) == (True, 60, 0)


def test_two_roll_ups_at_once_make_one(cast: Cast) -> None:
    """FR-011: the second one finds the lock taken, or nothing left to change."""
    services.usage_record_many(
        UsageEntry(
            kind="tokens_in",
            quantity=Decimal(7),
            resource_type="serving",
            resource_id="x",
            team_id=cast.support.pk,
            occurred_at=datetime(2026, 1, day, tzinfo=UTC),
            key=f"day-{day}",
        )
        for day in range(1, 6)
    )
    runs = together(services.costs_rollup, services.costs_rollup)
    assert sum(run.changed for run in runs) == 5
