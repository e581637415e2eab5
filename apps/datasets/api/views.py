"""``/catalog/datasets``: views translate, services decide."""

from __future__ import annotations

from typing import Any

from rest_framework.response import Response

from apps.core.api import pagination
from apps.core.api.parsers import StrictJSONParser, UploadParser
from apps.core.api.schema import api_schema
from apps.core.api.views import ApiRequest, ApiView
from apps.core.errors import UnsupportedMedia, ValidationFailed
from apps.core.storage import store
from apps.datasets import selectors, services
from apps.datasets.api import keeping_shapes
from apps.datasets.api import serializers as shapes
from apps.datasets.filters import DatasetFilter
from apps.datasets.models import Dataset
from apps.datasets.reports import validation_report
from apps.datasets.services import Comparison, Upload

PAGING = frozenset({"limit", "offset"})


def _detail(request: ApiRequest, dataset: Dataset) -> dict[str, Any]:
    return dict(shapes.DatasetDetailSerializer(dataset, context={"request": request}).data)


class DatasetListView(ApiView):
    """All datasets; new ones."""

    @api_schema(summary="Datasets", responses=shapes.DatasetSerializer, many=True, filterset=DatasetFilter)
    def get(self, request: ApiRequest) -> Response:
        """Those that exist for the caller, newest first."""
        visible = selectors.datasets_visible_to(request.user)
        return self.page(request, visible, shapes.DatasetSerializer, filterset=DatasetFilter)

    @api_schema(
        summary="Register a dataset", request=shapes.DatasetCreateSerializer, responses=shapes.DatasetDetailSerializer
    )
    def post(self, request: ApiRequest) -> Response:
        """A draft without files."""
        fields = self.validated(shapes.DatasetCreateSerializer, request)
        dataset = services.dataset_create(
            actor=request.user,
            name=fields["name"],
            version=fields["version"],
            dataset_type=fields["type"],
            owner_team=fields["owner_team"],
            change_log=fields["change_log"] or "",
            metadata=fields["metadata"] or {},
            storage_uri=fields["storage_uri"] or "",
            visibility=fields["visibility"],
            status=fields["status"],
            metrics=fields.get("metrics"),
        )
        return self.success(_detail(request, dataset), f"Dataset {dataset} created. Upload its files next.")


class DatasetDetailView(ApiView):
    """One dataset."""

    @api_schema(summary="One dataset", responses=shapes.DatasetDetailSerializer)
    def get(self, request: ApiRequest, dataset_id: str) -> Response:
        """With files and columns."""
        self.refuse_unknown(request)
        return self.success(_detail(request, selectors.dataset_get(actor=request.user, dataset_id=dataset_id)))

    @api_schema(
        summary="Change a draft", request=shapes.DatasetUpdateSerializer, responses=shapes.DatasetDetailSerializer
    )
    def patch(self, request: ApiRequest, dataset_id: str) -> Response:
        """Only what is sent changes."""
        changes = self.validated(shapes.DatasetUpdateSerializer, request)
        dataset = services.dataset_update(actor=request.user, dataset_id=dataset_id, **changes)
        return self.success(_detail(request, dataset), f"Dataset {dataset} changed.")

    @api_schema(
        summary="Delete a dataset and its files", responses=keeping_shapes.TombstoneSerializer, params=("reason",)
    )
    def delete(self, request: ApiRequest, dataset_id: str) -> Response:
        """Refused while something depends on it; the answer is what will be known of it."""
        self.refuse_unknown(request, {"reason"})
        dataset = selectors.dataset_get(actor=request.user, dataset_id=dataset_id)
        left = services.dataset_delete(
            actor=request.user, dataset_id=dataset_id, reason=self.param(request, "reason", str, "")
        )
        answer = keeping_shapes.TombstoneSerializer(left).data
        return self.success(answer, f"Dataset {dataset} and its files are deleted.")


