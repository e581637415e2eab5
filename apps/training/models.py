"""Training jobs, their attempts, their experiment records and metrics."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.urls import reverse
from guardian.models import UserObjectPermissionBase

from apps.core import clock
from apps.core.models import BaseModel, TeamOwnedModel
from apps.training.types import JOB_ACTIVE, JOB_FINAL, AttemptStatus, JobStatus, JobType


class TrainingJob(TeamOwnedModel):
    """One order to train a model. What was asked stays as it was sent; what counts is in columns."""

    AUDIT_TYPE: ClassVar[str] = "training_job"
    SHARED_STATUSES: ClassVar[tuple[str, ...]] = (JobStatus.SUCCEEDED,)

    name = models.CharField(max_length=200)
    job_type = models.CharField(max_length=16, choices=JobType.choices)
    method = models.CharField(max_length=8)
    status = models.CharField(max_length=12, choices=JobStatus.choices, default=JobStatus.QUEUED)
    model = models.ForeignKey(
        "catalog.ModelEntry", null=True, blank=True, on_delete=models.PROTECT, related_name="training_jobs"
    )
    dataset = models.ForeignKey("datasets.Dataset", on_delete=models.PROTECT, related_name="training_jobs")
    use_gpu = models.BooleanField(default=True)
    hyperparameters = models.JSONField(default=dict, blank=True)
    resource_profile = models.JSONField(default=dict, blank=True)
    retry_policy = models.JSONField(default=dict, blank=True)
    notifications = models.JSONField(null=True, blank=True)
    train_job_spec = models.JSONField(null=True, blank=True)
    api_base_url = models.CharField(max_length=500, blank=True, default="")
    warnings = models.JSONField(default=list, blank=True)

    cpu = models.DecimalField(max_digits=9, decimal_places=3, default=Decimal(1))
    memory_bytes = models.BigIntegerField(default=0)
    gpu_count = models.PositiveIntegerField(default=0)
    gpu_type = models.CharField(max_length=64, blank=True, default="")
    nodes = models.PositiveIntegerField(default=1)
    max_minutes = models.PositiveIntegerField(default=0)
    max_retries = models.PositiveSmallIntegerField(default=0)
    backoff_seconds = models.PositiveIntegerField(default=30)

    output_model_name = models.CharField(max_length=200)
    output_model_version = models.CharField(max_length=64)
    auto_register = models.BooleanField(default=True)
    output_model = models.ForeignKey(
        "catalog.ModelEntry", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    output_storage_uri = models.CharField(max_length=2000, blank=True, default="")
    output_key = models.CharField(max_length=500, blank=True, default="", help_text="Files kept but not registered.")

    failure_tag = models.CharField(max_length=40, blank=True, default="")
    failure_message = models.TextField(blank=True, default="")
    failure_remedy = models.TextField(blank=True, default="")
    started_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    resubmitted_from = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="resubmissions"
    )

    class Meta(TeamOwnedModel.Meta):
        verbose_name = "training job"
        permissions = [("cancel_trainingjob", "Can cancel a training job")]
        indexes = [
            models.Index(fields=["team", "-created_at"], name="job_team_newest"),
            models.Index(fields=["status", "-created_at"], name="job_status_newest"),
            models.Index(fields=["created_at"], name="job_active", condition=Q(status__in=sorted(JOB_ACTIVE))),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=JobStatus.values), name="job_status_known"),
            models.CheckConstraint(condition=Q(max_retries__lte=3), name="job_retries_at_most_three"),
            models.CheckConstraint(
                condition=~Q(status__in=sorted(JOB_FINAL)) | Q(completed_at__isnull=False),
                name="job_final_has_end",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """The job's page."""
        return reverse("training:job-detail", args=[self.pk])

    @property
    def is_active(self) -> bool:
        """Whether it waits or runs."""
        return self.status in JOB_ACTIVE


class TrainingJobGrant(UserObjectPermissionBase):
    """A single grant on one job (django-guardian, with a direct foreign key)."""

    content_object = models.ForeignKey(TrainingJob, on_delete=models.CASCADE, related_name="grants")

    class Meta(UserObjectPermissionBase.Meta):
        abstract = False


class JobAttempt(BaseModel):
    """One try at a job; the next one goes on from the last checkpoint.

    `lease_until` keeps two tasks from preparing or collecting the same attempt; a dead task's lease runs out.
    """

    job = models.ForeignKey(TrainingJob, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    status = models.CharField(max_length=12, choices=AttemptStatus.choices, default=AttemptStatus.PREPARING)
    workload = models.ForeignKey("compute.Workload", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    token = models.ForeignKey("accounts.ApiToken", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    not_before = models.DateTimeField(default=clock.now)
    lease_until = models.DateTimeField(null=True, blank=True)
    trouble = models.TextField(blank=True, default="", help_text="What the last try to prepare or collect met.")
    failure_tag = models.CharField(max_length=40, blank=True, default="")
    failure_message = models.TextField(blank=True, default="")
    log_key = models.CharField(max_length=500, blank=True, default="")
    log_bytes = models.BigIntegerField(default=0)
    settled = models.BooleanField(default=False, help_text="Log, report and token are taken care of.")
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta(BaseModel.Meta):
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["job", "number"], name="attempt_number_once"),
            models.CheckConstraint(condition=Q(status__in=AttemptStatus.values), name="attempt_status_known"),
        ]
        indexes = [models.Index(fields=["not_before"], name="attempt_unsettled", condition=Q(settled=False))]

    def __str__(self) -> str:
        return f"{self.job_id} attempt {self.number}"


class ExperimentRecord(BaseModel):
    """What it takes to repeat and to judge a job; written at submission, completed at every end, failures too."""

    job = models.OneToOneField(TrainingJob, on_delete=models.CASCADE, related_name="experiment")
    parameters = models.JSONField(default=dict)
    environment = models.JSONField(default=dict, blank=True)
    code_version = models.CharField(max_length=100, blank=True, default="")
    dataset_name = models.CharField(max_length=300)
    dataset_version = models.CharField(max_length=64)
    dataset_digest = models.CharField(max_length=64)
    base_model = models.CharField(max_length=300, blank=True, default="")
    base_model_digest = models.CharField(max_length=64, blank=True, default="")
    final_metrics = models.JSONField(default=dict, blank=True)
    usage = models.JSONField(default=dict, blank=True)
    artifacts = models.JSONField(default=list, blank=True)
    notes = models.JSONField(default=list, blank=True)

    def __str__(self) -> str:
        return f"Experiment of {self.job_id}"


class JobMetric(models.Model):
    """One recorded figure. Sending the same one again (same name, step and time) changes nothing."""

    job = models.ForeignKey(TrainingJob, on_delete=models.CASCADE, related_name="metrics")
    name = models.CharField(max_length=250)
    value = models.FloatField()
    unit = models.CharField(max_length=40, blank=True, default="")
    step = models.BigIntegerField(null=True, blank=True)
    recorded_at = models.DateTimeField()

    class Meta:
        ordering = ["name", "step", "recorded_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["job", "name", "step", "recorded_at"], name="metric_once", nulls_distinct=False
            )
        ]

    def __str__(self) -> str:
        return f"{self.name}={self.value} at {self.step}"
