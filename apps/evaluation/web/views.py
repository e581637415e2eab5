"""Pages of evaluation. They ask selectors and services and decide nothing."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.db.models import Count, QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.views.generic import TemplateView, View

from apps.catalog.selectors import models_visible_to
from apps.core.permissions import can
from apps.core.web.http import go_to
from apps.core.web.views import ActorMixin, ServiceActionView, ServiceFormView, VisibleDetailView, VisibleListView
from apps.datasets.selectors import datasets_visible_to
from apps.evaluation import selectors, services
from apps.evaluation.filters import RunFilter
from apps.evaluation.forms import METRIC_LABELS, ReviewForm, RunForm
from apps.evaluation.models import EvaluationRun, EvaluationSample
from apps.evaluation.rubric import Rubric
from apps.evaluation.services import ReviewInput
from apps.evaluation.types import RUN_WORKING, WITH_METRICS, WITH_REVIEW, RunStatus, RunType
from workers.contracts import DEFAULT_METRICS, Metric

SAMPLES_PER_PAGE = 20
_NO_FRACTIONS = frozenset({Metric.BLEU.value, Metric.PERPLEXITY.value})
"""They have scales of their own and stay out of the charts from 0 to 1."""
_LABELS = {metric.value: label for metric, label in METRIC_LABELS.items()}


def metric_rows(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """Metrics in their usual order with labels."""
    order = [name for name in _LABELS if name in metrics]
    order += [name for name in metrics if name not in _LABELS]
    return [{"name": name, "label": _LABELS.get(name, name.replace("_", " ")), **metrics[name]} for name in order]


class RunListView(VisibleListView):
    """All runs that exist for the person."""

    template_name = "evaluation/run_list.html"
    filterset_class = RunFilter
    shown_filters = ("q", "run_type", "status", "owner_team", "since", "until")
    selector = staticmethod(selectors.runs_visible_to)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Adds whether anything is going on, and what waits for the person."""
        context = super().get_context_data(**kwargs)
        context["any_active"] = any(run.status in RUN_WORKING for run in context["object_list"])
        context["may_start"] = can(self.actor, "evaluation_run.start")
        context["waiting"] = selectors.reviews_waiting(self.actor).count()
        return context


