"""Which endpoint a call goes to, and whether its caller may make it. The gateway asks here, and only here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import QuerySet

from apps.core.errors import NotFound, PermissionRefused, ValidationFailed
from apps.core.permissions import can
from apps.governance.services import authorize
from apps.integrations.runtimes import Upstream
from apps.serving.models import Endpoint
from apps.serving.selectors import endpoints_visible_to, environment_rank
from apps.serving.services.rollout import external_target
from apps.serving.specs import ServingSpec
from apps.serving.types import (
    CallableRoute,
    EndpointStatus,
    Environment,
    ServingTarget,
    route_normalise,
)

if TYPE_CHECKING:
    from apps.accounts.models import User

INVOKE = "serving_endpoint.invoke"
_HINTS = 20


def invocation_target(*, actor: User, route: str, environment: str | None = None) -> ServingTarget:
    """The endpoint at ``route`` that ``actor`` may call: in ``environment``, else in prod, then stg, then dev.

    A stopped one is passed over when another environment has one that is not.

    Raises:
        ValidationFailed: no such environment.
        NotFound: nothing there for this caller; the message lists the routes that are.
        PermissionRefused: roles, token scope or a policy.
    """
    try:
        name = route_normalise(route)
    except ValueError:
        raise _unknown(actor, route) from None
    return _choose(actor, endpoints_visible_to(actor).filter(route=name), name, environment)


def invocation_target_for_model(*, actor: User, model_name: str, environment: str | None = None) -> ServingTarget:
    """The endpoint that serves the catalog model of that name, chosen and refused like a route."""
    found = endpoints_visible_to(actor).filter(active__model_name=model_name)
    if not found.exists():
        found = endpoints_visible_to(actor).filter(model__name=model_name)
    return _choose(actor, found, model_name, environment)


def routes_callable(*, actor: User) -> tuple[CallableRoute, ...]:
    """Every route that ``actor`` may call, by name; those that answer now are ``healthy``."""
    endpoints = endpoints_visible_to(actor).order_by("route", environment_rank())
    return tuple(
        CallableRoute(
            route=endpoint.route,
            environment=endpoint.environment,
            model_name=endpoint.model.name,
            team=endpoint.team.slug,
            created=int(endpoint.created_at.timestamp()),
            healthy=endpoint.serving,
        )
        for endpoint in endpoints
        if can(actor, INVOKE, endpoint)
    )


def _choose(actor: User, found: QuerySet[Endpoint], name: str, environment: str | None) -> ServingTarget:
    if environment:
        if environment not in Environment.values:
            raise ValidationFailed.field(
                "environment",
                "invalid_choice",
                f"environment must be one of {', '.join(Environment.values)}.",
            )
        found = found.filter(environment=environment)
    candidates = list(found.order_by(environment_rank(), "-created_at"))
    if not candidates:
        raise _unknown(actor, name)
    endpoint = next((one for one in candidates if one.status != EndpointStatus.STOPPED), candidates[0])
    authorize(
        actor=actor,
        action=INVOKE,
        obj=endpoint,
        context={"route": endpoint.route, "environment": endpoint.environment},
    )
    return _target(endpoint)


def _unknown(actor: User, name: str) -> NotFound:
    usable = []
    if can(actor, INVOKE):
        usable = sorted({route.route for route in routes_callable(actor=actor) if route.healthy})
    hint = f"Healthy routes that you may call: {', '.join(usable[:_HINTS])}." if usable else ""
    hint = hint or "There is no healthy route that you may call."
    return NotFound(f"There is no route {name[:100]!r}. {hint}")


def _target(endpoint: Endpoint) -> ServingTarget:
    revision = endpoint.active or endpoint.wanted
    if revision is None:
        raise PermissionRefused(f"{endpoint} has never been deployed.")
    spec = ServingSpec.from_json(revision.spec)
    upstream: Upstream | None = None
    external = revision.model.is_external
    if endpoint.serving:
        upstream = (
            external_target(revision.model)
            if external
            else Upstream(base_url=revision.base_url, model=revision.upstream_model)
        )
    checked = endpoint.last_health_check_at
    return ServingTarget(
        endpoint_id=endpoint.pk,
        team_id=endpoint.team_id,
        model_id=revision.model_id,
        route=endpoint.route,
        environment=endpoint.environment,
        status=endpoint.status,
        detail=endpoint.status_detail,
        model_name=revision.model_name,
        model_version=revision.model_version,
        runtime=revision.runtime,
        revision=revision.number,
        upstream=upstream,
        typed_address=external,
        max_output_tokens=spec.max_output_tokens,
        last_health_check=checked.isoformat().replace("+00:00", "Z") if checked else None,
    )
