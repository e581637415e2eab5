"""Changing an endpoint that exists: settings, new revisions, going back, stopping, deleting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction

from apps.catalog.selectors import model_get
from apps.catalog.services import lineage_add
from apps.catalog.types import LineageRelation
from apps.core import audit, clock
from apps.core.errors import Conflict, FieldError, NotFound, ValidationFailed
from apps.core.tasks import enqueue
from apps.core.transitions import get_locked
from apps.governance.services import authorize
from apps.serving.models import Endpoint, EndpointRevision
from apps.serving.selectors import LINEAGE_KIND, endpoints_visible_to
from apps.serving.services.deploy import deployment_facts
from apps.serving.services.following import endpoint_follow, endpoint_settle
from apps.serving.services.revisions import (
    FOLLOW,
    external_runtime,
    require_deployable,
    require_rollback_plan,
    revision_add,
)
from apps.serving.specs import ServingSpec, spec_build
from apps.serving.types import EndpointStatus, RevisionChange, RevisionStatus

if TYPE_CHECKING:
    from apps.accounts.models import User

#: Statuses that a person may set, and what that means.
SETTABLE = {"stopped": "stop", "deploying": "redeploy"}


def _locked(actor: User | None, endpoint_id: UUID | str, action: str, **context: Any) -> Endpoint:
    endpoint = get_locked(endpoints_visible_to(actor), endpoint_id, "endpoint")
    authorize(actor=actor, action=action, obj=endpoint, context=context)
    if endpoint.delete_requested_at is not None:
        raise Conflict(f"{endpoint} is being deleted. {endpoint.delete_problem}".strip(), code="deleting")
    return endpoint


@transaction.atomic
def endpoint_update(*, actor: User | None, endpoint_id: UUID | str, **changes: Any) -> Endpoint:
    """Change ``autoscale_policy``, ``prompt_policy_id``, ``rollback_plan``, ``min_replicas``, ``max_replicas``
    or ``status``, keeping the rest; what is absent stays. Replicas and policies take effect without a restart.

    Raises ``NotFound``, ``PermissionRefused``, ``ValidationFailed``, ``Conflict``.
    """
    status = changes.pop("status", None)
    endpoint = _locked(actor, endpoint_id, "serving_endpoint.change")
    if changes:
        _apply(endpoint, changes)
        endpoint.save()
        audit.record(
            actor=actor,
            action="serving.endpoint.changed",
            resource=endpoint,
            metadata={"changed": sorted(changes), "route": endpoint.path},
        )
    if status is not None and status != endpoint.status:
        endpoint = endpoint_set_status(actor=actor, endpoint_id=endpoint_id, status=status)
    return endpoint


def _apply(endpoint: Endpoint, changes: dict[str, Any]) -> None:
    if {"min_replicas", "max_replicas", "autoscale_policy"} & set(changes) and endpoint.wanted is not None:
        base = ServingSpec.from_json(
            {
                **endpoint.wanted.spec,
                "min_replicas": endpoint.min_replicas,
                "max_replicas": endpoint.max_replicas,
                "autoscale_policy": endpoint.autoscale_policy,
            }
        )
        checked = spec_build(
            wanted={name: changes.get(name) for name in ("min_replicas", "max_replicas", "autoscale_policy")},
            external_runtime=endpoint.wanted.runtime if endpoint.model.is_external else None,
            model_family=endpoint.model.model_family,
            base=base,
        )
        endpoint.min_replicas, endpoint.max_replicas = checked.min_replicas, checked.max_replicas
        endpoint.autoscale_policy = checked.autoscale_policy
    for name in ("prompt_policy_id", "rollback_plan"):
        if name in changes:
            setattr(endpoint, name, changes[name] if name == "prompt_policy_id" else changes[name] or "")


def endpoint_set_status(*, actor: User | None, endpoint_id: UUID | str, status: str) -> Endpoint:
    """What a person may do by setting a status: ``stopped`` stops, ``deploying`` starts again."""
    if status == EndpointStatus.STOPPED:
        return endpoint_stop(actor=actor, endpoint_id=endpoint_id)
    if status == EndpointStatus.DEPLOYING:
        return endpoint_redeploy(actor=actor, endpoint_id=endpoint_id)
    if status not in EndpointStatus.values:
        raise ValidationFailed.field(
            "status", "invalid_choice", f"status must be one of {', '.join(EndpointStatus.values)}."
        )
    message = f"status {status} is found out, not set. Set 'stopped' to stop the endpoint, or 'deploying' to start it."
    raise Conflict(message, errors=[FieldError("status", "invalid_transition", message)])


@transaction.atomic
def endpoint_redeploy(
    *, actor: User | None, endpoint_id: UUID | str, model_id: UUID | str | None = None, **options: Any
) -> Endpoint:
    """A new revision with changed options (and, if given, another model); what is not said stays as it was.

    The revision that answers goes on answering until the new one does. Raises as ``endpoint_deploy``.
    """
    endpoint = _locked(actor, endpoint_id, "serving_endpoint.deploy")
    model = endpoint.model
    if model_id is not None:
        try:
            model = model_get(actor=actor, model_id=model_id)
        except NotFound:
            raise ValidationFailed.field(
                "modelId", "unknown", f"modelId: there is no model {str(model_id)[:60]} that you can see."
            ) from None
    base = ServingSpec.from_json(endpoint.wanted.spec) if endpoint.wanted is not None else None
    if base is not None:
        base = ServingSpec.from_json(
            {
                **base.to_json(),
                "min_replicas": endpoint.min_replicas,
                "max_replicas": endpoint.max_replicas,
                "autoscale_policy": endpoint.autoscale_policy,
            }
        )
    if base is not None and model.is_external != endpoint.model.is_external:
        base = None
    spec = spec_build(
        wanted=options, external_runtime=external_runtime(model), model_family=model.model_family, base=base
    )
    require_deployable(model)
    require_rollback_plan(endpoint.environment, endpoint.rollback_plan)
    if model.pk != endpoint.model_id:
        endpoint.version = model.version
        lineage_add(
            source_kind="model",
            source_id=model.pk,
            target_kind=LINEAGE_KIND,
            target_id=endpoint.pk,
            relation=LineageRelation.SERVED_BY,
            actor=actor,
        )
    restarted = endpoint.status == EndpointStatus.STOPPED and not options and model_id is None
    revision = revision_add(
        endpoint=endpoint,
        actor=actor,
        model=model,
        spec=spec,
        change=RevisionChange.RESTART if restarted else RevisionChange.REDEPLOY,
    )
    _after(endpoint, actor, "serving.endpoint.redeployed", revision)
    return endpoint


@transaction.atomic
def endpoint_rollback(*, actor: User | None, endpoint_id: UUID | str, revision: int | None = None) -> Endpoint:
    """A new revision that repeats an earlier one: revision number ``revision``, else the last one before the
    newest that ever answered.

    Raises ``Conflict`` when there is none, ``GateRefused`` when its model may not be deployed any more.
    """
    endpoint = _locked(actor, endpoint_id, "serving_endpoint.rollback")
    goal = _rollback_goal(endpoint, revision)
    require_deployable(goal.model)
    require_rollback_plan(endpoint.environment, endpoint.rollback_plan)
    endpoint.version = goal.model_version
    made = revision_add(
        endpoint=endpoint,
        actor=actor,
        model=goal.model,
        spec=ServingSpec.from_json(goal.spec),
        change=RevisionChange.ROLLBACK,
        restores=goal.restores or goal.number,
    )
    _after(endpoint, actor, "serving.endpoint.rolled_back", made, to=goal.number)
    return endpoint


def _rollback_goal(endpoint: Endpoint, number: int | None) -> EndpointRevision:
    earlier = endpoint.revisions.select_related("model").order_by("-number")
    wanted = endpoint.wanted
    if number is not None:
        goal = earlier.filter(number=number).first()
        if goal is None:
            raise ValidationFailed.field("revision", "unknown", f"revision: {endpoint} has no revision {number}.")
        if wanted is not None and goal.pk == wanted.pk and goal.status != RevisionStatus.FAILED:
            raise Conflict(f"Revision {number} is the one that is deployed already.", code="nothing_to_do")
        return goal
    if wanted is not None:
        earlier = earlier.filter(number__lt=wanted.number)
        if wanted.restores is not None:
            # Going back twice goes back further, instead of to where one just came from.
            earlier = earlier.filter(number__lt=wanted.restores)
    goal = earlier.filter(ready_at__isnull=False).first()
    if goal is None:
        raise Conflict(
            f"{endpoint} has no earlier revision that ever answered; there is nothing to roll back to.",
            code="no_revision",
        )
    return goal


@transaction.atomic
def endpoint_stop(*, actor: User | None, endpoint_id: UUID | str) -> Endpoint:
    """End an endpoint's processes and keep its record; stopping twice changes nothing."""
    endpoint = _locked(actor, endpoint_id, "serving_endpoint.stop")
    if not endpoint.stop_requested:
        endpoint.stop_requested = True
        endpoint.save(update_fields=["stop_requested"])
        audit.record(
            actor=actor,
            action="serving.endpoint.stopped",
            resource=endpoint,
            metadata={"route": endpoint.path, "environment": endpoint.environment},
        )
    endpoint_follow(endpoint.pk)
    endpoint.refresh_from_db()
    return endpoint


