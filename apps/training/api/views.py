"""`/training`: views translate, services decide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.response import Response

from apps.compute.services import workload_pods
from apps.core.api.schema import api_schema
from apps.core.api.views import ApiRequest, ApiView
from apps.core.errors import ValidationFailed
from apps.training import experiments, selectors, services
from apps.training.api import serializers as shapes
from apps.training.filters import JobFilter
from apps.training.models import TrainingJob
from apps.training.types import JobRequest


def _job(request: ApiRequest, job: TrainingJob) -> dict[str, Any]:
    fresh = selectors.job_get(actor=request.user, job_id=job.pk)
    return dict(shapes.JobSerializer(fresh, context={"request": request}).data)


class GpuTypesView(ApiView):
    """Kinds of GPU that jobs may ask for."""

    @api_schema(summary="GPU types that settings offer", responses=shapes.GpuTypesSerializer)
    def get(self, request: ApiRequest) -> Response:
        """Most wanted first."""
        self.refuse_unknown(request)
        rows = shapes.GpuTypeSerializer(selectors.gpu_types(), many=True).data
        return self.success({"gpuTypes": rows})


class JobListView(ApiView):
    """All jobs; new ones."""

    @api_schema(
        summary="Training jobs",
        responses=shapes.JobListEnvelopeSerializer,
        filterset=JobFilter,
        params=("limit", "offset"),
    )
    def get(self, request: ApiRequest) -> Response:
        """Those that exist for the caller, newest first."""
        visible = selectors.jobs_visible_to(request.user)
        return self.page(request, visible, shapes.JobSerializer, filterset=JobFilter, wrap=lambda rows: {"jobs": rows})

    @api_schema(summary="Submit a training job", request=shapes.JobSubmitSerializer, responses=shapes.JobSerializer)
    def post(self, request: ApiRequest) -> Response:
        """It is queued and starts by itself."""
        fields = self.validated(shapes.JobSubmitSerializer, request)
        values = {name: value for name, value in fields.items() if value is not None}
        job = services.job_submit(actor=request.user, request=JobRequest(**values))
        warned = f" Note: {' '.join(job.warnings)}" if job.warnings else ""
        return self.success(_job(request, job), f"Training job {job} is queued.{warned}")


class JobDetailView(ApiView):
    """One job."""

    @api_schema(summary="One training job", responses=shapes.JobSerializer)
    def get(self, request: ApiRequest, job_id: str) -> Response:
        """As it is now."""
        self.refuse_unknown(request)
        return self.success(_job(request, selectors.job_get(actor=request.user, job_id=job_id)))

    @api_schema(summary="Cancel a training job", responses=shapes.JobSerializer)
    def delete(self, request: ApiRequest, job_id: str) -> Response:
        """Its process is ended; what it recorded stays."""
        job = services.job_cancel(actor=request.user, job_id=job_id)
        return self.success(_job(request, job), f"Training job {job} is cancelled.")


class JobResubmitView(ApiView):
    """Again, with changes."""

    @api_schema(
        summary="Submit an ended job again", request=shapes.JobResubmitSerializer, responses=shapes.JobSerializer
    )
    def post(self, request: ApiRequest, job_id: str) -> Response:
        """A new job; a queued one that waits for a GPU is cancelled by it."""
        changes = self.validated(shapes.JobResubmitSerializer, request)
        job = services.job_resubmit(actor=request.user, job_id=job_id, changes=changes)
        return self.success(_job(request, job), f"Training job {job} is queued.")


class JobPodsView(ApiView):
    """Processes or pods."""

    @api_schema(summary="Processes or pods of a job", responses=shapes.PodSerializer, many=True)
    def get(self, request: ApiRequest, job_id: str) -> Response:
        """Of its newest attempt."""
        self.refuse_unknown(request, {"limit", "offset"})
        job = selectors.job_get(actor=request.user, job_id=job_id)
        attempt = services.attempt_shown(job)
        pods = workload_pods(attempt.workload) if attempt is not None and attempt.workload is not None else []
        return self.success(shapes.PodSerializer(pods, many=True).data)


class JobLogsView(ApiView):
    """What the job wrote."""

    query_params = frozenset({"tail", "follow", "attempt"})

    @api_schema(
        summary="The end of a job's log; with follow=true the log as it grows, as plain text",
        responses=shapes.LogSerializer,
        params=("tail", "follow", "attempt"),
    )
    def get(self, request: ApiRequest, job_id: str) -> HttpResponseBase:
        """Of the newest attempt, or of the numbered one."""
        self.refuse_unknown(request)
        job = selectors.job_get(actor=request.user, job_id=job_id)
        follow = self.param(request, "follow", str, "false").lower()
        if follow not in ("true", "false"):
            raise ValidationFailed.field("follow", "invalid", "follow must be true or false.")
        if follow == "true":
            answer = StreamingHttpResponse(services.job_log_stream(job), content_type="text/plain; charset=utf-8")
            answer["Cache-Control"] = "no-store"
            answer["X-Accel-Buffering"] = "no"
            return answer
        number = self.param(request, "attempt", int, 0)
        attempt = services.attempt_shown(job, number or None)
        lines = services.job_log_tail(job, self.param(request, "tail", int, 200), attempt)
        return self.success({"jobId": str(job.pk), "attempt": attempt.number if attempt else None, "lines": lines})


class JobRegisterModelView(ApiView):
    """The output as a catalog model."""

    @api_schema(
        summary="Register a job's output model",
        request=shapes.RegisterModelSerializer,
        responses=shapes.RegisteredModelSerializer,
    )
    def post(self, request: ApiRequest, job_id: str) -> Response:
        """Where it was not registered by itself; twice gives the same model."""
        fields = self.validated(shapes.RegisterModelSerializer, request)
        model, fresh = services.job_register_model(
            actor=request.user, job_id=job_id, name=fields["name"] or "", version=fields["version"] or ""
        )
        job = selectors.job_get(actor=request.user, job_id=job_id)
        answer = {
            "job_id": job.pk,
            "model_id": model.pk,
            "name": model.name,
            "version": model.version,
            "storage_uri": job.output_storage_uri,
        }
        text = f"Model {model} is {'registered as a draft' if fresh else 'registered already'}."
        return self.success(shapes.RegisteredModelSerializer(answer).data, text)


class JobMetricsView(ApiView):
    """Metrics of a job, sent by the job itself or by a person."""

    @api_schema(
        summary="Record one metric or a batch",
        request=shapes.MetricInputSerializer,
        responses=shapes.MetricsTakenSerializer,
    )
    def post(self, request: ApiRequest, job_id: str) -> Response:
        """A batch is taken whole or not at all."""
        body = request.data
        if not isinstance(body, Mapping):
            raise ValidationFailed("Send a metric, or an object with the list metrics.", code="bad_json")
        single = "metrics" not in body
        metrics = [body] if single else body["metrics"]
        if not isinstance(metrics, list):
            raise ValidationFailed.field("metrics", "invalid", "metrics must be a list.")
        recorded = services.metrics_record(actor=request.user, job_id=job_id, metrics=metrics, single=single)
        return self.success({"recorded": recorded}, f"{recorded} metric{'s' if recorded != 1 else ''} recorded.")


class ExperimentView(ApiView):
    """What a job recorded."""

    query_params = frozenset({"name", "max_points"})

    @api_schema(
        summary="An experiment: record and metrics", responses=shapes.ExperimentSerializer, params=("name", "maxPoints")
    )
    def get(self, request: ApiRequest, job_id: str) -> Response:
        """Ordered by name and step; down-sampled to `maxPoints` per name with the extremes kept."""
        self.refuse_unknown(request)
        job = selectors.job_get(actor=request.user, job_id=job_id)
        name = self.param(request, "name", str, "")
        rows = experiments.metrics_of(job, name=name, max_points=self.param(request, "max_points", int, 0))
        record = job.experiment
        base = {"id": str(job.model_id), "name": record.base_model, "digest": record.base_model_digest}
        return self.success(
            {
                "jobId": str(job.pk),
                "status": job.status,
                "parameters": record.parameters,
                "environment": record.environment,
                "codeVersion": record.code_version,
                "dataset": {
                    "id": str(job.dataset_id),
                    "name": record.dataset_name,
                    "version": record.dataset_version,
                    "digest": record.dataset_digest,
                },
                "baseModel": base if job.model_id else None,
                "finalMetrics": record.final_metrics,
                "artifacts": record.artifacts,
                "metrics": [shapes.metric_row(row) for row in rows.iterator(chunk_size=5000)],
            }
        )


class ExperimentSearchView(ApiView):
    """Among what one may see."""

    @api_schema(
        summary="Search experiments",
        request=shapes.ExperimentSearchSerializer,
        responses=shapes.ExperimentHitSerializer,
        many=True,
    )
    def post(self, request: ApiRequest) -> Response:
        """By name and by clauses over parameters, metrics and attributes."""
        fields = self.validated(shapes.ExperimentSearchSerializer, request)
        order = fields.get("order_by") or ""
        if isinstance(order, list):
            order = order[0] if order else ""
        if not isinstance(order, str):
            raise ValidationFailed.field("orderBy", "invalid", "orderBy must be a text, or a list of one.")
        found = experiments.experiments_search(
            selectors.jobs_visible_to(request.user),
            name=fields["experiment_name"] or "",
            filter_string=fields["filter_string"] or "",
            order_by=order,
        )
        rows = found[: fields["max_results"]]
        return self.success(shapes.ExperimentHitSerializer(rows, many=True, context={"request": request}).data)