class RunDetailView(VisibleDetailView):
    """Everything about one run."""

    template_name = "evaluation/run_detail.html"
    fragments = ("progress", "samples")
    context_object_name = "run"

    def get_object(self) -> EvaluationRun:
        """Through the selector."""
        return selectors.run_get(actor=self.actor, run_id=self.kwargs["pk"])

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Only what the asked part needs."""
        context = super().get_context_data(**kwargs)
        run: EvaluationRun = self.object
        target = self.request.headers.get("HX-Target", "")
        if target != "samples":
            context |= self._progress(run)
        if target != "progress":
            context["page_obj"] = Paginator(selectors.samples_of(run), SAMPLES_PER_PAGE).get_page(
                self.request.GET.get("page")
            )
        if target not in self.fragments:
            context |= self._rest(run)
        return context

    def _progress(self, run: EvaluationRun) -> dict[str, Any]:
        workload = selectors.run_workload(run)
        return {
            "progress": selectors.run_progress(run),
            "reviews": selectors.review_progress(run),
            "workload": workload,
            "partial": self.request.headers.get("HX-Target") == "progress",
            "may_review": run.awaits_review and selectors.may_review(self.actor, run),
        }

    def _url(self, name: str, visible: QuerySet[Any], pk: UUID) -> str:
        """The page of something that belongs to the run, if the person may open it."""
        return reverse(name, args=[pk]) if visible.filter(pk=pk).exists() else ""

    def _rest(self, run: EvaluationRun) -> dict[str, Any]:
        rows = metric_rows(run.metrics)
        fractions = [row for row in rows if "low" in row and row["high"] <= 1 and row["name"] not in _NO_FRACTIONS]
        may_end = can(self.actor, "evaluation_run.cancel", run)
        return {
            "metric_rows": rows,
            "model_url": self._url("catalog:model-detail", models_visible_to(self.actor), run.model_id),
            "dataset_url": self._url("datasets:dataset-detail", datasets_visible_to(self.actor), run.dataset_id),
            "chart": {
                "categories": [row["label"] for row in fractions],
                "series": [
                    {
                        "name": str(run.model),
                        "values": [row["value"] for row in fractions],
                        "low": [row["low"] for row in fractions],
                        "high": [row["high"] for row in fractions],
                    }
                ],
            }
            if fractions
            else None,
            "agreement_rows": sorted(run.agreement.items()),
            "rubric": Rubric.stored(run.rubric) if run.rubric else None,
            "previous": selectors.runs_previous(actor=self.actor, run=run)[:8],
            "comparable": selectors.runs_comparable(actor=self.actor, run=run)[:20],
            "may_cancel": may_end and (run.status in RUN_WORKING or run.awaits_review),
            "may_delete": can(self.actor, "evaluation_run.delete", run)
            and run.status not in RUN_WORKING
            and not run.awaits_review,
            "may_start_review": run.status == RunStatus.SUCCEEDED
            and run.run_type in WITH_METRICS
            and can(self.actor, "evaluation_run.start", team=run.team),
        }


class RunCreateView(ServiceFormView):
    """Start a run."""

    template_name = "evaluation/run_form.html"
    form_class = RunForm
    field_names = {"modelId": "model", "datasetId": "dataset"}
    success_message = "The evaluation has started."

    def get_initial(self) -> dict[str, Any]:
        """What the link that led here already knows."""
        initial = super().get_initial()
        known = ("model", "dataset", "run_type")
        return initial | {name: self.request.GET[name] for name in known if self.request.GET.get(name)}

    def get_form_kwargs(self) -> dict[str, Any]:
        """The form offers what the person may see."""
        return {**super().get_form_kwargs(), "actor": self.actor}

    def perform(self, form: Any) -> EvaluationRun:
        """Rubric and metrics go along only where the type wants them."""
        data = form.cleaned_data
        kind = data["run_type"]
        return services.run_start(
            actor=self.actor,
            model_id=data["model"].pk,
            dataset_id=data["dataset"].pk,
            run_type=kind,
            metrics=_chosen(data["metrics"]) if kind in WITH_METRICS else None,
            sample_size=data["sample_size"],
            seed=data["seed"],
            rubric=data["rubric"] if kind in WITH_REVIEW else None,
        )


def _chosen(metrics: list[str]) -> list[str] | None:
    """The boxes as they come ticked are no choice: then the benchmark's own metrics count, where it has some."""
    return None if set(metrics) == {metric.value for metric in DEFAULT_METRICS} else metrics


class RunReviewStartView(ServiceActionView):
    """Open a finished run's outputs for review."""

    success_message = "The review is open."

    def perform(self) -> EvaluationRun:
        """A human run with the default rubric on this run's outputs."""
        source = selectors.run_get(actor=self.actor, run_id=self.kwargs["pk"])
        return services.run_start(
            actor=self.actor,
            model_id=source.model_id,
            dataset_id=source.dataset_id,
            run_type=RunType.HUMAN,
            source_run_id=source.pk,
        )

    def get_success_url(self) -> str:
        """The new run."""
        return str(self.result.get_absolute_url())


class RunCancelView(ServiceActionView):
    """Cancel."""

    success_message = "The evaluation is cancelled."

    def perform(self) -> EvaluationRun:
        """One service."""
        return services.run_cancel(actor=self.actor, run_id=self.kwargs["pk"])


class RunDeleteView(ServiceActionView):
    """Delete."""

    success_message = "The evaluation is deleted."

    def perform(self) -> None:
        """One service."""
        services.run_delete(actor=self.actor, run_id=self.kwargs["pk"])

    def get_success_url(self) -> str:
        """The list."""
        return reverse("evaluation:run-list")


