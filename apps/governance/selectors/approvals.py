"""Approvals that exist for somebody, and those that wait for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q, QuerySet
from django.urls import NoReverseMatch

from apps.accounts.models import User
from apps.core.permissions import can, teams_where, visible_to
from apps.core.transitions import get_or_not_found
from apps.governance.four_eyes import four_eyes_reason
from apps.governance.models import ApprovalRequest
from apps.governance.registry import subjects
from apps.governance.services.authorization import is_visible
from apps.governance.types import ApprovalStatus, GateResult, MayDecide


def approvals_visible_to(actor: User | None) -> QuerySet[ApprovalRequest]:
    """Every request about the things of teams that the actor sees, newest first."""
    return visible_to(actor, ApprovalRequest.objects.select_related("team", "created_by"))


def approval_get(*, actor: User | None, approval_id: object) -> ApprovalRequest:
    """One request; NotFound when it does not exist for the actor."""
    return get_or_not_found(approvals_visible_to(actor).prefetch_related("decisions__actor"), approval_id, "approval")


def approvals_waiting_for(actor: User) -> QuerySet[ApprovalRequest]:
    """Open requests that this person may decide now: by role, not their own, not decided by them, longest due first."""
    mine = Q(pk__in=[])
    for subject in subjects:
        mine |= Q(kind=subject.kind, team__in=teams_where(actor, subject.approve_action))
    return (
        approvals_visible_to(actor)
        .filter(mine, status=ApprovalStatus.OPEN)
        .exclude(created_by=actor)
        .exclude(author_ids__contains=[str(actor.pk)])
        .exclude(decisions__actor=actor)
        .order_by("due_at", "id")
    )


def approvals_submitted_by(actor: User) -> QuerySet[ApprovalRequest]:
    """What this person has asked for and still waits on others."""
    return approvals_visible_to(actor).filter(created_by=actor, status=ApprovalStatus.OPEN).order_by("due_at", "id")


def approval_for(*, kind: str, subject_id: UUID | str) -> ApprovalRequest | None:
    """The newest request about a subject, for its detail page (whose view has checked visibility)."""
    requests = ApprovalRequest.objects.filter(kind=kind, subject_id=subject_id)
    return (
        requests.select_related("created_by", "team")
        .prefetch_related("decisions__actor")
        .order_by("-created_at")
        .first()
    )


def may_decide(actor: User, request: ApprovalRequest) -> MayDecide:
    """Whether this person could decide the request, and if not why; gates and policies speak at the decision itself."""
    if not request.is_open:
        return MayDecide(False, f"It is {request.get_status_display().lower()}; there is nothing to decide.")
    subject = subjects.find(request.kind)
    if subject is None:
        return MayDecide(False, f"Nothing in this portal handles approvals of kind '{request.kind}' any more.")
    reason = four_eyes_reason(
        actor_id=actor.pk,
        requester_id=request.created_by_id,
        author_ids=request.author_ids,
        title=request.title,
    )
    if reason:
        return MayDecide(False, reason)
    if not can(actor, subject.approve_action, team=request.team):
        return MayDecide(False, f"Reviewers of team {request.team} decide about this; you do not hold that role.")
    if any(decision.actor_id == actor.pk for decision in request.decisions.all()):
        return MayDecide(False, "You have decided already; the other reviewers are next.")
    return MayDecide(True, "You may decide about this.")


@dataclass(frozen=True, slots=True)
class SubjectNow:
    """The subject of a request as it is now, for whoever is asked to decide."""

    label: str
    title: str
    url: str
    digest: str
    gates: Sequence[GateResult]
    has_changed: bool


def approval_subject_now(actor: User | None, request: ApprovalRequest) -> SubjectNow | None:
    """What the request is about today; None when the thing or its app is gone, or the actor may not see it."""
    subject = subjects.find(request.kind)
    obj = subject.queryset().filter(pk=request.subject_id).first() if subject is not None else None
    if subject is None or obj is None or not is_visible(actor, obj):
        return None
    digest = subject.digest(obj)
    try:
        url = subject.url(obj)
    except NoReverseMatch:
        # The app whose thing it is has no pages in this installation.
        url = ""
    return SubjectNow(
        label=subject.label,
        title=subject.title(obj),
        url=url,
        digest=digest,
        gates=subject.gates(obj, "approve") if request.is_open else (),
        has_changed=digest != request.digest,
    )
