"""FR-010: approvals with four eyes, gates, digest pinning, quorum, withdrawal and lapse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from apps.core import audit
from apps.core.errors import Conflict, GateRefused, NotFound, PermissionRefused, ValidationFailed
from apps.core.models import AuditEvent, Operation
from apps.governance import selectors, services
from apps.governance.models import ApprovalRequest
from apps.governance.types import GateResult
from tests.governance.conftest import ThingSubject
from tests.support.cast import Cast

FAILED = GateResult("pii", "PII clean", False, "3 findings.", "Make a redacted version.")


def submit(cast: Cast, thing: Operation, notes: str = "") -> ApprovalRequest:
    return services.approval_request(actor=cast.ada, kind="thing", subject_id=thing.pk, notes=notes)


def decide(actor: Any, thing: Operation, decision: str = "approve", notes: str = "") -> ApprovalRequest:
    return services.approval_decide(actor=actor, kind="thing", subject_id=thing.pk, decision=decision, notes=notes)


def test_ada_can_submit_her_thing(cast: Cast, subject: ThingSubject, thing: Operation) -> None:
    """FR-010: the request pins the digest, keeps the gates and says when it is due."""
    request = submit(cast, thing, notes="please look")
    assert request.status == "open"
    assert request.digest == subject.digest(thing)
    assert request.gates == [
        {
            "key": "card",
            "label": "Card complete",
            "passed": True,
            "reason": "All fields are there.",
            "remedy": "",
        }
    ]
    assert request.author_ids == [str(cast.ada.pk)]
    assert request.due_at > request.created_at
    assert subject.calls == ["submitted"]
    event = AuditEvent.objects.get(action="governance.approval.requested")
    assert event.actor == cast.ada
    assert event.metadata["digest"] == request.digest


def test_a_thing_cannot_have_two_open_requests(cast: Cast, subject: ThingSubject, thing: Operation) -> None:
    """FR-010: one open request per subject."""
    submit(cast, thing)
    with pytest.raises(Conflict, match="waits for a decision already"):
        submit(cast, thing)


def test_a_failing_gate_refuses_submission_with_reason_and_remedy(
    cast: Cast, subject: ThingSubject, thing: Operation
) -> None:
    """FR-001d: gates explain themselves; nothing is written."""
    subject.failing["submit"] = FAILED
    with pytest.raises(GateRefused) as refused:
        submit(cast, thing)
    assert [(error.field, error.code, error.message) for error in refused.value.errors] == [
        ("pii", "gate_failed", "3 findings. Make a redacted version.")
    ]
    assert not ApprovalRequest.objects.exists()
    assert subject.calls == []


@pytest.mark.parametrize("name", ["ben", "chen", "dana"])
def test_a_reviewer_can_approve(cast: Cast, subject: ThingSubject, thing: Operation, name: str) -> None:
    """FR-010: reviewers of the team, of the organisation, and administrators."""
    submit(cast, thing)
    request = decide(getattr(cast, name), thing, notes="fine")
    assert request.status == "approved"
    assert request.closed_at is not None
    assert [(row.actor, row.decision, row.notes) for row in request.decisions.all()] == [
        (getattr(cast, name), "approve", "fine")
    ]
    assert subject.calls == ["submitted", "approved"]
    assert AuditEvent.objects.get(action="governance.approval.approved").actor == getattr(cast, name)


@pytest.mark.parametrize(
    ("decision", "status", "hook"),
    [
        ("reject", "rejected", "rejected"),
        ("rejected", "rejected", "rejected"),
        ("request_changes", "changes_requested", "changes_requested"),
        ("draft", "changes_requested", "changes_requested"),
        ("approved", "approved", "approved"),
    ],
)
def test_a_reviewer_can_decide_in_any_spelling(
    cast: Cast, subject: ThingSubject, thing: Operation, decision: str, status: str, hook: str
) -> None:
    """FR-001d: approve, reject, request changes."""
    submit(cast, thing)
    assert decide(cast.chen, thing, decision).status == status
    assert subject.calls[-1] == hook


def test_an_unknown_decision_is_named(cast: Cast, subject: ThingSubject, thing: Operation) -> None:
    """P-1: 400 on the field."""
    submit(cast, thing)
    with pytest.raises(ValidationFailed) as failed:
        decide(cast.chen, thing, "maybe")
    assert failed.value.errors[0].field == "decision"


def test_the_requester_cannot_approve_whatever_their_role(
    cast: Cast, subject: ThingSubject, make_thing: Callable[..., Operation]
) -> None:
    """FR-010: four eyes holds for administrators too, and the denial is audited."""
    thing = make_thing(created_by=cast.ada)
    services.approval_request(actor=cast.dana, kind="thing", subject_id=thing.pk)
    for decision in ("approve", "reject", "request_changes"):
        with pytest.raises(PermissionRefused) as refused:
            decide(cast.dana, thing, decision)
        assert refused.value.code == "four_eyes"
        audit.record_denial(refused.value)
    denials = AuditEvent.objects.filter(result="denied", action="governance.approval_decide.denied")
    assert denials.count() == 3
    assert {event.actor for event in denials} == {cast.dana}
    assert ApprovalRequest.objects.get().status == "open"


def test_an_author_cannot_approve_what_somebody_else_submitted(
    cast: Cast, subject: ThingSubject, make_thing: Callable[..., Operation]
) -> None:
    """FR-010: authors are found at submission and again at decision."""
    thing = make_thing(created_by=cast.dana)
    submit(cast, thing)
    with pytest.raises(PermissionRefused, match="author"):
        decide(cast.dana, thing)
    subject.extra_authors = {cast.chen.pk}
    with pytest.raises(PermissionRefused, match="author"):
        decide(cast.chen, thing)
    assert decide(cast.ben, thing).status == "approved"


def test_ada_cannot_approve_by_role(cast: Cast, subject: ThingSubject, make_thing: Callable[..., Operation]) -> None:
    """FR-010: no reviewer role, no decision, also about other people's things."""
    thing = make_thing(created_by=cast.dana)
    services.approval_request(actor=cast.dana, kind="thing", subject_id=thing.pk)
    with pytest.raises(PermissionRefused):
        decide(cast.ada, thing)
    with pytest.raises(PermissionRefused):
        decide(cast.finn, thing)


