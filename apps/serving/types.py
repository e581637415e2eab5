"""Vocabulary of serving: environments, states with their transitions, and what the gateway is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db import models

from apps.integrations.runtimes import Upstream

ROUTE_PREFIX = "/llm-ops/v1/serve/"
_ROUTE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")


class Environment(models.TextChoices):
    """Where an endpoint runs. A call without an environment goes to prod, then stg, then dev."""

    DEV = "dev", "Development"
    STG = "stg", "Staging"
    PROD = "prod", "Production"


#: Order in which a route without environment is looked for.
ENVIRONMENT_ORDER = (Environment.PROD, Environment.STG, Environment.DEV)


class EndpointStatus(models.TextChoices):
    """How an endpoint is.

    deploying: a revision is wanted that does not answer yet; the detail says what it waits for. An earlier
        revision may still answer meanwhile. Leaves to healthy, degraded, failed or stopped.
    healthy: the wanted revision answers, and answered its last health checks.
    degraded: calls are answered, but something is wrong: the newest revision failed and an older one still
        serves, or health checks fail.
    failed: nothing answers, and nothing will without somebody doing something; the detail says what.
    stopped: somebody stopped it. Leaves by redeploy.
    """

    DEPLOYING = "deploying", "Deploying"
    HEALTHY = "healthy", "Healthy"
    DEGRADED = "degraded", "Degraded"
    FAILED = "failed", "Failed"
    STOPPED = "stopped", "Stopped"


ENDPOINT_TRANSITIONS: Mapping[str, frozenset[str]] = {
    EndpointStatus.DEPLOYING: frozenset(
        {EndpointStatus.HEALTHY, EndpointStatus.DEGRADED, EndpointStatus.FAILED, EndpointStatus.STOPPED}
    ),
    EndpointStatus.HEALTHY: frozenset(
        {EndpointStatus.DEPLOYING, EndpointStatus.DEGRADED, EndpointStatus.FAILED, EndpointStatus.STOPPED}
    ),
    EndpointStatus.DEGRADED: frozenset(
        {EndpointStatus.DEPLOYING, EndpointStatus.HEALTHY, EndpointStatus.FAILED, EndpointStatus.STOPPED}
    ),
    EndpointStatus.FAILED: frozenset({EndpointStatus.DEPLOYING, EndpointStatus.STOPPED}),
    EndpointStatus.STOPPED: frozenset({EndpointStatus.DEPLOYING}),
}


class RevisionStatus(models.TextChoices):
    """How one revision is.

    waiting: it is for production, and nobody has approved it yet.
    pending: its files are not prepared or its process is not submitted yet.
    starting: its process was submitted; it waits for a place, starts, or is warmed up.
    ready: it answered its warm-up and may be called.
    failed: it did not come up, or died more often than it may.
    retired: it was replaced or stopped.
    """

    WAITING = "waiting", "Waiting for approval"
    PENDING = "pending", "Pending"
    STARTING = "starting", "Starting"
    READY = "ready", "Ready"
    FAILED = "failed", "Failed"
    RETIRED = "retired", "Retired"


REVISION_TRANSITIONS: Mapping[str, frozenset[str]] = {
    RevisionStatus.WAITING: frozenset({RevisionStatus.PENDING, RevisionStatus.FAILED, RevisionStatus.RETIRED}),
    RevisionStatus.PENDING: frozenset(
        {RevisionStatus.STARTING, RevisionStatus.READY, RevisionStatus.FAILED, RevisionStatus.RETIRED}
    ),
    RevisionStatus.STARTING: frozenset(
        {RevisionStatus.PENDING, RevisionStatus.READY, RevisionStatus.FAILED, RevisionStatus.RETIRED}
    ),
    RevisionStatus.READY: frozenset({RevisionStatus.PENDING, RevisionStatus.FAILED, RevisionStatus.RETIRED}),
    RevisionStatus.FAILED: frozenset({RevisionStatus.RETIRED}),
    RevisionStatus.RETIRED: frozenset(),
}


class RevisionChange(models.TextChoices):
    """Why a revision exists."""

    DEPLOY = "deploy", "Deployed"
    REDEPLOY = "redeploy", "Redeployed"
    ROLLBACK = "rollback", "Rolled back"
    RESTART = "restart", "Started again"


@dataclass(frozen=True, slots=True)
class ServingTarget:
    """What the gateway needs to answer a call: where to, in whose name, at whose cost.

    ``upstream`` is ``None`` while nothing can answer; ``status`` and ``detail`` say why. ``typed_address``
    tells that a person typed the address (external models), so that it goes through the outbound guard.
    """

    endpoint_id: UUID
    team_id: UUID
    model_id: UUID
    route: str
    environment: str
    status: str
    detail: str
    model_name: str
    model_version: str
    runtime: str
    revision: int
    upstream: Upstream | None
    typed_address: bool
    max_output_tokens: int | None
    last_health_check: str | None


@dataclass(frozen=True, slots=True)
class CallableRoute:
    """A route that a caller may use, for listings and hints."""

    route: str
    environment: str
    model_name: str
    team: str
    created: int
    healthy: bool


def route_normalise(route: str) -> str:
    """The bare name of a route given as ``x``, ``/x``, ``/serve/x`` or ``/llm-ops/v1/serve/x``.

    Raises ``ValueError`` with a message fit for the field ``route``.
    """
    name = route.strip()
    for prefix in (ROUTE_PREFIX, "/serve/", "serve/", "/"):
        if name.startswith(prefix):
            name = name[len(prefix) :]
            break
    if not _ROUTE.match(name):
        raise ValueError("route must be 1 to 100 letters, digits, '-', '_' or '.', beginning with a letter or digit.")
    return name


def route_path(name: str) -> str:
    """The full path of a bare route name."""
    return ROUTE_PREFIX + name
