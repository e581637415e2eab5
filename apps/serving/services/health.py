"""Regular looks at the model servers that calls go to."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from django.db import transaction

from apps.accounts.models import User
from apps.core import clock
from apps.governance.services import authorize
from apps.integrations.runtimes import Upstream, runtime_get
from apps.integrations.runtimes.probing import ProbeResult, check_health
from apps.serving.models import Endpoint, EndpointRevision, HealthCheck
from apps.serving.selectors import endpoint_get
from apps.serving.services.following import endpoint_follow, endpoint_settle
from apps.serving.services.rollout import external_target, outbound_policy
from apps.serving.types import RevisionStatus

_KEEP = 100
_TIMEOUT_SECONDS = 5.0
_AT_ONCE = 8


def endpoint_refresh(*, actor: User | None, endpoint_id: UUID | str) -> Endpoint:
    """Look at an endpoint right now, because somebody asks: its processes, then its model server.

    Raises:
        NotFound, PermissionRefused.
    """
    endpoint = endpoint_get(actor=actor, endpoint_id=endpoint_id)
    authorize(actor=actor, action="serving_endpoint.refresh", obj=endpoint)
    endpoint_follow(endpoint.pk)
    endpoint_health_check(endpoint.pk)
    endpoint.refresh_from_db()
    return endpoint


def endpoint_health_check(endpoint_id: UUID | str) -> bool | None:
    """Look at one endpoint's model server now and record it; ``None`` when it has none."""
    revision = _active(endpoint_id)
    if revision is None:
        return None
    result = _look(*_question(revision))
    _record(revision, result)
    return result.ok


def endpoints_health_check() -> int:
    """Look at every endpoint that answers calls; returns how many. Waiting happens in threads, side by side."""
    revisions = list(
        EndpointRevision.objects.filter(
            status=RevisionStatus.READY, endpoint__active_id__isnull=False, endpoint__stop_requested=False
        ).select_related("model", "endpoint")
    )
    revisions = [revision for revision in revisions if revision.endpoint.active_id == revision.pk]
    questions = [_question(revision) for revision in revisions]
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        results = list(pool.map(lambda question: _look(*question), questions))
    for revision, result in zip(revisions, results, strict=True):
        _record(revision, result)
    return len(revisions)


def _active(endpoint_id: UUID | str) -> EndpointRevision | None:
    endpoint = Endpoint.objects.select_related("active__model").filter(pk=endpoint_id).first()
    if endpoint is None or endpoint.active is None or endpoint.active.status != RevisionStatus.READY:
        return None
    return endpoint.active


def _question(revision: EndpointRevision) -> tuple[Upstream, str | None, bool]:
    path = runtime_get(revision.runtime).dialect.health_path
    if revision.model.is_external:
        return external_target(revision.model), path, True
    return Upstream(revision.base_url, revision.upstream_model), path, False


def _look(upstream: Upstream, path: str | None, typed: bool) -> ProbeResult:
    if path is None:
        return ProbeResult(True)
    return check_health(upstream, path, policy=outbound_policy() if typed else None, seconds=_TIMEOUT_SECONDS)


def _record(revision: EndpointRevision, result: ProbeResult) -> None:
    with transaction.atomic():
        endpoint = (
            Endpoint.objects.select_for_update(of=("self",))
            .select_related("wanted", "active")
            .filter(pk=revision.endpoint_id)
            .first()
        )
        if endpoint is None or endpoint.active_id != revision.pk:
            return  # replaced while we looked
        now = clock.now()
        HealthCheck.objects.create(
            endpoint=endpoint,
            revision_id=revision.pk,
            checked_at=now,
            ok=result.ok,
            latency_ms=round(result.latency_ms, 2) if result.ok else None,
            detail=result.detail[:500],
        )
        endpoint.last_health_check_at = now
        endpoint.last_health_ok = result.ok
        endpoint.health_failures = 0 if result.ok else endpoint.health_failures + 1
        endpoint.save(update_fields=["last_health_check_at", "last_health_ok", "health_failures"])
        endpoint_settle(endpoint)
        old = endpoint.health_checks.order_by("-checked_at").values_list("pk", flat=True)[_KEEP : _KEEP + 50]
        HealthCheck.objects.filter(pk__in=list(old)).delete()
