"""Writing the audit trail. Called by services inside their transaction, never by signals."""

from __future__ import annotations

import logging
from typing import Any

import structlog
from django.db import models

from apps.core.errors import DomainError
from apps.core.models import AuditEvent, AuditResult

logger = logging.getLogger(__name__)

SYSTEM = "system"


def record(
    *,
    actor: Any,
    action: str,
    resource: models.Model | None = None,
    resource_type: str = "",
    resource_id: str = "",
    team_id: Any = None,
    result: str = AuditResult.ALLOWED,
    metadata: dict[str, Any] | None = None,
) -> AuditEvent:
    """Append one event.

    Args:
        actor: the user, or None for the system itself.
        action: ``<app>.<entity>.<past tense>``.
        resource: what it happened to; its ``AUDIT_TYPE``, key and team are taken unless given.
        metadata: JSON-able facts; never a secret, never row content.
    """
    if resource is not None:
        resource_type = resource_type or getattr(resource, "AUDIT_TYPE", "") or resource._meta.model_name or ""
        resource_id = resource_id or str(resource.pk)
        team_id = team_id or getattr(resource, "team_id", None)
    context = structlog.contextvars.get_contextvars()
    return AuditEvent.objects.create(
        actor=actor,
        actor_name=actor.get_username() if actor is not None else SYSTEM,
        action=action,
        resource_type=resource_type,
        resource_id=resource_id,
        team_id=team_id,
        result=result,
        request_id=str(context.get("request_id", "")),
        metadata=metadata or {},
    )


def record_denial(error: DomainError) -> None:
    """Record the denial an error carries, once. Called by the outermost layer, after the rollback."""
    denial, error.denial = error.denial, None
    if denial is None:
        return
    record(
        actor=denial.actor,
        action=denial.action,
        resource_type=denial.resource_type,
        resource_id=denial.resource_id,
        team_id=denial.team_id,
        result=AuditResult.DENIED,
        metadata={"reason": error.message, **denial.metadata},
    )
