"""Evaluation in the admin: rows to look at, and cancelling through the service."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import models
from django.http import HttpRequest

from apps.core.admin import PortalAdmin, service_action
from apps.evaluation import services
from apps.evaluation.models import EvaluationRun, EvaluationSample, HumanReview, ReviewAssignment
from apps.evaluation.selectors import runs_visible_to


@admin.register(EvaluationRun)
class EvaluationRunAdmin(PortalAdmin):
    """Runs."""

    view_action = "evaluation_run.view"
    list_display = ("id", "model", "dataset", "run_type", "status", "team", "created_by", "created_at")
    list_filter = ("status", "run_type")
    search_fields = ("model__name", "dataset__name")
    list_select_related = ("model", "dataset", "team", "created_by")
    actions = (
        service_action("Cancel", lambda actor, run: services.run_cancel(actor=actor, run_id=run.pk), name="cancel_run"),
    )


class OfVisibleRuns(PortalAdmin):
    """Rows that belong to a run exist for whom the run exists."""

    view_action = "evaluation_run.view"
    visible_by_team = False

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        """Of visible runs only."""
        user: Any = request.user
        return super().get_queryset(request).filter(run__in=runs_visible_to(user).order_by().values("pk"))


@admin.register(EvaluationSample)
class EvaluationSampleAdmin(OfVisibleRuns):
    """Answers."""

    list_display = ("run", "index", "review_count", "latency_ms", "error")
    list_select_related = ("run", "run__model", "run__dataset")


@admin.register(HumanReview)
class HumanReviewAdmin(OfVisibleRuns):
    """What people said."""

    list_display = ("run", "sample", "reviewer", "created_at")
    list_select_related = ("run", "run__model", "run__dataset", "sample", "reviewer")


@admin.register(ReviewAssignment)
class ReviewAssignmentAdmin(OfVisibleRuns):
    """Who was asked."""

    list_display = ("run", "sample", "reviewer", "created_at")
    list_select_related = ("run", "run__model", "run__dataset", "sample", "reviewer")
