"""Deploying a model to a new route."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import IntegrityError, transaction

from apps.accounts.selectors import team_resolve
from apps.catalog.selectors import model_get
from apps.catalog.services import lineage_add
from apps.catalog.types import LineageRelation
from apps.core import audit
from apps.core.errors import Conflict, FieldError, NotFound, ValidationFailed
from apps.core.models import Visibility
from apps.core.permissions import can
from apps.governance.services import authorize
from apps.serving.models import Endpoint
from apps.serving.selectors import LINEAGE_KIND
from apps.serving.services.following import endpoint_settle
from apps.serving.services.revisions import (
    external_runtime,
    require_deployable,
    require_rollback_plan,
    revision_add,
)
from apps.serving.specs import spec_build
from apps.serving.types import Environment, RevisionChange, route_normalise

if TYPE_CHECKING:
    from apps.accounts.models import Team, User
    from apps.catalog.models import ModelEntry

ACTION = "serving_endpoint.deploy"


def endpoint_deploy(
    *,
    actor: User | None,
    model_id: UUID | str,
    environment: str,
    route: str,
    version: str = "",
    rollback_plan: str = "",
    prompt_policy_id: UUID | None = None,
    owner_team: str = "",
    visibility: str = Visibility.TEAM,
    **options: Any,
) -> Endpoint:
    """Accept a deployment: a route with its first revision, which then comes up in the background.

    ``options`` are the fields of ``specs.spec_build``: ``use_gpu``, ``serving_framework``,
    ``serving_runtime_image``, ``cpu_request`` …, ``min_replicas``, ``max_replicas``, ``autoscale_policy``,
    ``deployment_spec``. The endpoint belongs to the model's team where ``actor`` may deploy there, else to the
    team that ``owner_team`` names. ``version`` defaults to the model's.

    Raises:
        ValidationFailed: a field is wrong, or names a model or team that ``actor`` cannot use.
        PermissionRefused: roles or a policy.
        GateRefused: the model is not approved, scanned and unchanged; or production without a rollback plan.
        Conflict: the route is taken in this environment.
    """
    environment, name = _environment(environment), _route(route)
    model = _model(actor, model_id)
    team = _team(actor, model, owner_team)
    authorize(
        actor=actor,
        action=ACTION,
        team=team,
        context={"environment": environment, "route": name, "model_id": str(model.pk)},
    )
    if visibility not in Visibility.values:
        raise ValidationFailed.field("visibility", "invalid", "visibility must be team or organisation.")
    spec = spec_build(wanted=options, external_runtime=external_runtime(model), model_family=model.model_family)
    require_deployable(model)
    require_rollback_plan(environment, rollback_plan)
    try:
        with transaction.atomic():
            endpoint = Endpoint.objects.create(
                team=team,
                created_by=actor,
                visibility=visibility,
                model=model,
                environment=environment,
                route=name,
                version=version.strip() or model.version,
                rollback_plan=rollback_plan.strip(),
                prompt_policy_id=prompt_policy_id,
                status_detail="Accepted.",
            )
            revision = revision_add(
                endpoint=endpoint, actor=actor, model=model, spec=spec, change=RevisionChange.DEPLOY
            )
            endpoint_settle(endpoint)
            lineage_add(
                source_kind="model",
                source_id=model.pk,
                target_kind=LINEAGE_KIND,
                target_id=endpoint.pk,
                relation=LineageRelation.SERVED_BY,
                actor=actor,
            )
            audit.record(
                actor=actor,
                action="serving.endpoint.deployed",
                resource=endpoint,
                metadata=deployment_facts(endpoint, revision.number, spec.to_json()),
            )
    except IntegrityError as error:
        if "serving_route_once" not in str(error):
            raise
        message = f"The route {name!r} is taken in {environment}. Choose another route."
        raise Conflict(message, errors=[FieldError("route", "taken", message)], code="route_taken") from error
    return endpoint


def deployment_facts(endpoint: Endpoint, revision: int, spec: Mapping[str, Any]) -> dict[str, Any]:
    """What the audit trail keeps of a deployment."""
    return {
        "route": endpoint.path,
        "environment": endpoint.environment,
        "model_id": str(endpoint.model_id),
        "model_version": endpoint.model.version,
        "model_digest": endpoint.model.digest,
        "revision": revision,
        "framework": spec.get("framework"),
    }


def _environment(value: str) -> str:
    if value not in Environment.values:
        raise ValidationFailed.field(
            "environment", "invalid_choice", f"environment must be one of {', '.join(Environment.values)}."
        )
    return value


def _route(value: str) -> str:
    try:
        return route_normalise(value)
    except ValueError as error:
        raise ValidationFailed.field("route", "invalid", str(error)) from None


def _model(actor: User | None, model_id: UUID | str) -> ModelEntry:
    try:
        return model_get(actor=actor, model_id=model_id)
    except NotFound:
        raise ValidationFailed.field(
            "modelId", "unknown", f"modelId: there is no model {str(model_id)[:60]} that you can see."
        ) from None


def _team(actor: User | None, model: ModelEntry, owner_team: str) -> Team:
    if actor is None:
        return model.team
    if not owner_team and (can(actor, ACTION, team=model.team) or not actor_may_deploy_elsewhere(actor)):
        return model.team
    team: Team = team_resolve(actor=actor, value=owner_team, action=ACTION, field="ownerTeam")
    return team


def actor_may_deploy_elsewhere(actor: User) -> bool:
    """Whether there is any team at all in which they may deploy (else the refusal names the model's team)."""
    return can(actor, ACTION)