def test_eve_sees_nothing_of_it(cast: Cast, subject: ThingSubject, thing: Operation) -> None:
    """P-3: what one may not see does not exist."""
    request = submit(cast, thing)
    for attempt in (
        lambda: decide(cast.eve, thing),
        lambda: services.approval_withdraw(actor=cast.eve, kind="thing", subject_id=thing.pk),
        lambda: services.approval_request(actor=cast.eve, kind="thing", subject_id=thing.pk),
        lambda: selectors.approval_get(actor=cast.eve, approval_id=request.pk),
    ):
        with pytest.raises(NotFound):
            attempt()


def test_the_visible_set_is_exact(cast: Cast, subject: ThingSubject, thing: Operation) -> None:
    """P-3: who sees the request, and for whom it waits."""
    request = submit(cast, thing)
    sees = {name for name, user in cast.everyone().items() if request in selectors.approvals_visible_to(user)}
    assert sees == {"ada", "ben", "chen", "dana", "finn"}
    waits = {name for name, user in cast.everyone().items() if request in selectors.approvals_waiting_for(user)}
    assert waits == {"ben", "chen", "dana"}
    may = {name for name, user in cast.everyone().items() if selectors.may_decide(user, request)}
    assert may == waits
    assert "You submitted" in selectors.may_decide(cast.ada, request).reason
    assert list(selectors.approvals_submitted_by(cast.ada)) == [request]


def test_a_decided_request_cannot_be_decided_again(cast: Cast, subject: ThingSubject, thing: Operation) -> None:
    """P-1: a decision on something already decided is a 409 that says what was decided."""
    submit(cast, thing)
    decide(cast.chen, thing)
    with pytest.raises(Conflict, match="approved"):
        decide(cast.ben, thing, "reject")
    assert subject.calls == ["submitted", "approved"]


def test_what_nobody_submitted_cannot_be_decided(cast: Cast, subject: ThingSubject, thing: Operation) -> None:
    """P-1: 409 with the missing step."""
    with pytest.raises(Conflict, match="nobody has submitted"):
        decide(cast.chen, thing)


def test_a_failing_gate_holds_the_approval_and_its_result_stays(
    cast: Cast, subject: ThingSubject, thing: Operation
) -> None:
    """FR-001d: 422 with reason and remedy; rejecting is possible all the same."""
    submit(cast, thing)
    subject.failing["approve"] = FAILED
    with pytest.raises(GateRefused, match="3 findings"):
        decide(cast.chen, thing)
    request = ApprovalRequest.objects.get()
    assert request.status == "open"
    assert [gate["passed"] for gate in request.decision_gates] == [True, False]
    assert AuditEvent.objects.get(action="governance.approval.held_by_gates").metadata["gates"] == ["pii"]
    assert decide(cast.chen, thing, "reject").status == "rejected"


def test_a_changed_thing_lapses_instead_of_being_approved(cast: Cast, subject: ThingSubject, thing: Operation) -> None:
    """FR-010: an approval pins what was asked about."""
    submit(cast, thing)
    Operation.objects.filter(pk=thing.pk).update(message="something else")
    with pytest.raises(Conflict, match="has changed since it was submitted"):
        decide(cast.chen, thing)
    request = ApprovalRequest.objects.get()
    assert request.status == "lapsed"
    assert "has changed" in request.closed_reason
    assert subject.calls == ["submitted", "lapsed"]
    assert submit(cast, thing).status == "open"


