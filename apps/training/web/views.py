"""Pages of training. They ask selectors and services and decide nothing."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import reverse
from django.views.generic import View

from apps.core.errors import ValidationFailed
from apps.core.permissions import can
from apps.core.web.http import wants_fragment
from apps.core.web.views import ActorMixin, ServiceActionView, ServiceFormView, VisibleDetailView, VisibleListView
from apps.training import experiments, selectors, services
from apps.training.filters import JobFilter
from apps.training.forms import JobForm, initial_from
from apps.training.models import TrainingJob
from apps.training.types import JOB_ACTIVE, JobStatus
from apps.training.web.present import charts_of, flat, state_of

FIELD_NAMES = {
    "hyperparameters.architecture": "architecture",
    "hyperparameters.lora.r": "lora_r",
    "hyperparameters.lora.alpha": "lora_alpha",
    "resourceProfile.gpuCount": "gpu_count",
    "resourceProfile.gpuType": "gpu_type",
    "resourceProfile.nodes": "nodes",
    "resourceProfile.cpuCores": "cpu_cores",
    "resourceProfile.memory": "memory",
    "resourceProfile.maxDuration": "max_duration",
    "retryPolicy.maxRetries": "max_retries",
    "retryPolicy.backoffSeconds": "backoff_seconds",
    **{
        f"hyperparameters.{name}": name
        for name in (
            "method", "learning_rate", "num_epochs", "max_steps", "batch_size", "max_seq_len", "precision", "seed",
        )
    },
}  # fmt: skip


class JobListView(VisibleListView):
    """All jobs that exist for the person; asks again while any of those shown is active."""

    template_name = "training/job_list.html"
    filterset_class = JobFilter

    def get_visible(self) -> QuerySet[TrainingJob]:
        """Through the selector."""
        return selectors.jobs_visible_to(self.actor)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Adds whether one may submit and whether to ask again."""
        context = super().get_context_data(**kwargs)
        context["may_submit"] = can(self.actor, "training_job.submit")
        context["any_active"] = any(job.status in JOB_ACTIVE for job in context["object_list"])
        return context


class JobDetailView(VisibleDetailView):
    """One job: state, timeline, metrics, log."""

    template_name = "training/job_detail.html"
    fragments = ("state",)
    context_object_name = "job"

    def get_object(self) -> TrainingJob:
        """Through the selector."""
        return selectors.job_get(actor=self.actor, job_id=self.kwargs["pk"])

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Once it has ended, the whole page is fetched anew: buttons and links have changed."""
        response = super().get(request, *args, **kwargs)
        if wants_fragment(request) and request.headers.get("HX-Target") == "state" and not self.live:
            response.headers["HX-Refresh"] = "true"
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """State always; buttons and charts for the whole page."""
        context = super().get_context_data(**kwargs)
        job: TrainingJob = self.object
        context |= state_of(job)
        self.live = bool(context["live"])
        context |= {
            "charts": charts_of(job),
            "experiment": job.experiment,
            "may_cancel": job.is_active and can(self.actor, "training_job.cancel", job),
            "may_resubmit": job.status != JobStatus.RUNNING and can(self.actor, "training_job.resubmit", job),
            "may_register": bool(job.output_key)
            and job.output_model_id is None
            and can(self.actor, "training_job.change", job),
        }
        return context


class JobCreateView(ServiceFormView):
    """Submit a job, or an earlier one again with changes (`?from=`)."""

    template_name = "training/job_form.html"
    form_class = JobForm
    field_names = FIELD_NAMES
    success_message = "The job is queued."

    @property
    def source(self) -> TrainingJob | None:
        """The job to submit again."""
        key = self.request.GET.get("from", "")
        return selectors.job_get(actor=self.actor, job_id=key) if key else None

    def get_form_kwargs(self) -> dict[str, Any]:
        """The pickers need to know for whom."""
        return {**super().get_form_kwargs(), "actor": self.actor}

    def get_initial(self) -> dict[str, Any]:
        """From the source, else from the links that lead here (`?model=`, `?dataset=`)."""
        source = self.source
        if source is not None:
            return initial_from(source)
        query = self.request.GET
        return {"model_id": query.get("model", ""), "dataset_id": query.get("dataset", "")}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Adds the source."""
        return {**super().get_context_data(**kwargs), "source": self.source}

    def perform(self, form: JobForm) -> TrainingJob:
        """Submit."""
        source = self.source
        if source is None:
            return services.job_submit(actor=self.actor, request=form.request())
        sent = form.request()
        changes = {name: getattr(sent, name) for name in sent.__dataclass_fields__ if name not in KEPT}
        return services.job_resubmit(actor=self.actor, job_id=source.pk, changes=changes)

    def get_success_url(self) -> str:
        """The new job's page."""
        return reverse("training:job-detail", args=[self.result.pk])


