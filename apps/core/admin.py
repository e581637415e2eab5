"""Base of the Django admin: sees what the person may see, changes only through services."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db import models
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from apps.core import audit
from apps.core.errors import DomainError
from apps.core.models import AuditEvent, IdempotencyKey, Operation, UploadSession
from apps.core.permissions import can, visible_to
from apps.core.uploads.sessions import upload_cancel

ServiceCall = Callable[[Any, Any], Any]


class PortalAdmin(ModelAdmin):
    """Read-only by default. ``view_action`` names the permission that opens it; rows are limited by ``visible_to``.

    Add behaviour with :func:`service_action`; never by ``save_model``.
    """

    view_action: ClassVar[str] = ""
    visible_by_team: ClassVar[bool] = True
    list_per_page = 50
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        """Visible rows only."""
        queryset = super().get_queryset(request)
        user: Any = request.user
        return visible_to(user, queryset) if self.visible_by_team else queryset

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whether the app is listed."""
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """By the one table; rows are limited by the queryset."""
        user: Any = request.user
        return bool(user.is_authenticated and user.is_staff and (not self.view_action or can(user, self.view_action)))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Not here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Not here."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Not here."""
        return False

    def get_actions(self, request: HttpRequest) -> Any:
        """Without Django's bulk delete."""
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions


def service_action(label: str, call: ServiceCall, *, name: str) -> Any:
    """An admin action that runs ``call(user, obj)`` on each selected row; refusals become messages and are audited."""

    @admin.action(description=label)
    def action(model_admin: PortalAdmin, request: HttpRequest, queryset: models.QuerySet[Any]) -> None:
        done = 0
        for obj in queryset:
            try:
                call(request.user, obj)
                done += 1
            except DomainError as error:
                audit.record_denial(error)
                details = "; ".join(item.message for item in error.errors if item.message != error.message)
                text = f"{obj}: {error.message}" + (f" ({details})" if details else "")
                model_admin.message_user(request, text, messages.ERROR)
        if done:
            model_admin.message_user(request, f"{label}: {done} done.", messages.SUCCESS)

    action.__name__ = name
    return action


@admin.register(AuditEvent)
class AuditEventAdmin(PortalAdmin):
    """The trail, read-only."""

    view_action = "audit.view"
    visible_by_team = False
    list_display = (
        "sequence",
        "occurred_at",
        "actor_name",
        "action",
        "resource_type",
        "resource_id",
        "result",
    )
    list_filter = ("result", "resource_type")
    search_fields = ("actor_name", "action", "resource_id")
    list_select_related = ("actor", "team")


@admin.register(Operation)
class OperationAdmin(PortalAdmin):
    """Background work."""

    view_action = "operation.view"
    list_display = ("kind", "status", "progress", "message", "team", "created_by", "created_at")
    list_filter = ("status", "kind")
    list_select_related = ("team", "created_by")


@admin.register(UploadSession)
class UploadSessionAdmin(PortalAdmin):
    """Files on their way in: how far, whose, when they are given up."""

    view_action = "operation.view"
    list_display = ("filename", "status", "progress", "size", "target_type", "team", "created_by", "expires_at")
    list_filter = ("status", "target_type")
    search_fields = ("filename", "target_id")
    list_select_related = ("team", "created_by")
    actions = (
        service_action("Cancel", lambda user, obj: upload_cancel(session=obj, actor=user), name="cancel_uploads"),
    )


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(PortalAdmin):
    """Remembered requests; their answers are encrypted and not shown."""

    view_action = "user.manage"
    visible_by_team = False
    list_display = ("key", "user", "status_code", "created_at")
    fields = ("key", "user", "status_code", "created_at")
