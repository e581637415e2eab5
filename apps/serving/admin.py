"""Serving in the admin: what operators see and may do; every act goes through a service."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from apps.core.admin import PortalAdmin, service_action
from apps.serving import services
from apps.serving.models import Endpoint, EndpointRevision, HealthCheck


def _stop(user: Any, endpoint: Endpoint) -> None:
    services.endpoint_stop(actor=user, endpoint_id=endpoint.pk)


def _redeploy(user: Any, endpoint: Endpoint) -> None:
    services.endpoint_redeploy(actor=user, endpoint_id=endpoint.pk)


def _rollback(user: Any, endpoint: Endpoint) -> None:
    services.endpoint_rollback(actor=user, endpoint_id=endpoint.pk)


@admin.register(Endpoint)
class EndpointAdmin(PortalAdmin):
    """Endpoints."""

    view_action = "serving_endpoint.view"
    list_display = (
        "route",
        "environment",
        "status",
        "status_detail",
        "model",
        "team",
        "last_health_check_at",
        "created_at",
    )
    list_filter = ("environment", "status")
    search_fields = ("route", "model__name")
    list_select_related = ("model", "team")
    actions = (
        service_action("Stop", _stop, name="endpoint_stop"),
        service_action("Redeploy", _redeploy, name="endpoint_redeploy"),
        service_action("Roll back", _rollback, name="endpoint_rollback"),
    )


@admin.register(EndpointRevision)
class EndpointRevisionAdmin(PortalAdmin):
    """Their history."""

    view_action = "serving_endpoint.view"
    list_display = (
        "endpoint",
        "number",
        "change",
        "status",
        "model_name",
        "model_version",
        "runtime",
        "created_by",
        "created_at",
    )
    list_filter = ("status", "change", "runtime")
    search_fields = ("endpoint__route", "model_name")
    list_select_related = ("endpoint", "created_by")


@admin.register(HealthCheck)
class HealthCheckAdmin(PortalAdmin):
    """What health checks found; operators and admins."""

    view_action = "cluster.view"
    visible_by_team = False
    list_display = ("endpoint", "checked_at", "ok", "latency_ms", "detail")
    list_filter = ("ok",)
    list_select_related = ("endpoint",)
