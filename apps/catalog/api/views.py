"""``/catalog/models``: translation between HTTP and the services."""

from __future__ import annotations

from typing import Any

from rest_framework.response import Response

from apps.catalog import selectors, services
from apps.catalog.api import serializers as shapes
from apps.catalog.filters import ModelFilter
from apps.catalog.models import ModelEntry
from apps.core.api.parsers import UploadParser
from apps.core.api.schema import api_schema
from apps.core.api.views import ApiRequest, ApiView
from apps.core.errors import NotFound, ValidationFailed
from apps.core.versions import InvalidVersion, version_key


class ModelApiView(ApiView):
    """Answers with one model, read again so that it says what is stored."""

    def answer(self, request: ApiRequest, model: ModelEntry, message: str = "") -> Response:
        """The model in the envelope."""
        fresh = selectors.model_get(actor=request.user, model_id=model.pk)
        return self.success(shapes.ModelSerializer(fresh, context={"request": request}).data, message)


class ModelListView(ModelApiView):
    """All visible models."""

    @api_schema(summary="Models", responses=shapes.ModelSerializer, many=True, filterset=ModelFilter)
    def get(self, request: ApiRequest) -> Response:
        """Filtered, newest first."""
        queryset = selectors.models_visible_to(request.user)
        return self.page(request, queryset, shapes.ModelSerializer, filterset=ModelFilter)

    @api_schema(summary="Register a model", request=shapes.ModelCreateSerializer, responses=shapes.ModelSerializer)
    def post(self, request: ApiRequest) -> Response:
        """As a draft."""
        data = self.validated(shapes.ModelCreateSerializer, request)
        data["model_family"] = data["model_family"] or ""
        data["status"] = services.STATUS_SPELLINGS.get(data["status"], data["status"])
        model = services.model_create(actor=request.user, **data)
        return self.answer(request, model, f"Model {model} created.")


class ModelDetailView(ModelApiView):
    """One model."""

    @api_schema(summary="A model", responses=shapes.ModelSerializer)
    def get(self, request: ApiRequest, model_id: str) -> Response:
        """With files, lineage and evaluation summary."""
        self.refuse_unknown(request)
        model = selectors.model_get(actor=request.user, model_id=model_id)
        return self.success(shapes.ModelSerializer(model, context={"request": request}).data)

    @api_schema(summary="Change a model", request=shapes.ModelUpdateSerializer, responses=shapes.ModelSerializer)
    def patch(self, request: ApiRequest, model_id: str) -> Response:
        """What is not sent stays; a change to an approved model lets its approval lapse."""
        before = selectors.model_get(actor=request.user, model_id=model_id).status
        data = self.validated(shapes.ModelUpdateSerializer, request)
        model = services.model_update(actor=request.user, model_id=model_id, **data)
        lapsed = " Its approval has lapsed; submit it again." if before == "approved" != model.status else ""
        return self.answer(request, model, f"Model {model} changed.{lapsed}")

    @api_schema(summary="Delete a model and its files")
    def delete(self, request: ApiRequest, model_id: str) -> Response:
        """409 with the list of blockers while something needs it."""
        services.model_delete(actor=request.user, model_id=model_id)
        return self.success(None, "The model and its files are deleted.")


class ModelStatusView(ModelApiView):
    """The status, changed by the step that leads there."""

    query_params = frozenset({"status", "notes"})

    @api_schema(
        summary="Change a model's status",
        request=shapes.ModelStatusSerializer,
        responses=shapes.ModelSerializer,
        params=("status", "notes"),
    )
    def patch(self, request: ApiRequest, model_id: str) -> Response:
        """``{"status"}`` in the body or ``?status=``."""
        self.refuse_unknown(request)
        data = self.validated(shapes.ModelStatusSerializer, request)
        status = data.get("status") or self.param(request, "status", str, "")
        notes = data.get("notes") or self.param(request, "notes", str, "")
        if not status:
            raise ValidationFailed.field("status", "required", "Say which status the model should have.")
        model = services.model_set_status(
            actor=request.user,
            model_id=model_id,
            status=status,
            notes=notes,
            successor_id=data.get("successor_id"),
        )
        return self.answer(request, model, f"Model {model} is {model.status}.")


class ModelUploadView(ApiView):
    """Files of a model."""

    parser_classes = (UploadParser,)

    @api_schema(summary="Upload files of a model", multipart=True, responses=shapes.UploadSerializer)
    def post(self, request: ApiRequest, model_id: str) -> Response:
        """All or none; the scan starts by itself."""
        model = services.model_require_uploadable(actor=request.user, model_id=model_id)
        files: list[Any] = request.FILES.getlist("files")
        result = services.model_upload(actor=request.user, model_id=model.pk, files=files)
        return self.success(
            shapes.UploadSerializer(result).data, f"{len(result.files)} file(s) stored; the safety scan has started."
        )


class ModelFileView(ModelApiView):
    """One file of a draft."""

    @api_schema(summary="Remove a file of a draft", responses=shapes.ModelSerializer)
    def delete(self, request: ApiRequest, model_id: str, filename: str) -> Response:
        """What is left is scanned again."""
        model = services.model_file_delete(actor=request.user, model_id=model_id, filename=filename)
        return self.answer(request, model, f"{filename} removed.")


class ModelScanView(ModelApiView):
    """The safety scan."""

    @api_schema(summary="Scan a model's files again", responses=shapes.ModelSerializer)
    def post(self, request: ApiRequest, model_id: str) -> Response:
        """Runs in the background."""
        model = services.model_rescan(actor=request.user, model_id=model_id)
        return self.answer(request, model, "The safety scan has started.")


class ModelVersionsView(ApiView):
    """Versions of the same model."""

    @api_schema(summary="Versions of a model", responses=shapes.ModelSerializer, many=True)
    def get(self, request: ApiRequest, model_id: str) -> Response:
        """Newest version first."""
        model = selectors.model_get(actor=request.user, model_id=model_id)
        return self.page(request, selectors.model_versions(actor=request.user, model=model), shapes.ModelSerializer)


class ModelApproveView(ModelApiView):
    """A decision about one version."""

    @api_schema(summary="Decide about a version", request=shapes.DecisionSerializer, responses=shapes.ModelSerializer)
    def post(self, request: ApiRequest, model_id: str, version: str) -> Response:
        """approve, reject or request_changes; nobody decides about their own."""
        model = selectors.model_get(actor=request.user, model_id=model_id)
        data = self.validated(shapes.DecisionSerializer, request)
        try:
            key = version_key(version)
        except InvalidVersion as error:
            raise NotFound(f"{model.name} has no version {version[:64]}.") from error
        wanted = selectors.model_version_named(actor=request.user, model=model, version_key=key)
        if wanted is None:
            raise NotFound(f"{model.name} has no version {version[:64]}.")
        decided = services.model_decide(actor=request.user, model_id=wanted.pk, **data)
        return self.answer(request, decided, f"Model {decided} is {decided.status}.")


class ModelCompareView(ApiView):
    """Two models side by side."""

    @api_schema(summary="Compare two models", responses=shapes.ComparisonSerializer)
    def get(self, request: ApiRequest, model_id: str, other_id: str) -> Response:
        """Metadata, card, files, facts, metrics, lineage."""
        self.refuse_unknown(request)
        left = selectors.model_get(actor=request.user, model_id=model_id)
        right = selectors.model_get(actor=request.user, model_id=other_id)
        comparison = selectors.model_comparison(actor=request.user, left=left, right=right)
        rows = {"left": left, "right": right, "comparison": comparison}
        return self.success(shapes.ComparisonSerializer(rows).data)
