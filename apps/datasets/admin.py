"""Datasets in the admin: read-only, with actions that call the services."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from unfold.admin import TabularInline

from apps.core.admin import PortalAdmin, service_action
from apps.datasets import selectors, services
from apps.datasets.models import (
    Dataset,
    DatasetCheck,
    DatasetFile,
    DatasetTombstone,
    PiiFinding,
    PiiMark,
    PiiRuleRecord,
    PiiRuleVersion,
)
from apps.datasets.services.recalls import dataset_recall


def _decide(decision: str) -> Any:
    def call(actor: Any, dataset: Dataset) -> Any:
        return services.dataset_decide(actor=actor, dataset_id=dataset.pk, decision=decision)

    return call


def _service(name: str) -> Any:
    def call(actor: Any, dataset: Dataset) -> Any:
        return getattr(services, name)(actor=actor, dataset_id=dataset.pk)

    return call


def _repair(kind: str) -> Any:
    def call(actor: Any, dataset: Dataset) -> Any:
        return services.dataset_repair(actor=actor, dataset_id=dataset.pk, kind=kind)

    return call


class _ReadOnlyInline(TabularInline):
    extra = 0
    can_delete = False

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        """Not here."""
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        """Not here."""
        return False

    def has_view_permission(self, request: Any, obj: Any = None) -> bool:
        """Whoever sees the dataset."""
        return True


class DatasetFileInline(_ReadOnlyInline):
    """Files as uploaded."""

    model = DatasetFile
    fields = ("filename", "format", "encoding", "row_count", "size", "sha256", "uploaded_by")
    readonly_fields = fields


class DatasetCheckInline(_ReadOnlyInline):
    """Check runs."""

    model = DatasetCheck
    fk_name = "dataset"
    fields = ("status", "progress", "message", "pii_status", "quality_score", "requested_by", "created_at")
    readonly_fields = fields


@admin.register(Dataset)
class DatasetAdmin(PortalAdmin):
    """All datasets that the person may see."""

    view_action = "dataset.view"
    list_display = (
        "name",
        "version",
        "type",
        "status",
        "pii_scan_status",
        "quality_score",
        "row_count",
        "team",
        "retention_until",
        "created_by",
        "created_at",
    )
    list_filter = ("status", "type", "pii_scan_status", "team")
    search_fields = ("name", "version", "change_log")
    list_select_related = ("team", "created_by")
    inlines = (DatasetFileInline, DatasetCheckInline)
    actions = (
        service_action("Submit for review", _service("dataset_submit"), name="submit"),
        service_action("Approve", _decide("approve"), name="approve"),
        service_action("Reject", _decide("reject"), name="reject"),
        service_action("Request changes", _decide("request_changes"), name="request_changes"),
        service_action(
            "Recall the approval",
            lambda actor, dataset: dataset_recall(actor=actor, dataset_id=dataset.pk, reason="Recalled in the admin."),
            name="recall",
        ),
        service_action("Run the checks again", _service("dataset_check_request"), name="check"),
        service_action("Make redacted versions", _service("dataset_redact"), name="redact"),
        service_action("New versions without repeated rows", _repair("drop_duplicates"), name="drop_duplicates"),
        service_action("New versions without incomplete rows", _repair("drop_missing"), name="drop_missing"),
        service_action("New versions with typed columns", _repair("cast"), name="cast"),
        service_action("Delete with files", _service("dataset_delete"), name="delete_with_files"),
    )


class _OfDataset(PortalAdmin):
    """Rows that are seen with their dataset."""

    view_action = "dataset.view"
    visible_by_team = False
    dataset_path = "dataset"

    def get_queryset(self, request: Any) -> Any:
        """Those of visible datasets."""
        visible = selectors.datasets_visible_to(request.user).order_by().values("pk")
        return super().get_queryset(request).filter(**{f"{self.dataset_path}__in": visible})


@admin.register(DatasetCheck)
class DatasetCheckAdmin(_OfDataset):
    """Check runs."""

    list_display = ("dataset", "status", "progress", "message", "pii_status", "quality_score", "created_at")
    list_filter = ("status", "pii_status")
    list_select_related = ("dataset",)


@admin.register(DatasetFile)
class DatasetFileAdmin(_OfDataset):
    """Uploaded files."""

    list_display = ("filename", "dataset", "format", "row_count", "size", "uploaded_by", "created_at")
    list_filter = ("format",)
    list_select_related = ("dataset", "uploaded_by")


@admin.register(PiiFinding)
class PiiFindingAdmin(_OfDataset):
    """What the scans found, masked."""

    dataset_path = "check_run__dataset"
    list_display = ("type", "rule", "row", "column", "example", "confidence")
    list_filter = ("type",)


def _rule_switch(enabled: bool) -> Any:
    def call(actor: Any, rule: PiiRuleRecord) -> Any:
        return services.pii_rule_change(actor=actor, rule_id=rule.pk, enabled=enabled, note="Switched in the admin.")

    return call


def _rule_retire(actor: Any, rule: PiiRuleRecord) -> Any:
    return services.pii_rule_retire(actor=actor, rule_id=rule.pk, note="Retired in the admin.")


class PiiRuleVersionInline(_ReadOnlyInline):
    """What it said when."""

    model = PiiRuleVersion
    fields = ("version", "content", "note", "created_by", "created_at")
    readonly_fields = fields


@admin.register(PiiRuleRecord)
class PiiRuleAdmin(PortalAdmin):
    """PII rules; written on their pages (and tried there), switched here too."""

    view_action = "pii_rule.view"
    visible_by_team = False
    list_display = ("position", "key", "type", "team", "confidence", "validator", "enabled", "version", "retired_at")
    list_display_links = ("key",)
    list_filter = ("type", "enabled", "team")
    search_fields = ("key", "name")
    list_select_related = ("team",)
    inlines = (PiiRuleVersionInline,)
    actions = (
        service_action("Switch on", _rule_switch(True), name="switch_on"),
        service_action("Switch off", _rule_switch(False), name="switch_off"),
        service_action("Retire", _rule_retire, name="retire"),
    )


def _mark(decision: str) -> Any:
    def call(actor: Any, mark: PiiMark) -> Any:
        return services.pii_mark_decide(
            actor=actor,
            dataset_id=mark.dataset_id,
            mark_id=mark.pk,
            decision=decision,
            reason="Decided in the admin.",
        )

    return call


@admin.register(PiiMark)
class PiiMarkAdmin(_OfDataset):
    """Marks “this is no personal data”. Four eyes hold here as everywhere."""

    list_display = (
        "dataset",
        "scope",
        "type",
        "column",
        "row",
        "count",
        "status",
        "reason",
        "created_by",
        "decided_by",
    )
    list_filter = ("status", "scope", "type")
    list_select_related = ("dataset", "created_by", "decided_by")
    actions = (
        service_action("Confirm", _mark("confirm"), name="confirm"),
        service_action("Undo", _mark("undo"), name="undo"),
    )


@admin.register(DatasetTombstone)
class DatasetTombstoneAdmin(PortalAdmin):
    """What is known of deleted datasets."""

    view_action = "dataset.view"
    list_display = ("name", "version", "team", "status", "size_bytes", "deleted_by", "deleted_at", "files_removed_at")
    list_filter = ("team", "status")
    search_fields = ("name", "version", "digest", "reason")
    list_select_related = ("team", "deleted_by")
