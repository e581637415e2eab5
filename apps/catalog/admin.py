"""The catalog in the admin: read-only rows, changes only through the services, secrets never shown."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db import models
from django.http import HttpRequest

from apps.catalog import services
from apps.catalog.models import (
    ApprovedSources,
    DiscardedFiles,
    ExternalSecret,
    LineageEdge,
    ModelEntry,
    ModelEntryGrant,
    ModelFile,
    ModelImport,
    ModelSignature,
    Publication,
)
from apps.catalog.selectors import models_visible_to
from apps.core.admin import PortalAdmin, service_action


class ModelFileInline(admin.TabularInline):
    """Files of a model, to look at."""

    model = ModelFile
    extra = 0
    can_delete = False
    fields = ("filename", "kind", "format", "size", "sha256", "scan_status", "scanned_at")
    readonly_fields = fields

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """With the model."""
        return True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """By upload only."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False


def _status(name: str) -> Any:
    return lambda actor, model: services.model_set_status(actor=actor, model_id=model.pk, status=name)


def _decision(name: str) -> Any:
    return lambda actor, model: services.model_decide(actor=actor, model_id=model.pk, decision=name)


@admin.register(ModelEntry)
class ModelEntryAdmin(PortalAdmin):
    """Models: review and life-cycle actions; the same services, gates and four eyes as everywhere."""

    view_action = "model.view"
    list_display = (
        "name",
        "version",
        "type",
        "status",
        "scan_status",
        "team",
        "visibility",
        "created_by",
        "created_at",
    )
    list_filter = ("status", "type", "scan_status", "visibility", "provider")
    search_fields = ("name", "version", "model_family")
    list_select_related = ("team", "created_by")
    inlines: ClassVar = (ModelFileInline,)
    actions = (
        service_action("Submit for review", _status("pending_review"), name="submit"),
        service_action("Approve", _decision("approve"), name="approve"),
        service_action("Reject", _decision("reject"), name="reject"),
        service_action("Request changes", _decision("request_changes"), name="request_changes"),
        service_action("Back to draft", _status("draft"), name="to_draft"),
        service_action("Deprecate", _status("deprecated"), name="deprecate"),
        service_action(
            "Publish this version",
            lambda actor, model: services.model_publish(actor=actor, model_id=model.pk, reason="In the admin."),
            name="publish",
        ),
        service_action(
            "Verify signature",
            lambda actor, model: services.model_verify(actor=actor, model_id=model.pk),
            name="verify",
        ),
        service_action(
            "Scan files again",
            lambda actor, model: services.model_rescan(actor=actor, model_id=model.pk),
            name="rescan",
        ),
        service_action(
            "Export as a bundle",
            lambda actor, model: services.model_export_start(actor=actor, model_id=model.pk),
            name="export",
        ),
        service_action(
            "Test the connection",
            lambda actor, model: services.model_test_connection(actor=actor, model_id=model.pk),
            name="test_connection",
        ),
        service_action(
            "Delete with files",
            lambda actor, model: services.model_delete(actor=actor, model_id=model.pk),
            name="delete_model",
        ),
    )


class OfVisibleModels(PortalAdmin):
    """Rows that belong to a model exist for whom the model exists."""

    view_action = "model.view"
    visible_by_team = False
    model_field: ClassVar[str] = "model"

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        """Of visible models only."""
        user: Any = request.user
        return super().get_queryset(request).filter(**{f"{self.model_field}__in": models_visible_to(user).values("pk")})


@admin.register(ModelFile)
class ModelFileAdmin(OfVisibleModels):
    """Files and what the scan said."""

    list_display = ("filename", "model", "kind", "format", "size", "scan_status", "scanned_at", "uploaded_by")
    list_filter = ("scan_status", "kind", "format")
    search_fields = ("filename", "model__name", "sha256")
    list_select_related = ("model", "uploaded_by")


@admin.register(Publication)
class PublicationAdmin(PortalAdmin):
    """Which version was published when; changed by the models' actions and by approvals."""

    view_action = "model.view"
    list_display = ("name", "model", "status", "team", "created_by", "published_at", "ended_at")
    list_filter = ("status", "type")
    search_fields = ("name", "reason")
    list_select_related = ("model", "team", "created_by")


@admin.register(ModelSignature)
class ModelSignatureAdmin(OfVisibleModels):
    """Signatures, with their verification."""

    list_display = ("model", "status", "key_id", "signed_at", "verified_at")
    list_filter = ("status",)
    search_fields = ("model__name", "key_id", "root_digest")
    list_select_related = ("model",)
    actions = (
        service_action(
            "Verify now",
            lambda actor, row: services.model_verify(actor=actor, model_id=row.model_id),
            name="verify",
        ),
    )


@admin.register(ApprovedSources)
class ApprovedSourcesAdmin(OfVisibleModels):
    """What approvals rest on, for administrators: sources are shown by kind and id."""

    view_action = "user.manage"
    list_display = ("model", "created_at")
    list_select_related = ("model",)


@admin.register(ExternalSecret)
class ExternalSecretAdmin(OfVisibleModels):
    """That a key is set, by whom and when; never the key, not even encrypted."""

    list_display = ("model", "set_by", "updated_at")
    fields = ("model", "set_by", "created_at", "updated_at")
    list_select_related = ("model", "set_by")


@admin.register(ModelEntryGrant)
class ModelEntryGrantAdmin(OfVisibleModels):
    """Single grants on one model."""

    view_action = "user.manage"
    model_field = "content_object"
    list_display = ("content_object", "user", "permission")
    list_select_related = ("content_object", "user", "permission")


@admin.register(LineageEdge)
class LineageEdgeAdmin(PortalAdmin):
    """Raw lineage, for administrators: ends are shown by kind and id."""

    view_action = "user.manage"
    visible_by_team = False
    list_display = ("source_kind", "source_id", "relation", "target_kind", "target_id", "created_at")
    list_filter = ("relation", "source_kind", "target_kind")
    search_fields = ("source_id", "target_id")


@admin.register(DiscardedFiles)
class DiscardedFilesAdmin(PortalAdmin):
    """Bytes that still have to be removed from the store."""

    view_action = "user.manage"
    visible_by_team = False
    list_display = ("prefix", "due_at", "created_at")


@admin.register(ModelImport)
class ModelImportAdmin(PortalAdmin):
    """Imports; their tokens are never shown, not even encrypted."""

    view_action = "model.view"
    list_display = ("repo_id", "name", "version", "status", "message", "team", "created_by", "created_at")
    list_filter = ("status", "source", "type")
    search_fields = ("repo_id", "name", "version")
    list_select_related = ("team", "created_by")
    exclude = ("token_ciphertext",)
    actions = (
        service_action(
            "Cancel",
            lambda actor, row: services.import_cancel(actor=actor, import_id=row.pk),
            name="cancel_import",
        ),
        service_action(
            "Try again",
            lambda actor, row: services.import_retry(actor=actor, import_id=row.pk),
            name="retry_import",
        ),
    )
