"""``/evaluation``: views translate, services decide."""

from __future__ import annotations

from typing import Any

from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.response import Response

from apps.core.api.schema import api_schema
from apps.core.api.views import ApiRequest, ApiView
from apps.core.errors import GateRefused, ValidationFailed
from apps.evaluation import selectors, services
from apps.evaluation.api import serializers as shapes
from apps.evaluation.filters import RunFilter
from apps.evaluation.services import ReviewInput
from apps.evaluation.types import RUN_ACTIVE

NOT_YET = {
    "prompt_template_id": "promptTemplateId: prompt templates are not available in evaluations yet; leave it out.",
    "endpoint_id": "endpointId: endpoints cannot be evaluated yet; name the model and leave endpointId out.",
    "judge": "judge: LLM judges are not available yet; start an automated, human or combined run.",
}


def refuse_not_available(data: dict[str, Any]) -> None:
    """What the contract knows and this version cannot do is refused by name, never ignored."""
    for name, message in NOT_YET.items():
        if data.get(name):
            raise GateRefused.field(message.partition(":")[0], "not_available", message)


class RunListView(ApiView):
    """All runs; new ones."""

    @api_schema(summary="Evaluation runs", responses=shapes.RunSerializer, many=True, filterset=RunFilter)
    def get(self, request: ApiRequest) -> Response:
        """Those that exist for the caller, newest first."""
        visible = selectors.runs_visible_to(request.user)
        return self.page(request, visible, shapes.RunSerializer, filterset=RunFilter)

    @api_schema(
        summary="Start an evaluation", request=shapes.RunStartSerializer, responses=shapes.StartedRunsSerializer
    )
    def post(self, request: ApiRequest) -> Response:
        """Accepted at once; poll ``status``."""
        data = {
            key: value for key, value in self.validated(shapes.RunStartSerializer, request).items() if value is not None
        }
        refuse_not_available(data)
        one, many = data.pop("model_id", None), data.pop("model_ids", None)
        if (one is None) == (many is None):
            raise ValidationFailed.field("modelId", "required", "Name either modelId or modelIds.")
        for name in NOT_YET:
            data.pop(name, None)
        runs = services.runs_start(actor=request.user, model_ids=many or [one], **data)
        first = selectors.run_get(actor=request.user, run_id=runs[0].pk)
        context = {"request": request, "runs": runs}
        message = "Evaluation started." if len(runs) == 1 else f"{len(runs)} evaluations started."
        return self.success(shapes.StartedRunsSerializer(first, context=context).data, message)


class RunDetailView(ApiView):
    """One run."""

    @api_schema(summary="An evaluation run", responses=shapes.RunDetailSerializer)
    def get(self, request: ApiRequest, run_id: str) -> Response:
        """With samples, timeline and earlier runs."""
        run = selectors.run_get(actor=request.user, run_id=run_id)
        return self.success(shapes.RunDetailSerializer(run, context={"request": request}).data)

    @api_schema(summary="Cancel an active run, or delete an ended one")
    def delete(self, request: ApiRequest, run_id: str) -> Response:
        """An active run is cancelled and stays as a record; an ended one goes."""
        run = selectors.run_get(actor=request.user, run_id=run_id)
        if run.status in RUN_ACTIVE:
            services.run_cancel(actor=request.user, run_id=run.pk)
            return self.success(None, "The evaluation is cancelled.")
        services.run_delete(actor=request.user, run_id=run.pk)
        return self.success(None, "The evaluation is deleted.")


class RunSamplesView(ApiView):
    """The samples of a run."""

    @api_schema(summary="Samples of a run", responses=shapes.SampleSerializer, many=True)
    def get(self, request: ApiRequest, run_id: str) -> Response:
        """In the dataset's order, paged."""
        run = selectors.run_get(actor=request.user, run_id=run_id)
        return self.page(request, selectors.samples_of(run), shapes.SampleSerializer)


class RunReviewView(ApiView):
    """Human reviews."""

    @api_schema(summary="Review samples", request=shapes.HumanReviewSerializer, responses=shapes.RunDetailSerializer)
    def post(self, request: ApiRequest, run_id: str) -> Response:
        """One review, or several at once; all are taken or none."""
        data = self.validated(shapes.HumanReviewSerializer, request)
        several = data.get("reviews")
        if (several is None) == (data.get("sample_id") is None):
            raise ValidationFailed.field("sampleId", "required", "Send either sampleId with scores, or reviews.")
        rows = several if several is not None else [data]
        reviews = [ReviewInput(row["sample_id"], row.get("scores") or {}, row.get("comment") or "") for row in rows]
        run = services.reviews_submit(actor=request.user, run_id=run_id, reviews=reviews)
        fresh = selectors.run_get(actor=request.user, run_id=run.pk)
        message = f"{len(reviews)} review(s) taken."
        return self.success(shapes.RunDetailSerializer(fresh, context={"request": request}).data, message)


class RunJudgeView(ApiView):
    """Judgement by models."""

    @api_schema(summary="Have models judge a run (not available yet)", request=shapes.JudgeSerializer)
    def post(self, request: ApiRequest, run_id: str) -> Response:
        """Checked, then refused by name."""
        selectors.run_get(actor=request.user, run_id=run_id)
        self.validated(shapes.JudgeSerializer, request)
        raise GateRefused.field("judge", "not_available", NOT_YET["judge"])


class RunCompareView(ApiView):
    """Two runs on the same benchmark."""

    query_params = frozenset({"run_ids"})

    @api_schema(summary="Compare two runs", responses=shapes.RunComparisonSerializer, params=("runIds",))
    def get(self, request: ApiRequest) -> Response:
        """``runIds=a,b``: B against the baseline A."""
        self.refuse_unknown(request)
        ids = [part.strip() for part in self.param(request, "run_ids", str, "").split(",") if part.strip()]
        comparison = services.runs_compare(actor=request.user, run_ids=ids)
        return self.success(shapes.RunComparisonSerializer(comparison).data)


class RunExportView(ApiView):
    """A run as a file."""

    query_params = frozenset({"format"})

    @api_schema(summary="Export a run", params=("format",), binary=True)
    def get(self, request: ApiRequest, run_id: str) -> HttpResponseBase:
        """``format=json`` (default) or ``csv``."""
        self.refuse_unknown(request)
        format_ = self.param(request, "format", str, "json")
        name, content_type, chunks = services.run_export(actor=request.user, run_id=run_id, format_=format_)
        response = StreamingHttpResponse((chunk.encode() for chunk in chunks), content_type=content_type)
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response


class ReviewQueueView(ApiView):
    """What waits for the caller's review."""

    @api_schema(summary="My review queue", responses=shapes.WaitingSampleSerializer, many=True)
    def get(self, request: ApiRequest) -> Response:
        """Shuffled within each run; the model is not named."""
        return self.page(request, selectors.reviews_waiting(request.user), shapes.WaitingSampleSerializer)
