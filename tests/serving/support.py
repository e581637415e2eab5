"""Endpoints for tests: approved models, and endpoints that answer at an address of the test's."""

from __future__ import annotations

from typing import Any

from apps.accounts.models import Team, User
from apps.catalog.models import ModelEntry
from apps.catalog.selectors import model_digest
from apps.catalog.types import ModelStatus
from apps.core import clock
from apps.serving.models import Endpoint, EndpointRevision
from apps.serving.specs import ServingSpec
from apps.serving.types import EndpointStatus, RevisionChange, RevisionStatus
from tests.catalog.support import CARD, make_model, make_ready


def approve(model: ModelEntry) -> ModelEntry:
    """Make a model approved as it is now; how approvals come about is the catalog's test."""
    model.refresh_from_db()
    model.status = ModelStatus.APPROVED
    model.digest = model_digest(model)
    model.approved_at = clock.now()
    model.save()
    return model


def approved_model(actor: User, team: Team, **changes: Any) -> ModelEntry:
    """An approved model with small files that were scanned."""
    return approve(make_ready(actor, team, **changes))


def external_model(actor: User, team: Team, base_url: str, **metadata: Any) -> ModelEntry:
    """An approved external model at ``base_url``."""
    described = {
        **CARD,
        "provider": "openai_compatible",
        "model_name": "far-away",
        "base_url": base_url,
        "api_key": "sk-far-away",
        **metadata,
    }
    model = make_model(actor, team, name="far-away", type="external", metadata=described)
    return approve(model)


def answering_endpoint(
    model: ModelEntry,
    *,
    url: str,
    upstream_model: str,
    route: str = "support-assistant",
    environment: str = "dev",
    runtime: str = "transformers",
    team: Team | None = None,
    visibility: str = "team",
    **changes: Any,
) -> Endpoint:
    """A healthy endpoint whose model server is at ``url``."""
    owner = team or model.team
    endpoint = Endpoint.objects.create(
        team=owner,
        created_by=model.created_by,
        visibility=visibility,
        model=model,
        environment=environment,
        route=route,
        version=model.version,
        status=EndpointStatus.HEALTHY,
        last_health_check_at=clock.now(),
        last_health_ok=True,
    )
    revision = EndpointRevision.objects.create(
        endpoint=endpoint,
        number=1,
        team=owner,
        created_by=model.created_by,
        model=model,
        model_name=model.name,
        model_version=model.version,
        model_digest=model.digest,
        runtime=runtime,
        change=RevisionChange.DEPLOY,
        spec=ServingSpec(framework=runtime).to_json(),
        status=RevisionStatus.READY,
        base_url=url,
        upstream_model=upstream_model,
        ready_at=clock.now(),
    )
    endpoint.wanted = endpoint.active = revision
    for name, value in changes.items():
        setattr(endpoint, name, value)
    endpoint.save()
    return endpoint
