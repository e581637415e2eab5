"""Workloads in the admin: read-only, with the one action that operators need."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from apps.compute.models import ReconcilerBeat, ResourceInterval, Workload, WorkloadEvent
from apps.core.admin import PortalAdmin


class WorkloadEventInline(admin.TabularInline):
    """What happened to a workload."""

    model = WorkloadEvent
    extra = 0
    can_delete = False
    fields = readonly_fields = ("occurred_at", "from_state", "to_state", "reason_code", "message")

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        """Events are written by transitions only."""
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        """Events never change."""
        return False

    def has_view_permission(self, request: Any, obj: Any = None) -> bool:
        """Whoever sees the workload sees its events."""
        return True


@admin.register(Workload)
class WorkloadAdmin(PortalAdmin):
    """What runs, ran and waits."""

    view_action = "workload.view"
    list_display = ("name", "kind", "state", "reason_code", "backend", "team", "started_at", "finished_at")
    list_filter = ("state", "kind", "backend", "slot_class", "reason_code")
    search_fields = ("name", "owner_id")
    list_select_related = ("team",)
    exclude = ("spec_secrets",)
    inlines = (WorkloadEventInline,)


@admin.register(ResourceInterval)
class ResourceIntervalAdmin(PortalAdmin):
    """What costs come from."""

    view_action = "cost.view"
    visible_by_team = False
    list_display = ("workload", "started_at", "ended_at", "billed_until", "settled", "cpu", "gpu_count")
    list_filter = ("settled",)
    list_select_related = ("workload",)

    def get_queryset(self, request: Any) -> Any:
        """Intervals of the workloads that one may see."""
        visible = WorkloadAdmin(Workload, self.admin_site).get_queryset(request)
        return super().get_queryset(request).filter(workload__in=visible)


@admin.register(ReconcilerBeat)
class ReconcilerBeatAdmin(PortalAdmin):
    """Whether workloads are looked after."""

    view_action = "cluster.view"
    visible_by_team = False
    list_display = ("name", "holder", "beat_at", "pass_ms", "active", "problem")