class DatasetUploadView(ApiView):
    """Files of a dataset."""

    parser_classes = (UploadParser, StrictJSONParser)

    @api_schema(
        summary="Upload files (multipart, field “files”)", responses=shapes.UploadAnswerSerializer, multipart=True
    )
    def post(self, request: ApiRequest, dataset_id: str) -> Response:
        """All are taken or none; the checks start by themselves."""
        # Permission first: who may not upload should not send gigabytes before learning it.
        selectors.dataset_get(actor=request.user, dataset_id=dataset_id)
        if not (request.content_type or "").startswith("multipart/form-data"):
            raise UnsupportedMedia("Send the files as multipart/form-data in the field “files”.")
        files = request.FILES.getlist("files")
        if not files and request.FILES:
            sent = ", ".join(request.FILES)
            raise ValidationFailed.field("files", "required", f"Files were sent as “{sent}”; name the field “files”.")
        uploads = [Upload(file.name or "", file.chunks(), file.size) for file in files]
        result = services.dataset_upload(actor=request.user, dataset_id=dataset_id, files=uploads)
        dataset, check, operation = result.dataset, result.check, result.operation
        answer = {
            "dataset_id": dataset.pk,
            "storage_uri": store().uri(f"{dataset.storage_prefix}/"),
            "uploaded_files": result.files or result.waiting,
            "rows": dataset.row_count if check else None,
            "check_id": check.pk if check else None,
            "operation_id": operation.pk if operation else check.operation_id if check else None,
        }
        count = len(result.files or result.waiting)
        files_text = f"{count} file{'s' if count != 1 else ''}"
        return self.success(
            shapes.UploadAnswerSerializer(answer).data,
            f"{files_text} uploaded to {dataset}; the checks have started."
            if check
            else f"{files_text} received for {dataset} and being read; poll the operation for the outcome.",
        )


class DatasetPreviewView(ApiView):
    """Some rows."""

    query_params = PAGING | {"order_by", "q", "column"}

    @api_schema(
        summary="Preview rows, schema and statistics",
        responses=shapes.PreviewSerializer,
        params=("limit", "offset", "orderBy", "q", "column"),
    )
    def get(self, request: ApiRequest, dataset_id: str) -> Response:
        """Rows as uploaded; ``q`` searches (in ``column``, else everywhere), ``orderBy`` sorts by a column."""
        self.refuse_unknown(request)
        where = pagination.window(request._request)
        preview = services.dataset_preview(
            actor=request.user,
            dataset_id=dataset_id,
            limit=where.limit,
            offset=where.offset,
            order_by=self.param(request, "order_by", str, ""),
            q=self.param(request, "q", str, ""),
            column=self.param(request, "column", str, ""),
        )
        data = {
            "sample_rows": preview.rows,
            "row_numbers": preview.numbers,
            "matching_rows": preview.total,
            "schema": preview.schema,
            "statistics": preview.statistics,
        }
        response = self.success(shapes.PreviewSerializer(data).data)
        return pagination.add_headers(response, request._request, where, preview.total)


class DatasetValidationView(ApiView):
    """The checks."""

    query_params = PAGING

    @api_schema(summary="Results of the checks", responses=shapes.ValidationSerializer, params=("limit", "offset"))
    def get(self, request: ApiRequest, dataset_id: str) -> Response:
        """PII findings (masked), quality with its breakdown, recommendations; ``limit`` pages the
        locations."""
        self.refuse_unknown(request)
        where = pagination.window(request._request)
        dataset = selectors.dataset_get(actor=request.user, dataset_id=dataset_id)
        report = validation_report(dataset, limit=where.limit, offset=where.offset)
        return self.success(shapes.ValidationSerializer(report).data)

    @api_schema(summary="Run the checks again", responses=shapes.ValidationSerializer)
    def post(self, request: ApiRequest, dataset_id: str) -> Response:
        """In the background; poll this address or the operation."""
        services.dataset_check_request(actor=request.user, dataset_id=dataset_id)
        dataset = selectors.dataset_get(actor=request.user, dataset_id=dataset_id)
        report = validation_report(dataset)
        return self.success(shapes.ValidationSerializer(report).data, f"The checks of {dataset} have started.")


