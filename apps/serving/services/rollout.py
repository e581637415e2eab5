"""Bringing a revision up: files, process, first answer. Each step can be repeated after a crash."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection, transaction

from apps.catalog.services import (
    model_external_target,
    model_materialise,
    model_require_deployable,
    model_require_intact_copy,
)
from apps.compute.services import workload_submit, workload_unplaceable
from apps.compute.types import HttpProbe, SlotClass, WorkloadKind, WorkloadSpec, WorkloadState
from apps.core import clock
from apps.core.errors import DomainError, GateRefused, InfrastructureError, Unavailable
from apps.core.quantities import cpu_cores, memory_bytes
from apps.core.tasks import enqueue
from apps.core.transitions import transition
from apps.integrations.outbound import OutboundPolicy, OutboundRefused, check_url
from apps.integrations.runtimes import LaunchRequest, Upstream, external_upstream, runtime_get
from apps.integrations.runtimes.probing import ProbeResult, check_health, warm_up
from apps.serving.models import Endpoint, EndpointRevision
from apps.serving.selectors import OWNER_TYPE, revision_workload
from apps.serving.services.following import WARM_UP, endpoint_follow, endpoint_settle, revision_fail
from apps.serving.services.revisions import ROLL_OUT
from apps.serving.specs import ServingSpec
from apps.serving.types import REVISION_TRANSITIONS, RevisionStatus

if TYPE_CHECKING:
    from apps.catalog.models import ModelEntry

log = structlog.get_logger(__name__)

#: The temperature of a model server's first answer. Some servers keep their first request's sampling for life.
WARM_UP_TEMPERATURE = 0.7
_RETRY_SECONDS = 15.0
_MODEL_FOLDER = "model"


def outbound_policy() -> OutboundPolicy:
    """Which addresses typed by people may be called."""
    return OutboundPolicy.parse(settings.LLMOPS_OUTBOUND_ALLOW)


def external_target(model: ModelEntry) -> Upstream:
    """Where an external model answers, with its key: for this process's memory only."""
    target = model_external_target(model=model)
    return external_upstream(
        provider=target.provider,
        model_name=target.model_name,
        base_url=target.base_url,
        api_key=target.api_key,
    )


def revision_roll_out(revision_id: UUID | str) -> str:
    """Prepare a pending revision and submit its process. Returns the revision's status, or ``gone``."""
    with _alone(revision_id) as alone:
        if not alone:
            return "busy"
        revision = EndpointRevision.objects.select_related("model", "endpoint").filter(pk=revision_id).first()
        if revision is None:
            return "gone"
        if revision.status != RevisionStatus.PENDING or not _is_kept(revision):
            return str(revision.status)
        try:
            model_require_deployable(model=revision.model)
            _require_same(revision)
            if revision.model.is_external:
                _roll_out_external(revision)
            else:
                _roll_out_files(revision)
        except (InfrastructureError, Unavailable, OSError) as error:
            _retry_later(revision, error.message if isinstance(error, DomainError) else str(error))
        except DomainError as error:
            _fail(revision, error.message)
    endpoint_follow(revision.endpoint_id)
    return EndpointRevision.objects.values_list("status", flat=True).filter(pk=revision_id).first() or "gone"


def _is_kept(revision: EndpointRevision) -> bool:
    endpoint = revision.endpoint
    return (
        not endpoint.stop_requested
        and endpoint.delete_requested_at is None
        and revision.pk in (endpoint.wanted_id, endpoint.active_id)
    )


def _require_same(revision: EndpointRevision) -> None:
    if revision.model_digest != revision.model.digest:
        raise GateRefused("The model has changed since this revision was made. Deploy it again.")


