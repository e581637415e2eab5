"""Bringing an endpoint to where it should be, one idempotent step at a time.

``endpoint_follow`` looks at one endpoint (what is wanted, what its workloads do) and makes the next steps. It is
called after every change of a workload and, as a safety net, by a sweep; being called twice, or by two
processes, changes nothing. It locks the endpoint first and workloads after it; nobody locks the other way round
(compute's handler only sends a task).
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction

from apps.catalog.services import lineage_forget
from apps.compute.services import workload_stop
from apps.compute.types import ReasonCode, WorkloadState
from apps.core import audit, clock
from apps.core.tasks import enqueue
from apps.core.transitions import transition
from apps.governance.services import approvals_lapse
from apps.serving.models import Endpoint, EndpointRevision
from apps.serving.selectors import LINEAGE_KIND, revision_workload
from apps.serving.services.revisions import APPROVAL_KIND, ROLL_OUT
from apps.serving.types import (
    ENDPOINT_TRANSITIONS,
    REVISION_TRANSITIONS,
    EndpointStatus,
    RevisionStatus,
)

if TYPE_CHECKING:
    from apps.compute.models import Workload

log = structlog.get_logger(__name__)

WARM_UP = "apps.serving.tasks.revision_warm_up"
LIVE = (RevisionStatus.WAITING, RevisionStatus.PENDING, RevisionStatus.STARTING, RevisionStatus.READY)
#: A server that was well for this long may die again without its earlier deaths counting.
_FORGIVEN_AFTER = timedelta(minutes=10)
_BACKOFF_SECONDS = (1, 10, 30, 60)
#: How long the end of a deleted endpoint's processes may take before it shows up again and says so.
_DELETE_GRACE = timedelta(seconds=60)
_FAILED_CHECKS = 3


def endpoint_follow(endpoint_id: UUID | str) -> str:
    """Make the next steps of one endpoint. Returns its status, or ``gone``."""
    with transaction.atomic():
        endpoint = _lock(endpoint_id)
        if endpoint is None:
            return "gone"
        for revision in endpoint.revisions.filter(status__in=LIVE):
            _follow_revision(endpoint, revision)
        if endpoint.delete_requested_at is not None and _finish_deletion(endpoint):
            return "gone"
        endpoint_settle(endpoint)
        return endpoint.status


def endpoints_reconcile() -> int:
    """Follow every endpoint that something may be up with; returns how many. The net under lost messages."""
    restless = Endpoint.objects.exclude(
        status__in=(EndpointStatus.FAILED, EndpointStatus.STOPPED), delete_requested_at=None
    )
    count = 0
    for pk in restless.values_list("pk", flat=True).iterator():
        endpoint_follow(pk)
        count += 1
    return count


def _lock(endpoint_id: UUID | str) -> Endpoint | None:
    locked = Endpoint.objects.select_for_update(of=("self",)).filter(pk=endpoint_id)
    return locked.select_related("wanted", "active").first()


def _follow_revision(endpoint: Endpoint, revision: EndpointRevision) -> None:
    if (
        endpoint.stop_requested
        or endpoint.delete_requested_at is not None
        or revision.pk not in (endpoint.wanted_id, endpoint.active_id)
    ):
        revision_retire(endpoint, revision)
        return
    if revision.status == RevisionStatus.PENDING:
        if clock.now() - revision.updated_at > timedelta(seconds=90):
            # Long enough for its own message to have been handled: it was lost.
            revision.save(update_fields=["updated_at"])
            enqueue(ROLL_OUT, str(revision.pk))
        return
    workload = revision_workload(revision)
    if workload is None:
        return  # an external model: nothing of ours runs
    if not workload.is_active:
        _died(endpoint, revision, workload)
    elif revision.status == RevisionStatus.STARTING:
        if workload.state == WorkloadState.READY:
            enqueue(WARM_UP, str(revision.pk))
        revision.status_detail = _starting_words(workload)
        revision.save(update_fields=["status_detail"])


def _starting_words(workload: Workload) -> str:
    if workload.state == WorkloadState.READY:
        return "Its model server is up and is being warmed up."
    if workload.reason:
        return workload.reason
    return {
        WorkloadState.PENDING: "Waiting for a place to run.",
        WorkloadState.STARTING: "Its model server is being started.",
        WorkloadState.RUNNING: "Its model server is loading the model.",
    }.get(WorkloadState(workload.state), "")


def _died(endpoint: Endpoint, revision: EndpointRevision, workload: Workload) -> None:
    """Its process ended though nobody wanted it to: start it again, unless it keeps dying."""
    reason = workload.reason or "Its model server ended."
    if revision.ready_at is not None and clock.now() - revision.ready_at > _FORGIVEN_AFTER:
        revision.restarts = 0
    if workload.reason_code != ReasonCode.INTERRUPTED:
        # A restart of the machine or of the portal is no fault of the revision.
        revision.restarts += 1
    hopeless = workload.reason_code in (ReasonCode.BACKEND_REFUSED, ReasonCode.BINARY_MISSING)
    if hopeless or revision.restarts > settings.SERVING_MAX_RESTARTS:
        detail = reason if hopeless else f"It died {revision.restarts} times; the last time: {reason}"
        revision_fail(endpoint, revision, f"{detail} {workload.remedy}".strip())
        return
    transition(
        revision,
        RevisionStatus.PENDING,
        REVISION_TRANSITIONS,
        restarts=revision.restarts,
        status_detail=f"Starting again: {reason}",
        base_url="",
        ready_at=None,
    )
    _refresh(endpoint, revision)
    countdown = _BACKOFF_SECONDS[min(revision.restarts, len(_BACKOFF_SECONDS) - 1)]
    enqueue(ROLL_OUT, str(revision.pk), countdown=countdown)
    log.warning("serving.revision.died", endpoint=str(endpoint.pk), revision=revision.number, reason=reason)


def revision_fail(endpoint: Endpoint, revision: EndpointRevision, detail: str) -> None:
    """A revision does not come up, or not again. The endpoint and the revision are locked."""
    transition(
        revision,
        RevisionStatus.FAILED,
        REVISION_TRANSITIONS,
        status_detail=detail[:2000],
        base_url="",
        ended_at=clock.now(),
    )
    _stop_workload(revision, "The revision failed.")
    _refresh(endpoint, revision)
    audit.record(
        actor=None,
        action="serving.revision.failed",
        resource=endpoint,
        metadata={"revision": revision.number, "reason": detail[:500]},
    )


def revision_retire(endpoint: Endpoint, revision: EndpointRevision) -> None:
    """A revision is not needed any more; its process is asked to end, an open request for it lapses."""
    if revision.status == RevisionStatus.WAITING:
        approvals_lapse(kind=APPROVAL_KIND, subject_id=revision.pk, reason="It is not wanted any more.")
        revision.refresh_from_db(fields=["status"])
        if revision.status not in LIVE:
            _refresh(endpoint, revision)
            return
    transition(
        revision,
        RevisionStatus.RETIRED,
        REVISION_TRANSITIONS,
        status_detail="",
        base_url="",
        ended_at=clock.now(),
    )
    _stop_workload(revision, "The revision is not needed any more.")
    _refresh(endpoint, revision)


def _stop_workload(revision: EndpointRevision, reason: str) -> None:
    workload = revision_workload(revision)
    if workload is not None and workload.is_active:
        workload_stop(workload_id=workload.pk, reason=reason)


def _refresh(endpoint: Endpoint, revision: EndpointRevision) -> None:
    """Let the endpoint's own copies know what changed on the row."""
    if endpoint.wanted_id == revision.pk:
        endpoint.wanted = revision
    if endpoint.active_id == revision.pk:
        endpoint.active = revision


