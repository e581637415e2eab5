"""Shapes of the training API."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.urls import reverse
from rest_framework import serializers

from apps.accounts.api.fields import TeamSlugField, UsernameField
from apps.core.api.serializers import ApiSerializer, StrictJSONObject
from apps.training.models import JobMetric, TrainingJob
from apps.training.types import JobStatus, JobType


class FailureSerializer(ApiSerializer):
    """Why a job failed."""

    tag = serializers.CharField()
    message = serializers.CharField()
    remedy = serializers.CharField()


class JobSerializer(ApiSerializer):
    """A training job."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    model_id = serializers.UUIDField(allow_null=True)
    dataset_id = serializers.UUIDField()
    job_type = serializers.CharField()
    method = serializers.CharField()
    status = serializers.CharField()
    status_detail = serializers.SerializerMethodField()
    owner_team = TeamSlugField(source="team")
    submitted_by = UsernameField(source="created_by")
    submitted_at = serializers.DateTimeField(source="created_at")
    started_at = serializers.DateTimeField(allow_null=True)
    completed_at = serializers.DateTimeField(allow_null=True)
    use_gpu = serializers.BooleanField()
    hyperparameters = serializers.JSONField()
    resource_profile = serializers.JSONField()
    retry_policy = serializers.JSONField()
    notifications = serializers.JSONField(allow_null=True)
    train_job_spec = serializers.JSONField(allow_null=True)
    api_base_url = serializers.CharField()
    output_model_name = serializers.CharField()
    output_model_version = serializers.CharField()
    auto_register_output_model = serializers.BooleanField(source="auto_register")
    output_model_storage_uri = serializers.SerializerMethodField()
    output_model_entry_id = serializers.UUIDField(source="output_model_id", allow_null=True)
    experiment_url = serializers.SerializerMethodField()
    resubmitted_from_id = serializers.UUIDField(allow_null=True)
    failure = serializers.SerializerMethodField()
    warnings = serializers.ListField(child=serializers.CharField())
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    def get_status_detail(self, job: TrainingJob) -> str:
        """What a queued job waits for, why a cancelled one was cancelled."""
        if job.status == JobStatus.CANCELLED:
            return job.failure_message
        if job.status == JobStatus.QUEUED:
            return getattr(job, "waiting_reason", "") or "Its inputs are being prepared."
        return ""

    def get_output_model_storage_uri(self, job: TrainingJob) -> str | None:
        """Where the output lies, once there is one."""
        return job.output_storage_uri or None

    def get_experiment_url(self, job: TrainingJob) -> str:
        """The experiment's page."""
        return settings.PUBLIC_URL + reverse("training:experiment-detail", args=[job.pk])

    def get_failure(self, job: TrainingJob) -> dict[str, str] | None:
        """Root cause in words, for failed jobs."""
        if job.status != JobStatus.FAILED:
            return None
        return {"tag": job.failure_tag, "message": job.failure_message, "remedy": job.failure_remedy}


class JobListEnvelopeSerializer(ApiSerializer):
    """The list of jobs, wrapped as the contract wants it."""

    jobs = JobSerializer(many=True)


def _free(**kwargs: Any) -> StrictJSONObject:
    return StrictJSONObject(required=False, allow_null=True, default=dict, **kwargs)


def _text(**kwargs: Any) -> serializers.CharField:
    return serializers.CharField(required=False, allow_blank=True, allow_null=True, default="", **kwargs)


class JobSubmitSerializer(ApiSerializer):
    """A submission. What its values mean is checked by the service, so that one answer names every problem."""

    job_type = serializers.ChoiceField(choices=JobType.values)
    dataset_id = serializers.CharField(max_length=100)
    model_id = _text(max_length=100)
    owner_team = _text(max_length=200)
    use_gpu = serializers.BooleanField(required=False, default=True)
    hyperparameters = _free()
    resource_profile = _free()
    retry_policy = _free()
    notifications = serializers.JSONField(required=False, allow_null=True, default=None)
    api_base_url = _text(max_length=500)
    output_model_name = _text(max_length=200)
    output_model_version = _text(max_length=64)
    auto_register_output_model = serializers.BooleanField(required=False, default=True)
    train_job_spec = StrictJSONObject(required=False, allow_null=True, default=None)


