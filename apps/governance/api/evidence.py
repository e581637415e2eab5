"""The audit trail, costs and prices."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponseBase
from rest_framework.response import Response

from apps.core.api.schema import api_schema
from apps.core.api.views import ApiRequest, ApiView
from apps.core.errors import ValidationFailed
from apps.governance import exports, selectors, services
from apps.governance.api import serializers as shapes
from apps.governance.filters import AuditLogFilter
from apps.governance.types import CostResource
from apps.governance.windows import window_between, window_of


class AuditLogView(ApiView):
    """Who did what, and what was refused."""

    @api_schema(summary="The audit trail", responses=shapes.AuditEventSerializer, many=True, filterset=AuditLogFilter)
    def get(self, request: ApiRequest) -> Response:
        """Newest first; auditors and administrators see all, others their teams' and their own events."""
        found = selectors.audit_events_visible_to(request.user)
        return self.page(request, found, shapes.AuditEventSerializer, filterset=AuditLogFilter)


class AuditExportView(ApiView):
    """The trail as a file."""

    query_params = frozenset({"format"})

    @api_schema(summary="Export the audit trail", filterset=AuditLogFilter, params=["format"], binary=True)
    def get(self, request: ApiRequest) -> HttpResponseBase:
        """`format=csv` or `json` (one event per line)."""
        kind = self.param(request, "format", _export_format, "csv")
        filters = AuditLogFilter(
            AuditLogFilter.normalise(request.query_params),
            queryset=selectors.audit_events_exportable_by(request.user),
            request=request,
        )
        rows = filters.strict_queryset(extra=self.query_params)
        return exports.audit_file(actor=request.user, events=rows, kind=kind)


class AuditVerifyView(ApiView):
    """Is the trail what was sealed?"""

    @api_schema(summary="Verify the audit chain", responses=shapes.AuditReportSerializer)
    def get(self, request: ApiRequest) -> Response:
        """For auditors and administrators."""
        self.refuse_unknown(request)
        report = services.audit_verify_for(actor=request.user)
        message = "The audit trail is intact." if report.is_intact else "The audit trail has been tampered with."
        return self.success(shapes.AuditReportSerializer(report).data, message)


class CostProfileView(ApiView):
    """What each resource used and cost."""

    query_params = frozenset({"resource_type", "resource_id", "time_window"})

    @api_schema(
        summary="Costs per resource",
        responses=shapes.CostProfileSerializer,
        many=True,
        params=["resourceType", "resourceId", "timeWindow"],
    )
    def get(self, request: ApiRequest) -> Response:
        """Dearest first; the running day is included."""
        window = self.param(request, "time_window", window_of, window_of(""))
        identity = self.param(request, "resource_id", UUID, None)
        profiles = selectors.cost_profiles(
            actor=request.user,
            resource_type=self.param(request, "resource_type", _resource_type, ""),
            resource_id=str(identity) if identity is not None else "",
            since=window.since,
            until=window.until,
            time_window=window.text,
        )
        rows = cast("QuerySet[Any]", profiles)
        return self.page(request, rows, shapes.CostProfileSerializer, total=len(profiles))


class CostAggregateView(ApiView):
    """Totals."""

    query_params = frozenset({"resource_type", "start_date", "end_date"})

    @api_schema(
        summary="Total costs",
        responses=shapes.CostAggregateSerializer,
        params=["resourceType", "startDate", "endDate"],
    )
    def get(self, request: ApiRequest) -> Response:
        """Over what the caller may see, in whole cost days, both included."""
        self.refuse_unknown(request)
        window = window_between(self.param(request, "start_date", str, ""), self.param(request, "end_date", str, ""))
        totals = selectors.cost_aggregate(
            actor=request.user,
            resource_type=self.param(request, "resource_type", _resource_type, ""),
            since=window.since,
            until=window.until,
        )
        return self.success(shapes.CostAggregateSerializer(totals).data)


class PriceListView(ApiView):
    """The price book."""

    @api_schema(summary="The price book", responses=shapes.PriceSerializer, many=True)
    def get(self, request: ApiRequest) -> Response:
        """With its history."""
        return self.page(request, selectors.prices_visible_to(request.user), shapes.PriceSerializer)

    @api_schema(summary="Set a price", request=shapes.PriceCreateSerializer, responses=shapes.PriceSerializer)
    def post(self, request: ApiRequest) -> Response:
        """From a moment on; the past keeps its prices."""
        entry = services.price_set(actor=request.user, **self.validated(shapes.PriceCreateSerializer, request))
        return self.success(shapes.PriceSerializer(entry).data, f"{entry}, from {entry.valid_from.isoformat()} on.")


def _resource_type(text: str) -> str:
    if text not in CostResource.values:
        known = ", ".join(CostResource.values)
        raise ValidationFailed.field("resourceType", "invalid_choice", f"resourceType must be one of {known}.")
    return text


def _export_format(text: str) -> str:
    if text not in exports.FORMATS:
        raise ValidationFailed.field("format", "invalid_choice", f"format must be one of {', '.join(exports.FORMATS)}.")
    return text
