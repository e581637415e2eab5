"""Admin of governance: read-only tables; changes only through the services."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import TabularInline

from apps.core.admin import PortalAdmin, service_action
from apps.governance import services
from apps.governance.models import (
    ApprovalDecision,
    ApprovalRequest,
    AuditSeal,
    CostDaily,
    Notice,
    Policy,
    PriceEntry,
    UsageRecord,
)
from apps.governance.types import Decision, PolicyStatus


def _decide(decision: Decision) -> Any:
    def call(actor: Any, request: ApprovalRequest) -> Any:
        return services.approval_decide_request(
            actor=actor, request_id=request.pk, decision=decision, notes="Decided in the admin."
        )

    return call


def _policy_to(status: PolicyStatus) -> Any:
    def call(actor: Any, policy: Policy) -> Any:
        return services.policy_change(actor=actor, policy_id=policy.pk, status=status)

    return call


class ApprovalDecisionInline(TabularInline):
    """Who said what."""

    model = ApprovalDecision
    extra = 0
    can_delete = False
    fields = readonly_fields = ("actor", "decision", "notes", "digest", "at")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Decisions are made by the actions."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """With the request."""
        return True


@admin.register(ApprovalRequest)
class ApprovalRequestAdmin(PortalAdmin):
    """The queue, with decisions. Four eyes, gates and digests hold here as everywhere."""

    view_action = "approval.view"
    list_display = ("title", "kind", "team", "created_by", "status", "due_at", "created_at")
    list_filter = ("status", "kind")
    search_fields = ("title",)
    list_select_related = ("team", "created_by")
    inlines = (ApprovalDecisionInline,)
    actions = (
        service_action("Approve", _decide(Decision.APPROVE), name="approve"),
        service_action("Request changes", _decide(Decision.REQUEST_CHANGES), name="request_changes"),
        service_action("Reject", _decide(Decision.REJECT), name="reject"),
    )


@admin.register(Policy)
class PolicyAdmin(PortalAdmin):
    """Policies; written on their pages, switched here too."""

    view_action = "policy.view"
    visible_by_team = False
    list_display = ("name", "scope", "team", "status", "version", "review_due")
    list_filter = ("status", "scope")
    search_fields = ("name",)
    list_select_related = ("team",)
    actions = (
        service_action("Activate", _policy_to(PolicyStatus.ACTIVE), name="activate"),
        service_action("Retire", _policy_to(PolicyStatus.RETIRED), name="retire"),
    )


@admin.register(PriceEntry)
class PriceEntryAdmin(PortalAdmin):
    """The price book with its history."""

    view_action = "price.view"
    visible_by_team = False
    list_display = ("kind", "amount", "currency", "unit_label", "gpu_type", "model_id", "valid_from", "created_by")
    list_filter = ("kind",)
    list_select_related = ("created_by",)


@admin.register(UsageRecord)
class UsageRecordAdmin(PortalAdmin):
    """The ledger."""

    view_action = "price.view"
    visible_by_team = False
    list_display = ("occurred_at", "kind", "quantity", "resource_type", "resource_id", "team", "user", "model_id")
    list_filter = ("kind", "resource_type")
    search_fields = ("key", "resource_id")
    list_select_related = ("team", "user")


@admin.register(CostDaily)
class CostDailyAdmin(PortalAdmin):
    """Rolled-up days."""

    view_action = "price.view"
    visible_by_team = False
    list_display = ("day", "kind", "resource_type", "resource_id", "team", "quantity", "cost")
    list_filter = ("kind", "resource_type")
    list_select_related = ("team",)


@admin.register(AuditSeal)
class AuditSealAdmin(PortalAdmin):
    """The chain."""

    view_action = "audit.view"
    visible_by_team = False
    list_display = ("position", "event_sequence", "hash", "sealed_at")


@admin.register(Notice)
class NoticeAdmin(PortalAdmin):
    """Who was told what; people read their own on their home page."""

    view_action = "user.manage"
    visible_by_team = False
    list_display = ("title", "recipient", "tone", "created_at", "read_at")
    list_filter = ("tone",)
    search_fields = ("title", "text")
    list_select_related = ("recipient",)
