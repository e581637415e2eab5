"""Reading training jobs: what exists for whom."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.conf import settings
from django.db.models import OuterRef, QuerySet, Subquery

from apps.accounts.models import User
from apps.compute.models import Workload
from apps.core.permissions import visible_to
from apps.core.transitions import get_or_not_found
from apps.training.models import JobAttempt, TrainingJob
from apps.training.types import GpuType

OWNER_TYPE = "training_job"


def jobs_visible_to(actor: User | None) -> QuerySet[TrainingJob]:
    """Return the jobs that exist for `actor`, newest first, with what lists show.

    `waiting_reason` is what the newest workload waits for, where it waits.
    """
    newest = Workload.objects.filter(owner_type=OWNER_TYPE, owner_id=OuterRef("pk")).order_by("-attempt")
    return (
        visible_to(actor, TrainingJob.objects.all())
        .select_related("team", "created_by", "model", "dataset", "output_model")
        .annotate(
            waiting_code=Subquery(newest.values("reason_code")[:1]),
            waiting_reason=Subquery(newest.values("reason")[:1]),
            workload_state=Subquery(newest.values("state")[:1]),
        )
        .order_by("-created_at", "id")
    )


def job_get(*, actor: User | None, job_id: object) -> TrainingJob:
    """Return one visible job; NotFound for absent, invisible and malformed ids alike."""
    return get_or_not_found(jobs_visible_to(actor), job_id, "training job")


def jobs_by_ids(*, actor: User | None, ids: Collection[UUID]) -> dict[UUID, TrainingJob]:
    """Return the visible ones among `ids`, by id."""
    found = visible_to(actor, TrainingJob.objects.select_related("team")).filter(pk__in=list(ids))
    return {job.pk: job for job in found}


def attempts_of(job: TrainingJob) -> QuerySet[JobAttempt]:
    """Return a visible job's attempts, newest first, with their workloads."""
    return JobAttempt.objects.filter(job=job).select_related("workload").order_by("-number")


def gpu_types() -> list[GpuType]:
    """Return the GPU types that settings offer (`id=label`, or just `id`), most wanted first."""
    rows = []
    entries = list(settings.TRAINING_GPU_TYPES)
    for position, entry in enumerate(entries):
        key, _, label = entry.partition("=")
        rows.append(GpuType(key.strip(), (label or key).strip(), True, len(entries) - position))
    return rows


def models_visible_jobs(actor: User, model_id: UUID) -> QuerySet[TrainingJob]:
    """Return the visible jobs that start from a model or made it."""
    visible = jobs_visible_to(actor)
    return (visible.filter(model_id=model_id) | visible.filter(output_model_id=model_id)).distinct()