def endpoint_settle(endpoint: Endpoint) -> None:
    """Derive a locked endpoint's status and its explanation from what is wanted and what is there."""
    status, detail = _derive(endpoint)
    if status != endpoint.status:
        # Between two looks several steps may have happened: failed and redeployed, stopped and redeployed.
        if status not in ENDPOINT_TRANSITIONS[endpoint.status]:
            transition(endpoint, EndpointStatus.DEPLOYING, ENDPOINT_TRANSITIONS)
        transition(endpoint, status, ENDPOINT_TRANSITIONS, status_detail=detail)
        log.info("serving.endpoint.changed", endpoint=str(endpoint.pk), status=str(status), detail=detail)
    elif detail != endpoint.status_detail:
        endpoint.status_detail = detail
        endpoint.save(update_fields=["status_detail"])


def _derive(endpoint: Endpoint) -> tuple[EndpointStatus, str]:
    wanted, active = endpoint.wanted, endpoint.active
    if endpoint.stop_requested or wanted is None:
        ending = any(_running(revision) for revision in endpoint.revisions.order_by("-number")[:3])
        return EndpointStatus.STOPPED, "Its model server is ending." if ending else ""
    answers = active is not None and active.status == RevisionStatus.READY
    meanwhile = f" Revision {active.number} answers meanwhile." if answers and active is not None else ""
    if wanted.status == RevisionStatus.READY:
        if endpoint.health_failures >= _FAILED_CHECKS:
            return EndpointStatus.DEGRADED, f"The last {endpoint.health_failures} health checks failed."
        return EndpointStatus.HEALTHY, wanted.status_detail
    if wanted.status in (RevisionStatus.WAITING, RevisionStatus.PENDING, RevisionStatus.STARTING):
        return EndpointStatus.DEPLOYING, f"{wanted.status_detail}{meanwhile}"
    detail = f"Revision {wanted.number} failed: {wanted.status_detail}"
    return (EndpointStatus.DEGRADED if answers else EndpointStatus.FAILED), f"{detail}{meanwhile}"


def _running(revision: EndpointRevision) -> bool:
    workload = revision_workload(revision)
    return workload is not None and workload.is_active


def _finish_deletion(endpoint: Endpoint) -> bool:
    """Remove a deleted endpoint's files and row once nothing of it runs; otherwise say what is left."""
    left = [revision for revision in endpoint.revisions.all() if _running(revision)]
    if left:
        asked = endpoint.delete_requested_at
        if asked is not None and clock.now() - asked > _DELETE_GRACE and not endpoint.delete_problem:
            numbers = ", ".join(str(revision.number) for revision in left)
            endpoint.delete_problem = (
                f"It could not be deleted yet: the model server of revision {numbers} has not ended."
            )
            endpoint.save(update_fields=["delete_problem"])
        return False
    for revision in endpoint.revisions.all():
        rmtree(Path(settings.VAR_DIR) / revision.work_folder, ignore_errors=True)
    audit.record(
        actor=endpoint.delete_requested_by,
        action="serving.endpoint.deleted",
        resource=endpoint,
        metadata={"route": endpoint.path, "environment": endpoint.environment},
    )
    lineage_forget(kind=LINEAGE_KIND, object_id=endpoint.pk)
    Endpoint.objects.filter(pk=endpoint.pk).update(wanted=None, active=None)
    endpoint.delete()
    return True