# What the form does not show is taken over from the source.
KEPT = ("notifications", "api_base_url", "train_job_spec")


class JobCancelView(ServiceActionView):
    """The cancel button."""

    success_message = "The job is cancelled; its process is being ended."
    failure_url = "/training/"

    def perform(self) -> TrainingJob:
        """Cancel."""
        return services.job_cancel(actor=self.actor, job_id=self.kwargs["pk"])


class JobRegisterView(ServiceActionView):
    """The button that registers the kept output."""

    success_message = "The output is registered as a draft model."
    failure_url = "/training/"

    def perform(self) -> Any:
        """Register."""
        return services.job_register_model(actor=self.actor, job_id=self.kwargs["pk"])


class JobLogView(ActorMixin, View):
    """A piece of a job's log as JSON, for the live view (`static/js/log.js`)."""

    http_method_names = ["get", "head", "options"]

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> JsonResponse:
        """Of the newest attempt, or of `?attempt=`."""
        job = selectors.job_get(actor=self.actor, job_id=self.kwargs["pk"])
        offset = _whole(request, "offset", 0)
        attempt = services.attempt_shown(job, _whole(request, "attempt", 0) or None)
        chunk, active = services.job_log_read(job, offset, attempt)
        body = {"text": chunk.text, "offset": chunk.offset, "nextOffset": chunk.next_offset, "active": active}
        return JsonResponse(body, headers={"Cache-Control": "no-store"})


class JobChartView(ActorMixin, View):
    """Series of metrics, in the shape of `static/js/charts.js`."""

    http_method_names = ["get", "head", "options"]

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> JsonResponse:
        """Those named by `?name=` (repeatable), down-sampled."""
        job = selectors.job_get(actor=self.actor, job_id=self.kwargs["pk"])
        names = request.GET.getlist("name")[:20]
        series = list(experiments.series_of(job, names))
        return JsonResponse({"series": series, "xLabel": "step", "active": job.is_active})


class ExperimentDetailView(VisibleDetailView):
    """The experiment record: what it takes to repeat and to judge the job."""

    template_name = "training/experiment_detail.html"
    context_object_name = "job"

    def get_object(self) -> TrainingJob:
        """Through the selector."""
        return selectors.job_get(actor=self.actor, job_id=self.kwargs["pk"])

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Adds record and charts."""
        context = super().get_context_data(**kwargs)
        job: TrainingJob = self.object
        record = job.experiment
        return context | {
            "record": record,
            "charts": charts_of(job),
            "hyperparameters": list(flat(record.parameters.get("hyperparameters", {}))),
            "architecture": list(flat(record.parameters.get("architecture") or {})),
            "packages": sorted(record.environment.get("packages", {}).items()),
            "final": sorted(record.final_metrics.items()),
        }


class _Echo:
    """A file that hands back what is written to it."""

    def write(self, value: str) -> str:
        return value


class ExperimentCsvView(ActorMixin, View):
    """All metrics of a job as a CSV file."""

    http_method_names = ["get", "head", "options"]

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> StreamingHttpResponse:
        """Streamed, so that a million rows need no memory."""
        job = selectors.job_get(actor=self.actor, job_id=self.kwargs["pk"])
        response = StreamingHttpResponse(_csv(experiments.metrics_of(job)), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="metrics-{job.pk}.csv"'
        return response


def _csv(rows: QuerySet[Any]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(["name", "step", "value", "unit", "recordedAt"])
    for row in rows.iterator(chunk_size=2000):
        # A name that a spreadsheet would run as a formula is kept from doing so.
        name = f"'{row.name}" if row.name[:1] in "=+-@" else row.name
        yield writer.writerow([name, row.step, row.value, row.unit, row.recorded_at.isoformat()])


def _whole(request: HttpRequest, name: str, default: int) -> int:
    try:
        value = int(request.GET.get(name, default))
    except ValueError as error:
        raise ValidationFailed.field(name, "invalid", f"{name} must be a whole number.") from error
    if abs(value) > 2**62:
        raise ValidationFailed.field(name, "invalid", f"{name} is too large.")
    return value
