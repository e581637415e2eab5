"""Revisions: how one is added, and who an endpoint's model is served by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Max

from apps.catalog.services import model_external_target, model_require_deployable
from apps.core.errors import GateRefused
from apps.core.tasks import enqueue
from apps.governance.services import approval_request
from apps.integrations.runtimes import runtime_for_provider
from apps.serving.models import Endpoint, EndpointRevision
from apps.serving.specs import ServingSpec
from apps.serving.types import Environment, RevisionChange, RevisionStatus

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.catalog.models import ModelEntry

ROLL_OUT = "apps.serving.tasks.revision_roll_out"
APPROVAL_KIND = "production_deployment"
FOLLOW = "apps.serving.tasks.endpoint_follow"


def external_runtime(model: ModelEntry) -> str | None:
    """The runtime that reaches an external model; ``None`` for models with files."""
    if not model.is_external:
        return None
    return runtime_for_provider(model_external_target(model=model).provider)


def require_deployable(model: ModelEntry) -> None:
    """Raises ``GateRefused`` unless the model is approved, scanned safe, and still what was approved."""
    model_require_deployable(model=model)


def require_rollback_plan(environment: str, rollback_plan: str) -> None:
    """Production is deployed to only with a plan for the way back. Raises ``GateRefused``."""
    if environment == Environment.PROD and not rollback_plan.strip():
        raise GateRefused.field(
            "rollbackPlan", "required", "rollbackPlan is required for prod: say how to go back if it goes wrong."
        )


def revision_add(
    *,
    endpoint: Endpoint,
    actor: User | None,
    model: ModelEntry,
    spec: ServingSpec,
    change: RevisionChange,
    restores: int | None = None,
) -> EndpointRevision:
    """Number and store a new revision of a locked endpoint and make it the wanted one.

    Its rollout starts at once; in production it waits for the approval that is asked for here (``GateRefused``
    when it cannot even be asked for).
    """
    waits = endpoint.environment == Environment.PROD
    last = endpoint.revisions.aggregate(last=Max("number"))["last"] or 0
    revision = EndpointRevision.objects.create(
        endpoint=endpoint,
        number=last + 1,
        team_id=endpoint.team_id,
        created_by=actor,
        visibility=endpoint.visibility,
        model=model,
        model_name=model.name,
        model_version=model.version,
        model_digest=model.digest,
        runtime=spec.framework,
        change=change,
        restores=restores,
        spec=spec.to_json(),
        status=RevisionStatus.WAITING if waits else RevisionStatus.PENDING,
        status_detail="Waiting for the approval of this production deployment." if waits else "Waiting to be prepared.",
    )
    endpoint.wanted = revision
    endpoint.model = model
    endpoint.min_replicas = spec.min_replicas
    endpoint.max_replicas = spec.max_replicas
    endpoint.autoscale_policy = spec.autoscale_policy
    endpoint.stop_requested = False
    endpoint.save()
    if waits:
        approval_request(actor=actor, kind=APPROVAL_KIND, subject_id=revision.pk)
    else:
        enqueue(ROLL_OUT, str(revision.pk))
    return revision
