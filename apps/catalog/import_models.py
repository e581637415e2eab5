"""Tables of imports: what was asked for, how far it is, how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from django.db import models
from django.db.models import Q

from apps.catalog.types import ModelType
from apps.core.models import TeamOwnedModel, Visibility


class ImportSource(models.TextChoices):
    """Where a model comes from."""

    HUB = "hub", "Hugging Face Hub"
    BUNDLE = "bundle", "Bundle"


class ImportStatus(models.TextChoices):
    """Life of an import."""

    QUEUED = "queued", "Queued"  # waits for a worker, or for the hub to come back
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"  # the model is registered
    FAILED = "failed", "Failed"  # nothing is registered; may be started again
    CANCELLED = "cancelled", "Cancelled"


IMPORT_TRANSITIONS: Mapping[str, frozenset[str]] = {
    ImportStatus.QUEUED: frozenset({ImportStatus.RUNNING, ImportStatus.FAILED, ImportStatus.CANCELLED}),
    ImportStatus.RUNNING: frozenset(
        {ImportStatus.QUEUED, ImportStatus.SUCCEEDED, ImportStatus.FAILED, ImportStatus.CANCELLED}
    ),
    ImportStatus.SUCCEEDED: frozenset(),
    ImportStatus.FAILED: frozenset({ImportStatus.QUEUED}),
    ImportStatus.CANCELLED: frozenset(),
}
IMPORT_ACTIVE = (ImportStatus.QUEUED, ImportStatus.RUNNING)


class ModelImport(TeamOwnedModel):
    """One import of one model. The model itself is made only when all of its files are here and checked."""

    AUDIT_TYPE: ClassVar[str] = "model_import"
    SHARED_STATUSES: ClassVar[tuple[str, ...]] = ("never",)

    source = models.CharField(max_length=10, choices=ImportSource.choices)
    status = models.CharField(max_length=10, choices=ImportStatus.choices, default=ImportStatus.QUEUED)
    repo_id = models.CharField(max_length=200, blank=True, default="")
    revision = models.CharField(max_length=200, blank=True, default="")
    commit = models.CharField(max_length=64, blank=True, default="", help_text="Pinned when the import begins.")
    include = models.JSONField(default=list, blank=True, help_text="File name patterns; empty: what a model needs.")
    bundle_key = models.CharField(max_length=1024, blank=True, default="")

    name = models.CharField(max_length=200)
    version = models.CharField(max_length=64)
    type = models.CharField(max_length=20, choices=ModelType.choices, default=ModelType.BASE)
    model_visibility = models.CharField(max_length=16, choices=Visibility, default=Visibility.TEAM)
    metadata = models.JSONField(default=dict, blank=True)
    token_ciphertext = models.TextField(blank=True, default="", help_text="Encrypted; gone when the import ends.")

    files = models.JSONField(default=list, blank=True, help_text="filename, size, hashes, done.")
    skipped = models.JSONField(default=list, blank=True)
    card = models.JSONField(default=dict, blank=True)
    bytes_total = models.BigIntegerField(default=0)
    bytes_done = models.BigIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(default=0)
    error_code = models.CharField(max_length=40, blank=True, default="")
    message = models.CharField(max_length=500, blank=True, default="")
    operation_id = models.UUIDField(null=True, blank=True)
    model = models.ForeignKey(
        "catalog.ModelEntry", null=True, blank=True, on_delete=models.SET_NULL, related_name="imports"
    )
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta(TeamOwnedModel.Meta):
        verbose_name = "model import"
        constraints = [
            models.CheckConstraint(condition=Q(status__in=ImportStatus.values), name="catalog_import_status_known"),
        ]
        indexes = [
            models.Index(
                fields=("updated_at",), condition=Q(status__in=("queued", "running")), name="catalog_import_active"
            )
        ]

    def __str__(self) -> str:
        return f"{self.repo_id or 'bundle'} as {self.name} {self.version}"

    @property
    def active(self) -> bool:
        """Whether it still waits or runs."""
        return self.status in IMPORT_ACTIVE

    @property
    def percent(self) -> int:
        """Share of the bytes that are here, 0 to 100."""
        return 100 * self.bytes_done // self.bytes_total if self.bytes_total else 0

    @property
    def files_done(self) -> int:
        """How many files are complete."""
        return sum(bool(row.get("done")) for row in self.files)

    @property
    def staging(self) -> str:
        """Where complete files wait in the store; ends with a slash."""
        return f"incoming/imports/{self.pk}/"
