"""``/catalog/models/import…`` and ``…/export``: translation between HTTP and the services."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponseBase
from rest_framework.response import Response

from apps.catalog import selectors, services
from apps.catalog.api.import_shapes import (
    ConnectionSerializer,
    HubImportSerializer,
    ModelImportSerializer,
    RetrySerializer,
)
from apps.catalog.import_filters import ImportFilter
from apps.catalog.services.bundle_upload import bundle_receive
from apps.core.api.endpoints import OperationSerializer
from apps.core.api.parsers import StrictJSONParser, UploadParser
from apps.core.api.schema import api_schema
from apps.core.api.views import ApiRequest, ApiView
from apps.core.errors import FieldError, ValidationFailed
from apps.core.models import Visibility
from apps.core.web.objects import object_response, text_response

BUNDLE_FIELDS = ("owner_team", "name", "version", "visibility")
BUNDLE_FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "bundle": {"type": "string", "format": "binary"},
        **{name: {"type": "string"} for name in ("ownerTeam", "name", "version", "visibility")},
    },
    "required": ["bundle"],
}


class HubImportView(ApiView):
    """From the Hugging Face Hub, or the mirror that is set."""

    @api_schema(summary="Import a model from the hub", request=HubImportSerializer, responses=ModelImportSerializer)
    def post(self, request: ApiRequest) -> Response:
        """Runs in the background; poll ``/catalog/models/imports/{id}`` or the operation."""
        data = self.validated(HubImportSerializer, request)
        row = services.import_from_hub(actor=request.user, **data)
        return self.success(ModelImportSerializer(row).data, f"The import of {row} has started.")


class ImportView(HubImportView):
    """The same with JSON; a multipart request with a ``bundle`` (or one of ``files``) brings one."""

    parser_classes = (StrictJSONParser, UploadParser)

    @api_schema(
        summary="Import a model from the hub, or from a bundle",
        request={"application/json": HubImportSerializer, "multipart/form-data": BUNDLE_FORM},
        responses=ModelImportSerializer,
    )
    def post(self, request: ApiRequest) -> Response:
        """JSON names a repository of the hub; multipart carries a bundle."""
        if not (request.content_type or "").startswith("multipart/"):
            return super().post(request)
        services.import_require(actor=request.user)
        fields = {name: _text(request.data, name) for name in BUNDLE_FIELDS}
        sent = [*request.FILES.getlist("bundle"), *request.FILES.getlist("files")]
        if len(sent) > 1:
            raise ValidationFailed.field("bundle", "too_many", "Send one bundle at a time.")
        fields["visibility"] = fields["visibility"] or Visibility.TEAM
        row = bundle_receive(actor=request.user, file=next(iter(sent), None), **fields)
        return self.success(ModelImportSerializer(row).data, "The bundle is stored; its import has started.")


def _text(data: Any, name: str) -> str:
    """A form field in either spelling."""
    head, *rest = name.split("_")
    camel = head + "".join(part.title() for part in rest)
    value = data.get(camel, data.get(name, ""))
    if not isinstance(value, str) or "\x00" in value:
        raise ValidationFailed(f"{camel} must be text.", errors=[FieldError(camel, "invalid", "Send text.")])
    return value


class ImportListView(ApiView):
    """Imports of the caller's teams."""

    @api_schema(summary="Imports", responses=ModelImportSerializer, many=True, filterset=ImportFilter)
    def get(self, request: ApiRequest) -> Response:
        """Newest first."""
        rows = services.imports_visible_to(request.user)
        return self.page(request, rows, ModelImportSerializer, filterset=ImportFilter)


class ImportDetailView(ApiView):
    """One import."""

    @api_schema(summary="An import", responses=ModelImportSerializer)
    def get(self, request: ApiRequest, import_id: str) -> Response:
        """How far it is."""
        self.refuse_unknown(request)
        row = services.import_get(actor=request.user, import_id=import_id)
        return self.success(ModelImportSerializer(row).data)

    @api_schema(summary="Cancel an import", responses=ModelImportSerializer)
    def delete(self, request: ApiRequest, import_id: str) -> Response:
        """409 when it is over."""
        row = services.import_cancel(actor=request.user, import_id=import_id)
        return self.success(ModelImportSerializer(row).data, "The import is cancelled.")


class ImportRetryView(ApiView):
    """A failed import once more."""

    @api_schema(summary="Repeat a failed import", request=RetrySerializer, responses=ModelImportSerializer)
    def post(self, request: ApiRequest, import_id: str) -> Response:
        """Files that are complete are kept."""
        data = self.validated(RetrySerializer, request)
        row = services.import_retry(actor=request.user, import_id=import_id, token=data["token"])
        return self.success(ModelImportSerializer(row).data, f"The import of {row} has started again.")


class ModelExportView(ApiView):
    """A bundle of a model."""

    @api_schema(summary="Export a model as a bundle", responses=OperationSerializer)
    def post(self, request: ApiRequest, model_id: str) -> Response:
        """Runs in the background; the operation's result says where to fetch it."""
        operation = services.model_export_start(actor=request.user, model_id=model_id)
        return self.success(OperationSerializer(operation).data, "The bundle is being written.")


class ModelExportListView(ApiView):
    """Bundles that were asked for."""

    @api_schema(summary="Exports of a model", responses=OperationSerializer, many=True)
    def get(self, request: ApiRequest, model_id: str) -> Response:
        """Newest first."""
        model = selectors.model_get(actor=request.user, model_id=model_id)
        return self.page(request, services.exports_of(actor=request.user, model=model), OperationSerializer)


class ModelExportFileView(ApiView):
    """The bundle itself."""

    @api_schema(summary="Download a bundle", binary=True)
    def get(self, request: ApiRequest, model_id: str, operation_id: str) -> HttpResponseBase:
        """A tar; ranges are understood."""
        self.refuse_unknown(request)
        sent = services.export_object(actor=request.user, model_id=model_id, operation_id=operation_id)
        return object_response(
            request._request,
            sent,
            on_send=lambda start, end: services.export_fetched(
                actor=request.user, model_id=model_id, start=start, end=end
            ),
        )


class ModelConnectionView(ApiView):
    """Whether the provider of an external model would answer."""

    @api_schema(summary="Test the connection of an external model", responses=ConnectionSerializer)
    def post(self, request: ApiRequest, model_id: str) -> Response:
        """200 also where it does not answer: ``ok`` and ``outcome`` say so."""
        operation = services.model_test_connection(actor=request.user, model_id=model_id)
        found = operation.result
        data = {
            "ok": found["ok"],
            "outcome": found["outcome"],
            "detail": found["detail"],
            "latency_ms": found["latencyMs"],
            "operation_id": operation.pk,
            "tested_at": operation.finished_at,
        }
        return self.success(ConnectionSerializer(data).data, operation.message)


class ModelCardView(ApiView):
    """The card as a README."""

    @api_schema(summary="A model's card with Hugging Face front matter", binary=True)
    def get(self, request: ApiRequest, model_id: str) -> HttpResponseBase:
        """Markdown; what the Hub's clients call the model card."""
        self.refuse_unknown(request)
        text = services.card_text(actor=request.user, model_id=model_id)
        return text_response(request._request, text.encode(), content_type="text/markdown; charset=utf-8")
