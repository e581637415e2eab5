"""Health and operations."""

from __future__ import annotations

from typing import Any

import django_filters
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from apps.core import health
from apps.core.api.schema import api_schema
from apps.core.api.serializers import ApiSerializer
from apps.core.api.views import ApiRequest, ApiView
from apps.core.errors import Unavailable
from apps.core.filters import ApiFilterSet
from apps.core.models import Operation, OperationStatus
from apps.core.permissions import visible_to
from apps.core.transitions import get_or_not_found


class ComponentSerializer(serializers.Serializer[Any]):
    """One part's health."""

    name = serializers.CharField()
    status = serializers.ChoiceField(choices=["up", "down", "off"])
    latencyMs = serializers.FloatField()
    detail = serializers.CharField()
    lastError = serializers.CharField(allow_null=True)
    checkedAt = serializers.CharField()


class HealthSerializer(serializers.Serializer[Any]):
    """Overall health."""

    status = serializers.ChoiceField(choices=["ok", "degraded"])


class IntegrationsHealthSerializer(HealthSerializer):
    """Overall and per part."""

    components = ComponentSerializer(many=True)


class HealthView(ApiView):
    """Is the portal able to serve? No token needed; says nothing about its insides."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @api_schema(summary="Whether the portal can serve requests", responses=HealthSerializer, public=True)
    def get(self, request: ApiRequest) -> Response:
        """``ok`` or 503."""
        if any(part.status == "down" for part in health.ready()):
            raise Unavailable("The portal is not ready: its database does not answer.")
        return self.success({"status": "ok"}, "The portal is healthy.")


class IntegrationsHealthView(ApiView):
    """Each part the portal stands on."""

    @api_schema(summary="Health of every integration", responses=IntegrationsHealthSerializer)
    def get(self, request: ApiRequest) -> Response:
        """Per component: status, latency, last error."""
        parts = health.all_components()
        down = [part.name for part in parts if part.status == "down"]
        return self.success(
            {"status": "degraded" if down else "ok", "components": [part.as_dict() for part in parts]},
            f"Down: {', '.join(down)}." if down else "All parts are up.",
        )


class OperationSerializer(ApiSerializer):
    """Background work."""

    id = serializers.UUIDField()
    kind = serializers.CharField()
    status = serializers.CharField()
    progress = serializers.IntegerField()
    message = serializers.CharField()
    result = serializers.JSONField()
    target_type = serializers.CharField()
    target_id = serializers.CharField()
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class OperationFilter(ApiFilterSet):
    """By state, kind and target."""

    status = django_filters.ChoiceFilter(choices=OperationStatus.choices)
    kind = django_filters.CharFilter()
    target_type = django_filters.CharFilter()
    target_id = django_filters.CharFilter()


class OperationListView(ApiView):
    """Background work the caller may see."""

    @api_schema(summary="Background operations", responses=OperationSerializer, many=True, filterset=OperationFilter)
    def get(self, request: ApiRequest) -> Response:
        """Newest first."""
        return self.page(
            request,
            visible_to(request.user, Operation.objects.all()),
            OperationSerializer,
            filterset=OperationFilter,
        )


class OperationDetailView(ApiView):
    """One operation, to poll."""

    @api_schema(summary="One background operation", responses=OperationSerializer)
    def get(self, request: ApiRequest, operation_id: str) -> Response:
        """Its progress and outcome."""
        found = get_or_not_found(visible_to(request.user, Operation.objects.all()), operation_id, "operation")
        return self.success(OperationSerializer(found).data)
