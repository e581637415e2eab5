"""What may be seen of workloads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import QuerySet

from apps.compute.loop import BEAT_NAME
from apps.compute.models import ReconcilerBeat, Workload
from apps.core import clock
from apps.core.errors import NotFound
from apps.core.permissions import visible_to

if TYPE_CHECKING:
    from apps.accounts.models import User

BEAT_MAX_AGE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class ReconcilerHealth:
    """Whether workloads are being looked after. `detail` is a sentence for people."""

    ok: bool
    detail: str
    beat_at: datetime | None = None


def workloads_visible_to(actor: User | None) -> QuerySet[Workload]:
    """Return the workloads that `actor` may see: those of the teams whose things they may see."""
    return visible_to(actor, Workload.objects.select_related("team", "created_by"))


def workload_get(*, actor: User | None, workload_id: UUID) -> Workload:
    """Return one visible workload or raise NotFound."""
    workload = workloads_visible_to(actor).filter(pk=workload_id).first()
    if workload is None:
        raise NotFound(f"No workload {workload_id} is visible to you.")
    return workload


def workloads_of(owner_type: str, owner_id: UUID) -> QuerySet[Workload]:
    """Return an owner's workloads, newest attempt first. Visibility was decided for the owner."""
    return Workload.objects.filter(owner_type=owner_type, owner_id=owner_id).order_by("-attempt")


def reconciler_health() -> ReconcilerHealth:
    """Return whether the reconciler is alive and can reach its backends."""
    row = ReconcilerBeat.objects.filter(name=BEAT_NAME).first()
    if row is None:
        return ReconcilerHealth(False, "The reconciler has never run. Start it with `manage.py reconcile`.")
    age = (clock.now() - row.beat_at).total_seconds()
    if age > BEAT_MAX_AGE_SECONDS:
        return ReconcilerHealth(False, f"The reconciler was last seen {age:.0f} s ago.", row.beat_at)
    if row.problem:
        return ReconcilerHealth(False, row.problem, row.beat_at)
    return ReconcilerHealth(True, f"{row.active} active workload(s), last pass {row.pass_ms:.0f} ms.", row.beat_at)