class JobResubmitSerializer(ApiSerializer):
    """What to change; what is left out stays as it was."""

    use_gpu = serializers.BooleanField(required=False)
    hyperparameters = StrictJSONObject(required=False)
    resource_profile = StrictJSONObject(required=False)
    retry_policy = StrictJSONObject(required=False)
    output_model_name = serializers.CharField(required=False, max_length=200)
    output_model_version = serializers.CharField(required=False, max_length=64)
    auto_register_output_model = serializers.BooleanField(required=False)


class RegisterModelSerializer(ApiSerializer):
    """Name and version of the model to register; the job's own by default."""

    name = _text(max_length=200)
    version = _text(max_length=64)


class RegisteredModelSerializer(ApiSerializer):
    """The registered output."""

    job_id = serializers.UUIDField()
    model_id = serializers.UUIDField()
    name = serializers.CharField()
    version = serializers.CharField()
    storage_uri = serializers.CharField()


class MetricInputSerializer(ApiSerializer):
    """One metric, or a batch of them under `metrics` (for the documentation; the service reads the body itself)."""

    name = serializers.CharField(required=False, max_length=250)
    value = serializers.FloatField(required=False)
    unit = serializers.CharField(required=False, max_length=40)
    step = serializers.IntegerField(required=False, min_value=0)
    timestamp = serializers.DateTimeField(required=False)
    metrics = serializers.ListField(child=serializers.DictField(), required=False)


class MetricsTakenSerializer(ApiSerializer):
    """How many metrics were new."""

    recorded = serializers.IntegerField()


class MetricSerializer(ApiSerializer):
    """One recorded figure."""

    id = serializers.CharField()
    training_job_id = serializers.UUIDField()
    name = serializers.CharField()
    value = serializers.FloatField()
    unit = serializers.CharField(allow_null=True)
    step = serializers.IntegerField(allow_null=True)
    recorded_at = serializers.DateTimeField()


def metric_row(metric: JobMetric) -> dict[str, Any]:
    """A metric as the API shows it; by hand, because there may be many thousands."""
    return {
        "id": str(metric.pk),
        "trainingJobId": str(metric.job_id),
        "name": metric.name,
        "value": metric.value,
        "unit": metric.unit or None,
        "step": metric.step,
        "recordedAt": metric.recorded_at.isoformat().replace("+00:00", "Z"),
    }


class ExperimentSerializer(ApiSerializer):
    """An experiment: its record and its metrics."""

    job_id = serializers.UUIDField()
    status = serializers.CharField()
    parameters = serializers.JSONField()
    environment = serializers.JSONField()
    code_version = serializers.CharField()
    dataset = serializers.JSONField()
    base_model = serializers.JSONField(allow_null=True)
    final_metrics = serializers.JSONField()
    artifacts = serializers.JSONField()
    metrics = MetricSerializer(many=True)


class ExperimentHitSerializer(ApiSerializer):
    """An experiment among search results."""

    job_id = serializers.UUIDField(source="pk")
    name = serializers.CharField()
    job_type = serializers.CharField()
    status = serializers.CharField()
    owner_team = TeamSlugField(source="team")
    created_at = serializers.DateTimeField()
    completed_at = serializers.DateTimeField(allow_null=True)
    parameters = serializers.JSONField(source="experiment.parameters")
    final_metrics = serializers.JSONField(source="experiment.final_metrics")


class ExperimentSearchSerializer(ApiSerializer):
    """What to search for."""

    experiment_name = _text(max_length=200)
    filter_string = _text(max_length=2000)
    order_by = serializers.JSONField(required=False, allow_null=True, default=None)
    max_results = serializers.IntegerField(required=False, min_value=1, max_value=1000, default=100)


class GpuTypeSerializer(ApiSerializer):
    """A kind of GPU."""

    id = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # the contract's name, and also an attribute of fields
    enabled = serializers.BooleanField()
    priority = serializers.IntegerField()


class GpuTypesSerializer(ApiSerializer):
    """What settings offer."""

    gpu_types = GpuTypeSerializer(many=True)


class PodSerializer(ApiSerializer):
    """A process or pod of a job."""

    name = serializers.CharField()
    phase = serializers.CharField()
    node = serializers.CharField()
    pid = serializers.IntegerField(allow_null=True)
    restarts = serializers.IntegerField()
    message = serializers.CharField()


class LogSerializer(ApiSerializer):
    """The end of a log."""

    job_id = serializers.UUIDField()
    attempt = serializers.IntegerField(allow_null=True)
    lines = serializers.ListField(child=serializers.CharField())