class DatasetStatusView(ApiView):
    """Submit, approve, reject, request changes, withdraw, reopen."""

    query_params = frozenset({"status", "notes"})

    @api_schema(
        summary="Change the status",
        request=shapes.StatusSerializer,
        responses=shapes.DatasetDetailSerializer,
        params=("status", "notes"),
    )
    def patch(self, request: ApiRequest, dataset_id: str) -> Response:
        """``{"status", "notes"}`` in the body, or ``?status=``."""
        self.refuse_unknown(request)
        selectors.dataset_get(actor=request.user, dataset_id=dataset_id)
        body = request.data if isinstance(request.data, dict) else {}
        wanted = {key: self.param(request, key, str, "") for key in ("status", "notes")}
        sent = {key: value for key, value in wanted.items() if value and key not in body}
        checked = shapes.StatusSerializer(data={**body, **sent})
        checked.is_valid(raise_exception=True)
        dataset = services.dataset_set_status(actor=request.user, dataset_id=dataset_id, **checked.validated_data)
        return self.success(_detail(request, dataset), f"Dataset {dataset} is now {dataset.status}.")


class DatasetVersionsView(ApiView):
    """Versions of one name."""

    @api_schema(summary="All versions of a dataset", responses=shapes.DatasetSerializer, many=True)
    def get(self, request: ApiRequest, dataset_id: str) -> Response:
        """Highest version first."""
        dataset = selectors.dataset_get(actor=request.user, dataset_id=dataset_id)
        versions = selectors.dataset_versions(actor=request.user, dataset=dataset)
        return self.page(request, versions, shapes.DatasetSerializer)


class DatasetCompareView(ApiView):
    """Two versions of one dataset, or any two that the caller may see (by id), side by side."""

    query_params = PAGING | {"key"}

    @api_schema(summary="Compare two versions", responses=shapes.CompareSerializer, params=("key", "limit", "offset"))
    def get(self, request: ApiRequest, dataset_id: str, before: str, after: str) -> Response:
        """Rows by key (``?key=id`` or ``?key=a,b``; found by itself otherwise), schema, statistics, drift.

        ``limit`` and ``offset`` page the examples under ``samples``. Large datasets are compared by a worker: then
        ``status`` is queued or running and the counts are null; ask again until it is succeeded.
        """
        self.refuse_unknown(request)
        where = pagination.window(request._request)
        key = [name for name in self.param(request, "key", str, "").split(",") if name]
        comparison = services.dataset_compare(
            actor=request.user,
            dataset_id=dataset_id,
            before=before,
            after=after,
            key=key,
            limit=where.limit,
            offset=where.offset,
        )
        answer = self.success(shapes.CompareSerializer(compare_json(comparison)).data, comparison.message)
        if comparison.rows is None:
            return answer
        longest = max(comparison.rows.added, comparison.rows.removed, comparison.rows.modified)
        return pagination.add_headers(answer, request._request, where, longest)


def compare_json(comparison: Comparison) -> dict[str, Any]:
    """A comparison as the API shows it; counts are null while a worker still compares."""
    rows = comparison.rows
    return {
        "status": comparison.status,
        "progress": comparison.progress,
        "message": comparison.message,
        "operation_id": comparison.operation_id,
        "before_id": comparison.before.pk,
        "before_name": comparison.before.name,
        "before_version": comparison.before.version,
        "after_id": comparison.after.pk,
        "after_name": comparison.after.name,
        "after_version": comparison.after.version,
        "compared_by": {"method": rows.method, "columns": list(rows.key)} if rows else None,
        "added_rows": rows.added if rows else None,
        "removed_rows": rows.removed if rows else None,
        "modified_rows": rows.modified if rows else None,
        "unchanged_rows": rows.unchanged if rows else None,
        "schema_changes": comparison.schema,
        "statistics": comparison.statistics,
        "samples": {
            "added": list(rows.added_page) if rows else [],
            "removed": list(rows.removed_page) if rows else [],
            "modified": list(rows.modified_page) if rows else [],
        },
    }


class DatasetRedactView(ApiView):
    """A copy without personal data."""

    @api_schema(
        summary="Make a redacted version", request=shapes.RedactSerializer, responses=shapes.DatasetDetailSerializer
    )
    def post(self, request: ApiRequest, dataset_id: str) -> Response:
        """Everything found is replaced by its type in brackets; lineage points to the source."""
        fields = self.validated(shapes.RedactSerializer, request)
        copy = services.dataset_redact(actor=request.user, dataset_id=dataset_id, **fields)
        replaced = copy.derivation.get("replaced", 0)
        return self.success(
            _detail(request, copy), f"Dataset {copy} created with {replaced} places replaced; its checks have started."
        )
