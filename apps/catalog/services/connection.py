"""The connection test of external models."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from apps.accounts.models import User
from apps.catalog.models import ModelEntry
from apps.catalog.selectors import model_get
from apps.catalog.services.access import action_for
from apps.catalog.services.external import model_external_target
from apps.core import audit
from apps.core.errors import Conflict, FieldError
from apps.core.models import Operation
from apps.core.operations import operation_finish, operation_latest, operation_start
from apps.governance.services import authorize
from apps.integrations.outbound import OutboundPolicy
from apps.integrations.runtimes import external_upstream
from apps.integrations.runtimes.connection import connection_probe

KIND = "connection_test"


def model_test_connection(*, actor: User | None, model_id: UUID | str) -> Operation:
    """Ask the provider of an external model, with its stored key, whether it would answer; some seconds at most.

    Returns the ended operation: ``result`` holds ``ok, outcome, detail, latencyMs``. A provider that does not answer
    is a result, not an error. Raises ``NotFound``, ``PermissionRefused``, ``Conflict`` (not external).
    """
    model = model_get(actor=actor, model_id=model_id)
    authorize(actor=actor, action=action_for("change", model.type), obj=model)
    if not model.is_external:
        message = "Only external models have a provider to connect to."
        raise Conflict(message, errors=[FieldError("type", "not_external", message)])
    target = model_external_target(model=model)
    upstream = external_upstream(
        provider=target.provider, model_name=target.model_name, base_url=target.base_url, api_key=target.api_key
    )
    report = connection_probe(
        upstream,
        policy=OutboundPolicy.parse(settings.LLMOPS_OUTBOUND_ALLOW),
        seconds=settings.LLMOPS_CONNECTION_TEST_SECONDS,
    )
    result: dict[str, Any] = {
        "ok": report.ok,
        "outcome": report.outcome.value,
        "detail": report.detail,
        "latencyMs": report.latency_ms,
    }
    with transaction.atomic():
        operation = operation_start(
            actor=actor, team=model.team, kind=KIND, target_type=ModelEntry.AUDIT_TYPE, target_id=model.pk
        )
        operation_finish(operation.pk, result, message=report.detail)
        audit.record(
            actor=actor,
            action="catalog.external_model.connection_tested",
            resource=model,
            metadata={"outcome": report.outcome.value, "latency_ms": report.latency_ms},
        )
    operation.refresh_from_db()
    return operation


def connection_last(model: ModelEntry) -> Operation | None:
    """The newest test of *model*, if there was one."""
    return operation_latest(target_type=ModelEntry.AUDIT_TYPE, target_id=model.pk, kind=KIND)
