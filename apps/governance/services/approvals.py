"""Approvals: asking, deciding, taking back, lapsing. The subject's row is always locked before the request's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.core import audit, clock
from apps.core.errors import (
    Conflict,
    Denial,
    DomainError,
    FieldError,
    GateRefused,
    PermissionRefused,
    ValidationFailed,
)
from apps.core.transitions import get_locked, transition
from apps.governance.four_eyes import four_eyes_reason
from apps.governance.models import ApprovalDecision, ApprovalRequest
from apps.governance.registry import ApprovalSubject, subjects
from apps.governance.services.authorization import authorize
from apps.governance.types import (
    APPROVAL_TRANSITIONS,
    DECISION_SPELLINGS,
    ApprovalStatus,
    Decision,
    GateResult,
)

MAX_NOTES = 4000
_CLOSING = {
    Decision.REJECT: ApprovalStatus.REJECTED,
    Decision.REQUEST_CHANGES: ApprovalStatus.CHANGES_REQUESTED,
}
_PAST = {
    ApprovalStatus.APPROVED: "approved",
    ApprovalStatus.REJECTED: "rejected",
    ApprovalStatus.CHANGES_REQUESTED: "changes_requested",
}


def approval_request(*, actor: User | None, kind: str, subject_id: UUID, notes: str = "") -> ApprovalRequest:
    """Ask for an approval: the gates of submission must pass, and what is asked about is pinned by its digest.

    Raises:
        ValidationFailed: unknown kind, notes too long.
        NotFound, PermissionRefused: as `authorize` for the subject's `submit_action`.
        GateRefused: a gate does not pass; one error per gate with the remedy.
        Conflict: a request for this subject is open already.
    """
    subject = subjects.get(kind)
    notes = _checked_notes(notes)
    with transaction.atomic():
        obj = get_locked(subject.queryset(), subject_id, what=subject.label)
        authorize(actor=actor, action=subject.submit_action_for(obj), obj=obj)
        open_request = ApprovalRequest.objects.filter(kind=kind, subject_id=obj.pk, status=ApprovalStatus.OPEN).first()
        if open_request is not None:
            raise _already_open(subject, obj)
        gates = list(subject.gates(obj, "submit"))
        _require(gates, f"{subject.label} {subject.title(obj)} cannot be submitted yet")
        try:
            with transaction.atomic():
                request = ApprovalRequest.objects.create(
                    kind=kind,
                    subject_id=obj.pk,
                    title=subject.title(obj)[:300],
                    team_id=obj.team_id,
                    created_by=actor,
                    digest=subject.digest(obj),
                    quorum=subject.quorum,
                    author_ids=sorted(str(key) for key in subject.author_ids(obj)),
                    notes=notes,
                    gates=[gate.as_json() for gate in gates],
                    due_at=clock.now() + timedelta(days=subject.due_days),
                )
        except IntegrityError as error:
            raise _already_open(subject, obj) from error
        subject.on_submitted(obj, actor=actor, request=request)
        audit.record(
            actor=actor,
            action="governance.approval.requested",
            resource=request,
            metadata={
                "kind": kind,
                "subject_id": str(obj.pk),
                "title": request.title,
                "digest": request.digest,
            },
        )
    return request


def approval_decide(
    *, actor: User | None, kind: str, subject_id: UUID, decision: str, notes: str = ""
) -> ApprovalRequest:
    """Approve, reject or send back what waits for it.

    Nobody decides about what they asked for or are an author of, whatever their roles. When the subject is not what
    it was at submission, the request lapses instead.

    Raises:
        ValidationFailed: unknown kind or decision, notes too long.
        NotFound, PermissionRefused: as `authorize` for `approve_action`; `code="four_eyes"` for the own thing.
        Conflict: nothing is open (the message tells what was decided), this person has decided, or it has changed.
        GateRefused: approving while a gate does not pass; the results stay visible on the request.
    """
    subject = subjects.get(kind)
    wanted = decision_from(decision)
    notes = _checked_notes(notes)
    if actor is None:
        raise PermissionRefused("Approvals are decided by people, not by the system.", code="four_eyes")
    with transaction.atomic():
        obj = get_locked(subject.queryset(), subject_id, what=subject.label)
        authorize(actor=actor, action=subject.approve_action, obj=obj)
        request = _locked_request(subject, obj)
        _require_four_eyes(actor, subject, obj, request)
        if request.decisions.filter(actor=actor).exists():
            raise Conflict(f"You have decided about {request.title} already; the other reviewers are next.")
        refusal = _refusal_of(actor, subject, obj, request, wanted)
        if refusal is None:
            _decide(actor, subject, obj, request, wanted, notes)
    if refusal is not None:
        # Raised outside the transaction: that the request lapsed, or what the gates said, must be kept.
        raise refusal
    return request


def approval_decide_request(*, actor: User | None, request_id: UUID, decision: str, notes: str = "") -> ApprovalRequest:
    """Decide about one particular request, which must still be the open one of its subject.

    The caller has found it among what the actor sees. Raises as `approval_decide`.
    """
    request = ApprovalRequest.objects.get(pk=request_id)
    if not request.is_open:
        raise Conflict(
            f"{request.title} does not wait for a decision: this request was {request.get_status_display().lower()}.",
            code="already_decided",
        )
    return approval_decide(
        actor=actor, kind=request.kind, subject_id=request.subject_id, decision=decision, notes=notes
    )


def approval_withdraw(*, actor: User | None, kind: str, subject_id: UUID) -> ApprovalRequest:
    """Take back an open request; only who asked may.

    Raises:
        NotFound, PermissionRefused, Conflict: invisible, somebody else's, or nothing is open.
    """
    subject = subjects.get(kind)
    with transaction.atomic():
        obj = get_locked(subject.queryset(), subject_id, what=subject.label)
        authorize(actor=actor, action=subject.submit_action_for(obj), obj=obj)
        request = _locked_request(subject, obj)
        if actor is not None and request.created_by_id != actor.pk:
            raise PermissionRefused(
                f"Only who submitted {request.title} can withdraw it; a reviewer can request changes.",
                code="not_requester",
                denial=_denial(actor, request, "governance.approval_withdraw.denied"),
            )
        _close(request, ApprovalStatus.WITHDRAWN, "Withdrawn by who submitted it.")
        subject.on_withdrawn(obj, actor=actor, request=request)
        audit.record(actor=actor, action="governance.approval.withdrawn", resource=request, metadata=_facts(request))
    return request


def approvals_lapse(*, kind: str, subject_id: UUID, reason: str, actor: User | None = None) -> list[ApprovalRequest]:
    """End what was asked or granted for a subject that has changed since: its open request and its standing approval.

    Called by the domain service that changes the subject. Doing it twice changes nothing.
    """
    subject = subjects.get(kind)
    lapsed = []
    with transaction.atomic():
        obj = get_locked(subject.queryset(), subject_id, what=subject.label)
        requests = ApprovalRequest.objects.select_for_update().filter(
            kind=kind, subject_id=obj.pk, status__in=[ApprovalStatus.OPEN, ApprovalStatus.APPROVED]
        )
        for request in requests.order_by("created_at"):
            _lapse(subject, obj, request, reason, actor)
            lapsed.append(request)
    return lapsed


def decision_from(text: str) -> Decision:
    """A decision in any of its accepted spellings.

    Raises:
        ValidationFailed: on the field `decision`.
    """
    found = DECISION_SPELLINGS.get(str(text).strip().lower())
    if found is None:
        raise ValidationFailed.field(
            "decision", "invalid_choice", "decision must be one of approve, reject, request_changes."
        )
    return Decision(found)


def _checked_notes(notes: str) -> str:
    if len(notes) > MAX_NOTES:
        raise ValidationFailed.field("notes", "too_long", f"notes has {len(notes)} characters; at most {MAX_NOTES}.")
    if "\x00" in notes:
        raise ValidationFailed.field("notes", "invalid", "notes holds a NUL character.")
    return notes.strip()


def _already_open(subject: ApprovalSubject, obj: Any) -> Conflict:
    return Conflict(
        f"{subject.label} {subject.title(obj)} waits for a decision already; withdraw that request first.",
        code="already_open",
    )


def _require(gates: Sequence[GateResult], message: str) -> None:
    refusal = _gate_refusal(gates, message)
    if refusal is not None:
        raise refusal


def _gate_refusal(gates: Sequence[GateResult], message: str) -> GateRefused | None:
    failed = [gate for gate in gates if not gate.passed]
    if not failed:
        return None
    errors = [
        FieldError(gate.key, "gate_failed", " ".join(part for part in (gate.reason, gate.remedy) if part))
        for gate in failed
    ]
    reasons = "; ".join(f"{gate.label}: {gate.reason}" for gate in failed)
    return GateRefused(f"{message}. {reasons}", errors=errors)


def _locked_request(subject: ApprovalSubject, obj: Any) -> ApprovalRequest:
    """The open request of a subject. Somebody who waited for the lock finds here that it was decided meanwhile."""
    requests = ApprovalRequest.objects.filter(kind=subject.kind, subject_id=obj.pk)
    request = requests.select_for_update().filter(status=ApprovalStatus.OPEN).first()
    if request is not None:
        return request
    last = requests.order_by("-created_at").first()
    if last is None:
        raise Conflict(
            f"{subject.label} {subject.title(obj)} does not wait for a decision: nobody has submitted it.",
            code="not_open",
        )
    raise Conflict(
        f"{last.title} does not wait for a decision: its last request was {last.get_status_display().lower()}.",
        code="already_decided",
    )


def _require_four_eyes(actor: User, subject: ApprovalSubject, obj: Any, request: ApprovalRequest) -> None:
    reason = four_eyes_reason(
        actor_id=actor.pk,
        requester_id=request.created_by_id,
        author_ids={*request.author_ids, *map(str, subject.author_ids(obj))},
        title=request.title,
    )
    if reason:
        raise PermissionRefused(
            reason, code="four_eyes", denial=_denial(actor, request, "governance.approval_decide.denied")
        )


def _refusal_of(
    actor: User, subject: ApprovalSubject, obj: Any, request: ApprovalRequest, wanted: Decision
) -> DomainError | None:
    """What stands against this decision now; changes that must outlive the refusal are made here."""
    if wanted is not Decision.APPROVE:
        return None
    if subject.digest(obj) != request.digest:
        reason = f"{request.title} has changed since it was submitted."
        _lapse(subject, obj, request, reason, actor)
        return Conflict(f"{reason} The request has lapsed; it must be submitted again.", code="lapsed")
    gates = list(subject.gates(obj, "approve"))
    request.decision_gates = [gate.as_json() for gate in gates]
    request.save(update_fields=["decision_gates"])
    refusal = _gate_refusal(gates, f"{request.title} cannot be approved yet")
    if refusal is not None:
        audit.record(
            actor=actor,
            action="governance.approval.held_by_gates",
            resource=request,
            metadata={**_facts(request), "gates": [gate.key for gate in gates if not gate.passed]},
        )
    return refusal


def _decide(
    actor: User,
    subject: ApprovalSubject,
    obj: Any,
    request: ApprovalRequest,
    wanted: Decision,
    notes: str,
) -> None:
    ApprovalDecision.objects.create(
        request=request, actor=actor, decision=wanted, notes=notes, digest=request.digest, at=clock.now()
    )
    facts = {**_facts(request), "decision": wanted.value, "notes": notes}
    if wanted is Decision.APPROVE:
        granted = request.decisions.filter(decision=Decision.APPROVE).count()
        if granted < request.quorum:
            audit.record(
                actor=actor,
                action="governance.approval.supported",
                resource=request,
                metadata={**facts, "approvals": granted, "quorum": request.quorum},
            )
            return
        _close(request, ApprovalStatus.APPROVED, notes)
        subject.on_approved(obj, actor=actor, request=request)
    else:
        _close(request, _CLOSING[wanted], notes)
        handler = subject.on_rejected if wanted is Decision.REJECT else subject.on_changes_requested
        handler(obj, actor=actor, request=request)
    audit.record(
        actor=actor,
        action=f"governance.approval.{_PAST[ApprovalStatus(request.status)]}",
        resource=request,
        metadata=facts,
    )


def _lapse(subject: ApprovalSubject, obj: Any, request: ApprovalRequest, reason: str, actor: User | None) -> None:
    before = request.status
    _close(request, ApprovalStatus.LAPSED, reason)
    subject.on_lapsed(obj, actor=actor, request=request)
    audit.record(
        actor=actor,
        action="governance.approval.lapsed",
        resource=request,
        metadata={**_facts(request), "reason": reason, "was": before},
    )


def _close(request: ApprovalRequest, status: ApprovalStatus, reason: str) -> None:
    transition(request, status, APPROVAL_TRANSITIONS, closed_at=clock.now(), closed_reason=reason)


def _facts(request: ApprovalRequest) -> dict[str, Any]:
    return {
        "kind": request.kind,
        "subject_id": str(request.subject_id),
        "title": request.title,
        "digest": request.digest,
    }


def _denial(actor: User, request: ApprovalRequest, action: str) -> Denial:
    return Denial(
        actor=actor,
        action=action,
        resource_type=ApprovalRequest.AUDIT_TYPE,
        resource_id=str(request.pk),
        team_id=request.team_id,
        metadata=_facts(request),
    )