def _roll_out_files(revision: EndpointRevision) -> None:
    spec = ServingSpec.from_json(revision.spec)
    folder = Path(settings.VAR_DIR) / revision.work_folder / _MODEL_FOLDER
    model_dir = _materialise(revision.model, folder)
    runtime = runtime_get(revision.runtime)
    threads = max(1, int(cpu_cores(spec.cpu_request)))
    plan = runtime.launch(
        LaunchRequest(
            model_dir=str(model_dir),
            served_name=revision.endpoint.route,
            use_gpu=spec.use_gpu,
            threads=threads,
            max_model_tokens=_context(spec),
            cache_tokens=settings.SERVING_CACHE_TOKENS,
        )
    )
    workload_spec = WorkloadSpec(
        command=plan.command,
        env=plan.env,
        working_dir=str(folder.parent),
        cpu=float(cpu_cores(spec.cpu_request)),
        memory_bytes=memory_bytes(spec.memory_limit),
        gpu_count=spec.gpu_count,
        image=spec.image,
        port=0,
        readiness=HttpProbe(
            path=plan.readiness_path, start_seconds=max(plan.start_seconds, settings.SERVING_START_SECONDS)
        ),
        slot_class=SlotClass.ENDPOINT,
    )
    problem = workload_unplaceable(workload_spec)
    if problem:
        raise GateRefused(problem)
    with transaction.atomic():
        endpoint, locked = _lock(revision)
        if locked is None or locked.status != RevisionStatus.PENDING or not _is_kept(locked):
            return
        attempt = locked.attempt + 1
        workload = workload_submit(
            actor=None,
            kind=WorkloadKind.SERVING,
            owner_type=OWNER_TYPE,
            owner_id=locked.pk,
            team=endpoint.team,
            created_by=locked.created_by,
            spec=workload_spec,
            model_id=locked.model_id,
            attempt=attempt,
        )
        transition(
            locked,
            RevisionStatus.STARTING,
            REVISION_TRANSITIONS,
            attempt=attempt,
            workload_id=workload.pk,
            upstream_model=runtime.upstream_model(model_dir=str(model_dir), served_name=revision.endpoint.route),
            status_detail="Waiting for a place to run.",
        )


def _context(spec: ServingSpec) -> int | None:
    if spec.max_input_tokens is None:
        return None
    return spec.max_input_tokens + (spec.max_output_tokens or 0)


def _materialise(model: ModelEntry, folder: Path) -> Path:
    """The model's files in ``folder``, complete or not at all: a crash leaves a folder that is made anew."""
    done = folder.with_suffix(".complete")
    if done.exists() and folder.is_dir():
        model_require_intact_copy(model=model, folder=folder)
        return folder
    rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = model_materialise(model=model, destination=folder)
    done.touch()
    return path


def _roll_out_external(revision: EndpointRevision) -> None:
    upstream = external_target(revision.model)
    try:
        check_url(upstream.base_url, outbound_policy())
    except OutboundRefused as error:
        raise GateRefused(f"The provider's address may not be called: {error}") from None
    probe = _probe(revision, upstream)
    if not probe.ok:
        if probe.permanent:
            raise GateRefused(f"The provider cannot be used: {probe.detail}")
        raise Unavailable(f"The provider does not answer: {probe.detail}")
    revision_answers(revision, base_url=upstream.base_url, upstream_model=upstream.model, detail="")


def _probe(revision: EndpointRevision, upstream: Upstream) -> ProbeResult:
    path = runtime_get(revision.runtime).dialect.health_path
    if path is None:
        return ProbeResult(True)
    return check_health(upstream, path, policy=outbound_policy(), seconds=10.0)