def endpoint_delete(*, actor: User | None, endpoint_id: UUID | str) -> None:
    """Delete an endpoint: its processes end first, then files and record go.

    It is gone for everybody at once and its route is free; if its processes have not ended after a minute it
    shows up again and says what is left. Deleting again is fine.
    """
    with transaction.atomic():
        endpoint = get_locked(endpoints_visible_to(actor), endpoint_id, "endpoint")
        authorize(actor=actor, action="serving_endpoint.delete", obj=endpoint)
        endpoint.stop_requested = True
        endpoint.delete_requested_at = clock.now()
        endpoint.delete_requested_by = actor
        endpoint.delete_problem = ""
        endpoint.save()
        audit.record(
            actor=actor,
            action="serving.endpoint.deletion_requested",
            resource=endpoint,
            metadata={"route": endpoint.path, "environment": endpoint.environment},
        )
        endpoint_follow(endpoint.pk)


def _after(endpoint: Endpoint, actor: User | None, action: str, revision: EndpointRevision, **facts: Any) -> None:
    endpoint_settle(endpoint)
    audit.record(
        actor=actor,
        action=action,
        resource=endpoint,
        metadata={**deployment_facts(endpoint, revision.number, revision.spec), **facts},
    )
    enqueue(FOLLOW, str(endpoint.pk))
