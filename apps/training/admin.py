"""Training in the admin: read-only; cancelling goes through the service."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from apps.core.admin import PortalAdmin, service_action
from apps.training import services
from apps.training.models import ExperimentRecord, JobAttempt, TrainingJob
from apps.training.selectors import jobs_visible_to


def _cancel(user: Any, job: TrainingJob) -> None:
    services.job_cancel(actor=user, job_id=job.pk)


@admin.register(TrainingJob)
class TrainingJobAdmin(PortalAdmin):
    """Jobs of the teams that one may see."""

    view_action = "training_job.view"
    list_display = ("name", "job_type", "status", "failure_tag", "team", "created_by", "created_at", "completed_at")
    list_filter = ("status", "job_type", "use_gpu", "team")
    search_fields = ("name", "id")
    list_select_related = ("team", "created_by")
    actions = (service_action("Cancel", _cancel, name="cancel"),)


class _OfVisibleJobs(PortalAdmin):
    """Rows of jobs that one may see."""

    view_action = "training_job.view"
    visible_by_team = False

    def get_queryset(self, request: Any) -> Any:
        """Limited by the job."""
        visible = jobs_visible_to(request.user).order_by().values("pk")
        return super().get_queryset(request).filter(job__in=visible)


@admin.register(JobAttempt)
class JobAttemptAdmin(_OfVisibleJobs):
    """Tries at jobs."""

    list_display = ("job", "number", "status", "failure_tag", "started_at", "finished_at", "settled", "trouble")
    list_filter = ("status", "settled")
    list_select_related = ("job",)


@admin.register(ExperimentRecord)
class ExperimentRecordAdmin(_OfVisibleJobs):
    """What jobs recorded of themselves."""

    list_display = ("job", "dataset_name", "dataset_version", "base_model", "code_version", "created_at")
    search_fields = ("dataset_name", "base_model")
    list_select_related = ("job",)
