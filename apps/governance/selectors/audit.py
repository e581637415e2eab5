"""The audit trail for those who may read it, and the history of one thing for those who see the thing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from apps.accounts.models import User
from apps.core.models import AuditEvent, AuditResult
from apps.core.permissions import can, team_ids, teams_where
from apps.governance.models import AuditChainHead
from apps.governance.services.authorization import authorize

HISTORY_LENGTH = 50


def audit_events_visible_to(actor: User | None) -> QuerySet[AuditEvent]:
    """Auditors and administrators see everything; others the events of teams whose things they see, and their own."""
    events = AuditEvent.objects.select_related("actor", "team").order_by("-sequence")
    if actor is None or can(actor, "audit.view"):
        return events
    seen = Q(team__in=teams_where(actor, "operation.view"))
    if actor.token_team_id is None:
        seen |= Q(actor=actor)
    return events.filter(seen)


def audit_events_exportable_by(actor: User) -> QuerySet[AuditEvent]:
    """Everything, for auditors and administrators; PermissionRefused for others."""
    authorize(actor=actor, action="audit.view")
    return AuditEvent.objects.select_related("team").order_by("-sequence")


def audit_history(
    actor: User | None, resource_type: str, resource_id: object, *, limit: int = HISTORY_LENGTH
) -> list[AuditEvent]:
    """The newest events of one thing. The caller has checked that the thing exists for the actor.

    Whoever sees the thing only because it is shared learns what happened to it, not which attempts were refused.
    """
    events = AuditEvent.objects.select_related("actor").filter(
        resource_type=resource_type, resource_id=str(resource_id)
    )
    if actor is not None and not can(actor, "audit.view"):
        inside = Q(result=AuditResult.ALLOWED) | Q(team__in=team_ids(actor)) | Q(actor=actor)
        events = events.filter(inside)
    return list(events.order_by("-sequence")[:limit])


@dataclass(frozen=True, slots=True)
class ChainState:
    """How far the chain of seals is."""

    position: int
    hash: str
    sealed_at: datetime | None
    events: int


def audit_chain_state(actor: User) -> ChainState:
    """For auditors and administrators; PermissionRefused for others."""
    authorize(actor=actor, action="audit.view")
    head = AuditChainHead.objects.filter(pk=1).first()
    events = AuditEvent.objects.count()
    if head is None:
        return ChainState(0, "", None, events)
    return ChainState(head.position, head.hash, head.sealed_at, events)