def test_the_submitter_can_withdraw_and_nobody_else(cast: Cast, subject: ThingSubject, thing: Operation) -> None:
    """FR-001d: withdrawn by who asked."""
    submit(cast, thing)
    with pytest.raises(PermissionRefused):
        services.approval_withdraw(actor=cast.ben, kind="thing", subject_id=thing.pk)
    with pytest.raises(PermissionRefused, match="Only who submitted"):
        services.approval_withdraw(actor=cast.dana, kind="thing", subject_id=thing.pk)
    request = services.approval_withdraw(actor=cast.ada, kind="thing", subject_id=thing.pk)
    assert request.status == "withdrawn"
    assert subject.calls == ["submitted", "withdrawn"]
    with pytest.raises(Conflict, match="withdrawn"):
        services.approval_withdraw(actor=cast.ada, kind="thing", subject_id=thing.pk)


def test_a_standing_approval_lapses_with_a_reason(cast: Cast, subject: ThingSubject, thing: Operation) -> None:
    """FR-010: a later change ends the approval; doing it twice changes nothing."""
    submit(cast, thing)
    decide(cast.chen, thing)
    lapsed = services.approvals_lapse(kind="thing", subject_id=thing.pk, reason="The files were changed.")
    assert [(request.status, request.closed_reason) for request in lapsed] == [("lapsed", "The files were changed.")]
    assert services.approvals_lapse(kind="thing", subject_id=thing.pk, reason="again") == []
    assert subject.calls == ["submitted", "approved", "lapsed"]
    assert AuditEvent.objects.get(action="governance.approval.lapsed").metadata["was"] == "approved"


def test_a_quorum_of_two_needs_two_people(
    cast: Cast, subject: ThingSubject, thing: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FR-010: N approvers; nobody counts twice."""
    monkeypatch.setattr(ThingSubject, "quorum", 2)
    submit(cast, thing)
    assert decide(cast.chen, thing).status == "open"
    assert subject.calls == ["submitted"]
    with pytest.raises(Conflict, match="You have decided"):
        decide(cast.chen, thing)
    request = ApprovalRequest.objects.get()
    assert request not in selectors.approvals_waiting_for(cast.chen)
    assert selectors.may_decide(cast.chen, request).reason.startswith("You have decided already")
    assert decide(cast.ben, thing).status == "approved"


def test_one_rejection_ends_a_quorum(
    cast: Cast, subject: ThingSubject, thing: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FR-010: approvals already given do not outvote a no."""
    monkeypatch.setattr(ThingSubject, "quorum", 2)
    submit(cast, thing)
    decide(cast.chen, thing)
    assert decide(cast.ben, thing, "reject", "licence unclear").status == "rejected"


def test_the_system_cannot_decide(cast: Cast, subject: ThingSubject, thing: Operation) -> None:
    """FR-010: approvals are decided by people."""
    submit(cast, thing)
    with pytest.raises(PermissionRefused):
        decide(None, thing)


@pytest.mark.parametrize("notes", ["x" * 4001, "a\x00b"])
def test_hostile_notes_are_refused_before_anything_is_written(
    cast: Cast, subject: ThingSubject, thing: Operation, notes: str
) -> None:
    """P-1: a clear 400 on the field."""
    with pytest.raises(ValidationFailed) as failed:
        submit(cast, thing, notes=notes)
    assert failed.value.errors[0].field == "notes"
    assert not ApprovalRequest.objects.exists()


def test_an_unknown_kind_and_a_bad_id_are_told(cast: Cast, subject: ThingSubject) -> None:
    """P-1: 400 for the kind, 404 for the thing."""
    with pytest.raises(ValidationFailed, match="cannot be approved"):
        services.approval_request(actor=cast.ada, kind="spaceship", subject_id="x")  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        services.approval_request(actor=cast.ada, kind="thing", subject_id="not-a-uuid")  # type: ignore[arg-type]


def test_lists_need_few_queries_whatever_their_length(
    cast: Cast,
    subject: ThingSubject,
    make_thing: Callable[..., Operation],
    django_assert_max_num_queries: Callable[[int], Any],
) -> None:
    """Performance: the queue is one query after the roles, for one request and for many."""
    for index in range(8):
        submit(cast, make_thing(kind=f"report-{index}"))
    cast.chen.forget_roles()
    with django_assert_max_num_queries(2):
        rows = [(row.title, row.team.slug, row.created_by) for row in selectors.approvals_waiting_for(cast.chen)]
    assert len(rows) == 8
