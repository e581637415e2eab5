"""Tables of evaluation. Rules live in ``services``; constraints here are the last line."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from apps.core.models import BaseModel, TeamOwnedModel
from apps.evaluation.types import RUN_WORKING, RunStatus, RunType


class EvaluationRun(TeamOwnedModel):
    """One model judged on one dataset, once. What it was run on is pinned by digests."""

    AUDIT_TYPE: ClassVar[str] = "evaluation_run"
    SHARED_STATUSES: ClassVar[tuple[str, ...]] = ()

    model = models.ForeignKey("catalog.ModelEntry", on_delete=models.CASCADE, related_name="evaluation_runs")
    dataset = models.ForeignKey("datasets.Dataset", on_delete=models.PROTECT, related_name="+")
    model_digest = models.CharField(max_length=64, help_text="Hash over the files that were evaluated.")
    dataset_digest = models.CharField(max_length=64, help_text="Hash of the rows that were used.")
    dataset_content_digest = models.CharField(
        max_length=64, blank=True, default="", help_text="Hash of rows and columns; empty for runs before it was kept."
    )
    source_run = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="reused_by")
    batch_id = models.UUIDField(null=True, blank=True, help_text="Shared by runs that were started together.")
    run_type = models.CharField(max_length=16, choices=RunType)
    status = models.CharField(max_length=16, choices=RunStatus, default=RunStatus.QUEUED)
    attempt = models.PositiveSmallIntegerField(default=1)

    metric_names = models.JSONField(default=list, blank=True)
    sample_size = models.PositiveIntegerField(null=True, blank=True)
    seed = models.BigIntegerField(default=42)
    max_new_tokens = models.PositiveIntegerField(default=64)
    rubric = models.JSONField(default=dict, blank=True)
    reviews_per_sample = models.PositiveSmallIntegerField(default=0, help_text="0: nobody reviews.")

    metrics = models.JSONField(default=dict, blank=True)
    agreement = models.JSONField(default=dict, blank=True)
    report = models.JSONField(default=dict, blank=True, help_text="The evaluator's report without its samples.")
    sample_count = models.PositiveIntegerField(default=0)
    failed_samples = models.PositiveIntegerField(default=0)
    message = models.CharField(max_length=1000, blank=True, default="")
    failure_tag = models.CharField(max_length=40, blank=True, default="")
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta(TeamOwnedModel.Meta):
        verbose_name = "evaluation run"
        constraints = [
            models.CheckConstraint(condition=Q(status__in=RunStatus.values), name="evaluation_run_status_known"),
            models.CheckConstraint(condition=Q(run_type__in=RunType.values), name="evaluation_run_type_known"),
        ]
        indexes = [
            models.Index(fields=("team", "-created_at"), name="evaluation_run_team_newest"),
            models.Index(fields=("model", "dataset", "-created_at"), name="evaluation_run_pair"),
            models.Index(
                fields=("created_at",), condition=Q(status__in=sorted(RUN_WORKING)), name="evaluation_run_working"
            ),
            models.Index(
                fields=("created_at",), condition=Q(status=RunStatus.AWAITING_REVIEW), name="evaluation_run_reviewing"
            ),
        ]

    def __str__(self) -> str:
        kind = self.get_run_type_display()
        return f"{kind if kind.endswith('review') else f'{kind} run'} of {self.model} on {self.dataset}"

    def get_absolute_url(self) -> str:
        """The run's page."""
        return reverse("evaluation:run-detail", args=[self.pk])

    @property
    def is_working(self) -> bool:
        """Whether a machine still has to do something for it."""
        return self.status in RUN_WORKING

    @property
    def awaits_review(self) -> bool:
        """Whether people have to do something for it."""
        return self.status == RunStatus.AWAITING_REVIEW

    @property
    def work_name(self) -> str:
        """Its folder below ``work/evaluation``."""
        return str(self.pk)


class EvaluationSample(BaseModel):
    """One row of the dataset with what the model said and what it scored."""

    run = models.ForeignKey(EvaluationRun, on_delete=models.CASCADE, related_name="samples")
    index = models.PositiveIntegerField(help_text="Row number in the dataset, from 0; pairs samples of two runs.")
    row_id = models.CharField(max_length=200, blank=True, default="")
    input = models.TextField()
    reference = models.TextField(blank=True, default="")
    output = models.TextField(null=True, blank=True)  # noqa: DJ001 - null: no answer; empty: an empty answer
    scores = models.JSONField(default=dict, blank=True)
    latency_ms = models.FloatField(default=0)
    prompt_tokens = models.PositiveIntegerField(default=0)
    completion_tokens = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=500, blank=True, default="")
    review_count = models.PositiveSmallIntegerField(default=0)

    class Meta(BaseModel.Meta):
        verbose_name = "evaluation sample"
        ordering = ["index"]
        constraints = [models.UniqueConstraint(fields=("run", "index"), name="evaluation_sample_once")]

    def __str__(self) -> str:
        return f"sample {self.index}"


class ReviewAssignment(BaseModel):
    """A sample that one person was asked to review; a run with assignments is open to those people only."""

    run = models.ForeignKey(EvaluationRun, on_delete=models.CASCADE, related_name="assignments")
    sample = models.ForeignKey(EvaluationSample, on_delete=models.CASCADE, related_name="assignments")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")

    class Meta(BaseModel.Meta):
        verbose_name = "review assignment"
        constraints = [models.UniqueConstraint(fields=("sample", "reviewer"), name="evaluation_assignment_once")]

    def __str__(self) -> str:
        return f"{self.sample_id} for {self.reviewer_id}"


class HumanReview(BaseModel):
    """What one person said about one sample."""

    run = models.ForeignKey(EvaluationRun, on_delete=models.CASCADE, related_name="reviews")
    sample = models.ForeignKey(EvaluationSample, on_delete=models.CASCADE, related_name="reviews")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    scores = models.JSONField(default=dict)
    comment = models.TextField(blank=True, default="")

    class Meta(BaseModel.Meta):
        verbose_name = "human review"
        constraints = [models.UniqueConstraint(fields=("sample", "reviewer"), name="evaluation_review_once")]

    def __str__(self) -> str:
        return f"{self.sample_id} by {self.reviewer_id}"