def revision_warm_up(revision_id: UUID | str) -> str:
    """Have a started model server answer once, then send the calls there. Returns the revision's status."""
    with _alone(revision_id) as alone:
        if not alone:
            return "busy"
        revision = EndpointRevision.objects.select_related("endpoint").filter(pk=revision_id).first()
        if revision is None:
            return "gone"
        workload = revision_workload(revision)
        if revision.status != RevisionStatus.STARTING or workload is None or workload.state != WorkloadState.READY:
            return str(revision.status)
        result = warm_up(
            Upstream(workload.url, revision.upstream_model),
            runtime_get(revision.runtime).dialect,
            policy=None,
            seconds=settings.SERVING_WARM_UP_SECONDS,
            temperature=WARM_UP_TEMPERATURE,
        )
        log.info(
            "serving.revision.warmed_up",
            revision=str(revision.pk),
            ok=result.ok,
            detail=result.detail,
            milliseconds=round(result.latency_ms),
        )
        if result.ok:
            revision_answers(
                revision,
                base_url=workload.url,
                upstream_model=revision.upstream_model,
                detail=result.detail,
            )
        elif result.permanent:
            _fail(revision, result.detail)
        else:
            # It may have died meanwhile, which the next sweep will find; if not, that asks it again.
            return str(revision.status)
    return endpoint_follow(revision.endpoint_id)


def revision_answers(revision: EndpointRevision, *, base_url: str, upstream_model: str, detail: str) -> None:
    """Record that a revision answers, and send the calls there."""
    with transaction.atomic():
        endpoint, locked = _lock(revision)
        if locked is None or locked.status not in (RevisionStatus.PENDING, RevisionStatus.STARTING):
            return
        transition(
            locked,
            RevisionStatus.READY,
            REVISION_TRANSITIONS,
            base_url=base_url,
            upstream_model=upstream_model,
            status_detail=detail,
            ready_at=clock.now(),
        )
        if locked.pk == endpoint.wanted_id:
            endpoint.wanted = endpoint.active = locked
        elif locked.pk == endpoint.active_id:
            endpoint.active = locked
        endpoint.health_failures = 0
        endpoint.last_health_ok = True
        endpoint.last_health_check_at = clock.now()
        endpoint.save()
        endpoint_settle(endpoint)


def _fail(revision: EndpointRevision, detail: str) -> None:
    with transaction.atomic():
        endpoint, locked = _lock(revision)
        if locked is not None and locked.status in (RevisionStatus.PENDING, RevisionStatus.STARTING):
            revision_fail(endpoint, locked, detail)
            endpoint_settle(endpoint)


def _retry_later(revision: EndpointRevision, reason: str) -> None:
    with transaction.atomic():
        endpoint, locked = _lock(revision)
        if locked is None or locked.status != RevisionStatus.PENDING:
            return
        locked.restarts += 1
        if locked.restarts > settings.SERVING_MAX_RESTARTS:
            revision_fail(endpoint, locked, reason)
        else:
            locked.status_detail = f"It will be tried again: {reason}"[:2000]
            locked.save(update_fields=["status_detail", "restarts"])
            if endpoint.wanted_id == locked.pk:
                endpoint.wanted = locked
            enqueue(ROLL_OUT, str(locked.pk), countdown=_RETRY_SECONDS)
        endpoint_settle(endpoint)


def _lock(revision: EndpointRevision) -> tuple[Endpoint, EndpointRevision | None]:
    """Endpoint first, then its revision: the order that everybody keeps."""
    endpoint = (
        Endpoint.objects.select_for_update(of=("self",))
        .select_related("wanted", "active", "team")
        .get(pk=revision.endpoint_id)
    )
    locked = EndpointRevision.objects.select_for_update(of=("self",)).filter(pk=revision.pk).first()
    if locked is not None:
        locked.endpoint = endpoint
    return endpoint, locked


@contextmanager
def _alone(revision_id: UUID | str) -> Iterator[bool]:
    """Whether this process is the only one at work on a revision; ends with the connection, also in a crash."""
    key = zlib.crc32(str(revision_id).encode())
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [0x5345, key & 0x7FFFFFFF])
        alone = bool(cursor.fetchone()[0])
        try:
            yield alone
        finally:
            if alone:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [0x5345, key & 0x7FFFFFFF])


__all__ = [
    "WARM_UP",
    "external_target",
    "outbound_policy",
    "revision_answers",
    "revision_roll_out",
    "revision_warm_up",
]