class RunExportView(ActorMixin, View):
    """Download."""

    http_method_names = ["get", "head", "options"]

    def get(self, request: HttpRequest, pk: Any) -> HttpResponseBase:
        """``?format=json|csv``."""
        format_ = request.GET.get("format", "json")
        name, content_type, chunks = services.run_export(actor=self.actor, run_id=pk, format_=format_)
        response = StreamingHttpResponse((chunk.encode() for chunk in chunks), content_type=content_type)
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response


class RunCompareView(ActorMixin, TemplateView):
    """Two runs side by side: ``?runIds=a,b`` (b against a)."""

    template_name = "evaluation/run_compare.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The comparison and its chart."""
        context = super().get_context_data(**kwargs)
        ids = [part.strip() for part in self.request.GET.get("runIds", "").split(",") if part.strip()]
        comparison = services.runs_compare(actor=self.actor, run_ids=ids)
        run_a, run_b = comparison.runs
        rows = [
            {"label": _LABELS.get(entry.metric, entry.metric.replace("_", " ")), "entry": entry}
            for entry in comparison.differences
        ]
        shown = [
            entry
            for entry in comparison.differences
            if max(entry.run_a, entry.run_b) <= 1 and entry.metric not in _NO_FRACTIONS
        ]
        context |= {
            "comparison": comparison,
            "run_a": run_a,
            "run_b": run_b,
            "rows": rows,
            "chart": {
                "categories": [_LABELS.get(entry.metric, entry.metric.replace("_", " ")) for entry in shown],
                "series": [
                    {"name": f"A: {run_a.model}", "values": [entry.run_a for entry in shown]},
                    {"name": f"B: {run_b.model}", "values": [entry.run_b for entry in shown]},
                ],
            }
            if shown
            else None,
        }
        return context


class ReviewListView(ActorMixin, TemplateView):
    """What waits for the person's review, by run; the model stays unnamed."""

    template_name = "evaluation/review_list.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Runs with how many samples each still has for the person."""
        context = super().get_context_data(**kwargs)
        counts = (
            selectors.reviews_waiting(self.actor)
            .order_by()
            .values("run_id", "run__dataset__name", "run__dataset__version", "run__team__name", "run__created_at")
            .annotate(waiting=Count("pk"))
            .order_by("run__created_at")
        )
        context["queues"] = list(counts)
        return context


class ReviewView(ServiceFormView):
    """One sample after the other, blind."""

    template_name = "evaluation/review_form.html"
    form_class = ReviewForm
    fragments = ("form",)
    run: EvaluationRun
    sample: EvaluationSample
    left: int

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Find the run and the next sample; nothing left leads back to the queue."""
        self.run = selectors.run_get(actor=self.actor, run_id=kwargs["pk"])
        waiting = selectors.reviews_waiting(self.actor).filter(run=self.run)
        self.left = waiting.count()
        wanted = _uuid(request.POST.get("sample"))
        # What was on the screen is what is judged, also when another sample has moved to the front.
        sample = waiting.filter(pk=wanted).first() if wanted else waiting.first()
        if sample is None:
            return go_to(request, reverse("evaluation:review-list"), "This sample does not wait for your review.")
        self.sample = sample
        return super().dispatch(request, *args, **kwargs)

    def get_form_kwargs(self) -> dict[str, Any]:
        """Fields come from the rubric."""
        return {**super().get_form_kwargs(), "rubric": Rubric.stored(self.run.rubric)}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The sample and how many are left."""
        return super().get_context_data(**kwargs) | {"run": self.run, "sample": self.sample, "left": self.left}

    def perform(self, form: Any) -> EvaluationRun:
        """One review."""
        review = ReviewInput(self.sample.pk, form.scores(), form.cleaned_data["comment"])
        return services.reviews_submit(actor=self.actor, run_id=self.run.pk, reviews=[review])

    def get_success_url(self) -> str:
        """The next sample, or the queue."""
        if self.left > 1:
            return reverse("evaluation:review-create", args=[self.run.pk])
        return reverse("evaluation:review-list")

    def get_success_message(self) -> str:
        """How far it is."""
        return f"Saved; {self.left - 1} to go." if self.left > 1 else "Saved; that was the last one."


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None
