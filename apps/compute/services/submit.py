"""Putting workloads into the table and taking them out of service."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import transaction

from apps.compute.models import Workload, WorkloadEvent
from apps.compute.services.lease import reconciler_wake
from apps.compute.services.transition import workload_transition
from apps.compute.types import (
    Desired,
    ReasonCode,
    WorkloadKind,
    WorkloadSpec,
    WorkloadState,
)
from apps.core import clock, crypto
from apps.core.transitions import get_locked
from apps.integrations.registry import backend_default_name, compute_backend

if TYPE_CHECKING:
    from apps.accounts.models import Team, User

_SHORT = {WorkloadKind.TRAINING: "train", WorkloadKind.SERVING: "serve", WorkloadKind.EVALUATION: "eval"}


def workload_name(kind: WorkloadKind, owner_id: UUID, attempt: int) -> str:
    """Return the backend's name for an attempt: the same for the same attempt, always."""
    return f"{_SHORT[WorkloadKind(kind)]}-{owner_id.hex}-{attempt}"


def workload_unplaceable(spec: WorkloadSpec, backend: str = "") -> str:
    """Return why the backend can never run `spec` as things are set up ("" = it can)."""
    return compute_backend(backend).unplaceable(spec)


def workload_submit(
    *,
    actor: User | None,
    kind: WorkloadKind | str,
    owner_type: str,
    owner_id: UUID,
    team: Team,
    created_by: User | None,
    spec: WorkloadSpec,
    model_id: UUID | None = None,
    attempt: int = 1,
    priority: int = 0,
    backend: str = "",
) -> Workload:
    """Accept one attempt; the reconciler starts it when there is a place. Submitting it again returns it.

    The caller has decided that `actor` may do this. Runs in the caller's transaction, if there is one.
    """
    kind = WorkloadKind(kind)
    with transaction.atomic():
        workload, created = Workload.objects.get_or_create(
            owner_type=owner_type,
            owner_id=owner_id,
            attempt=attempt,
            defaults={
                "team": team,
                "created_by": created_by or actor,
                "kind": kind.value,
                "model_id": model_id,
                "backend": backend or backend_default_name(),
                "name": workload_name(kind, owner_id, attempt),
                "slot_class": spec.slot_class.value,
                "priority": priority,
                "spec": spec.to_json(),
                "spec_secrets": crypto.encrypt(json.dumps(dict(spec.secret_env))) if spec.secret_env else "",
                "cpu": Decimal(str(spec.cpu)),
                "memory_bytes": spec.memory_bytes,
                "gpu_count": spec.gpu_count,
                "gpu_type": spec.gpu_type,
            },
        )
        if created:
            WorkloadEvent.objects.create(
                workload=workload,
                to_state=workload.state,
                message="Accepted; it starts as soon as there is a place.",
                occurred_at=clock.now(),
            )
            reconciler_wake()
    return workload


def workload_spec(workload: Workload) -> WorkloadSpec:
    """Return the specification to run, secrets included. For the reconciler alone."""
    secrets = json.loads(crypto.decrypt(workload.spec_secrets)) if workload.spec_secrets else {}
    return WorkloadSpec.from_json(workload.spec, secret_env=secrets)


def workload_stop(*, workload_id: UUID, reason: str, actor: User | None = None) -> Workload:
    """Want a workload to end: at once if it has not begun, else by the reconciler. Ended ones are fine."""
    with transaction.atomic():
        workload = get_locked(Workload.objects.all(), workload_id, what="workload")
        if workload.is_active and workload.desired != Desired.STOPPED:
            workload.desired = Desired.STOPPED.value
            workload.stop_requested_at = clock.now()
            workload.stop_reason = reason
            workload.save(update_fields=["desired", "stop_requested_at", "stop_reason", "updated_at"])
            if workload.state == WorkloadState.PENDING:
                workload_transition(workload, WorkloadState.STOPPED, code=ReasonCode.STOPPED, reason=reason)
            else:
                WorkloadEvent.objects.create(
                    workload=workload,
                    from_state=workload.state,
                    to_state=workload.state,
                    reason_code=ReasonCode.STOPPED.value,
                    message=f"Asked to stop{f' by {actor}' if actor else ''}: {reason}",
                    occurred_at=clock.now(),
                )
            reconciler_wake()
    return workload
