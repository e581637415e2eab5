"""Datasets, their files, check runs, and what the PII scan found."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse
from guardian.models import UserObjectPermissionBase

from apps.core import clock, versions
from apps.core.models import BaseModel, TeamOwnedModel
from apps.datasets.pii_records import PiiMark, PiiRuleRecord, PiiRuleVersion
from apps.datasets.records import DatasetComparison, DatasetTombstone
from apps.datasets.types import (
    CHECK_ACTIVE,
    DATASET_TYPE_LABELS,
    CheckStatus,
    Column,
    DatasetStatus,
    DatasetType,
    PiiStatus,
)

# Django finds models through this module; comparisons, tombstones, PII rules live on their own to keep it readable.
__all__ = [
    "Dataset",
    "DatasetCheck",
    "DatasetComparison",
    "DatasetFile",
    "DatasetGrant",
    "DatasetTombstone",
    "PiiFinding",
    "PiiMark",
    "PiiRuleRecord",
    "PiiRuleVersion",
]


def _choices(words: Any) -> list[tuple[str, str]]:
    return [(word.value, word.value.replace("_", " ").capitalize()) for word in words]


class Dataset(TeamOwnedModel):
    """One version of a named collection of rows. Frozen while in review, immutable once approved.

    ``columns``, ``row_count``, ``size_bytes``, ``format`` describe what was uploaded; ``rows_key`` is the
    columnar form of all rows that checks, preview and training read; ``digest`` covers files, rows and
    description.
    """

    AUDIT_TYPE = "dataset"
    SHARED_STATUSES = (DatasetStatus.APPROVED,)

    name = models.CharField(max_length=200)
    version = models.CharField(max_length=versions.MAX_LENGTH)
    version_key = models.CharField(max_length=versions.KEY_MAX_LENGTH, db_collation="C", editable=False)
    type = models.CharField(max_length=20, choices=[(key.value, DATASET_TYPE_LABELS[key]) for key in DatasetType])
    status = models.CharField(max_length=16, choices=_choices(DatasetStatus), default=DatasetStatus.DRAFT)
    pii_scan_status = models.CharField(max_length=10, choices=_choices(PiiStatus), default=PiiStatus.PENDING)
    quality_score = models.FloatField(null=True, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    change_log = models.TextField(blank=True)
    provenance_uri = models.CharField(
        max_length=2000, blank=True, help_text="Where the data came from, as its owner says; never read from."
    )
    source_dataset = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="derived_datasets"
    )
    derivation = models.JSONField(
        default=dict, blank=True, help_text="How it was made from its source; stays when the source is deleted."
    )

    digest = models.CharField(max_length=64, blank=True)
    columns = models.JSONField(default=list, blank=True)
    row_count = models.BigIntegerField(null=True, blank=True)
    size_bytes = models.BigIntegerField(default=0)
    format = models.CharField(max_length=10, blank=True)
    rows_key = models.CharField(max_length=500, blank=True)
    rows_sha256 = models.CharField(max_length=64, blank=True)
    last_check = models.ForeignKey(
        "datasets.DatasetCheck", on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    submitted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    submitted_at = models.DateTimeField(null=True, blank=True)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    approved_at = models.DateTimeField(null=True, blank=True)
    retention_until = models.DateField(
        null=True, blank=True, db_index=True, help_text="Last day on which it may be kept; empty: no end."
    )
    expired_at = models.DateTimeField(
        null=True, blank=True, help_text="When the sweep found its retention to be over and said so."
    )
    metric_set = models.JSONField(
        default=list, blank=True, help_text="Of a benchmark: the metrics that evaluations on it report."
    )

    class Meta(TeamOwnedModel.Meta):
        constraints = [
            models.UniqueConstraint(fields=["team", "name", "version_key"], name="dataset_version_unique"),
        ]
        indexes = [
            models.Index(fields=["team", "-created_at"], name="dataset_team_newest"),
            models.Index(fields=["status", "-created_at"], name="dataset_status_newest"),
            models.Index(fields=["name", "version_key"], name="dataset_name_version"),
        ]
        permissions = [
            ("upload_dataset", "Can upload files to a dataset"),
            ("submit_dataset", "Can submit a dataset for review"),
            ("approve_dataset", "Can approve a dataset"),
            ("export_dataset", "Can export a dataset"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Keep the comparison key true to the version."""
        self.version_key = versions.version_key(self.version)
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        """The dataset's page."""
        return reverse("datasets:dataset-detail", args=[self.pk])

    @property
    def storage_prefix(self) -> str:
        """Below this key lie all files of this version."""
        return f"datasets/{self.pk}/{self.version}"

    @property
    def column_list(self) -> tuple[Column, ...]:
        """The columns with their kinds."""
        return tuple(Column.from_json(column) for column in self.columns)

    @property
    def has_files(self) -> bool:
        """Whether anything was uploaded."""
        return bool(self.rows_key)

    @property
    def is_expired(self) -> bool:
        """Whether its retention is over: no job may use it any more."""
        return self.retention_until is not None and self.retention_until < clock.now().date()

    @property
    def is_editable(self) -> bool:
        """Whether files and description may still change."""
        return self.status == DatasetStatus.DRAFT

    def compute_digest(self) -> str:
        """SHA-256 over identity, description, files, rows and columns."""
        files = self.files.order_by("position").values_list("filename", "size", "sha256")
        content = {
            "name": self.name,
            "version": self.version,
            "type": self.type,
            "metadata": self.metadata,
            "files": [list(row) for row in files],
            "rows": self.rows_sha256,
            "columns": self.columns,
            "derivation": self.derivation,
        }
        if self.metric_set:
            content["metrics"] = self.metric_set
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def refresh_digest(self) -> None:
        """Set ``digest`` to what the dataset is now; the caller saves."""
        self.digest = self.compute_digest()


class DatasetGrant(UserObjectPermissionBase):
    """A single permission of one person on one dataset."""

    content_object = models.ForeignKey(Dataset, on_delete=models.CASCADE)

    class Meta(UserObjectPermissionBase.Meta):
        verbose_name = "dataset grant"


class DatasetFile(BaseModel):
    """One uploaded file, as it was sent."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="files")
    filename = models.CharField(max_length=255)
    size = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    format = models.CharField(max_length=10)
    encoding = models.CharField(max_length=20, blank=True)
    delimiter = models.CharField(max_length=1, blank=True)
    row_count = models.BigIntegerField()
    position = models.PositiveIntegerField()
    storage_key = models.CharField(max_length=500, unique=True)
    uploaded_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta(BaseModel.Meta):
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "filename"], name="dataset_file_name_unique"),
        ]

    def __str__(self) -> str:
        return self.filename


class DatasetCheck(BaseModel):
    """One run of the checks over one state of the files (``digest``): progress while it runs, results
    after."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="checks")
    status = models.CharField(max_length=10, choices=_choices(CheckStatus), default=CheckStatus.QUEUED)
    progress = models.PositiveSmallIntegerField(default=0)
    message = models.CharField(max_length=500, blank=True)
    digest = models.CharField(max_length=64)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    operation = models.ForeignKey("core.Operation", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    attempts = models.PositiveSmallIntegerField(default=0)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    pii_status = models.CharField(max_length=10, choices=_choices(PiiStatus), default=PiiStatus.PENDING)
    pii = models.JSONField(default=dict, blank=True)
    quality_score = models.FloatField(null=True, blank=True)
    quality = models.JSONField(default=dict, blank=True)
    statistics = models.JSONField(default=list, blank=True)
    recommendations = models.JSONField(default=list, blank=True)

    class Meta(BaseModel.Meta):
        verbose_name = "dataset check"
        constraints = [
            models.UniqueConstraint(
                fields=["dataset"],
                condition=models.Q(status__in=["queued", "running"]),
                name="dataset_check_one_active",
            ),
        ]

    def __str__(self) -> str:
        return f"check of {self.dataset_id} ({self.status})"

    @property
    def is_active(self) -> bool:
        """Whether it still waits or runs."""
        return self.status in CHECK_ACTIVE


class PiiFinding(models.Model):
    """One place where the scan found something. The text itself is never kept, only a masked example."""

    id = models.BigAutoField(primary_key=True)
    check_run = models.ForeignKey(DatasetCheck, on_delete=models.CASCADE, related_name="findings")
    rule = models.CharField(max_length=60)
    type = models.CharField(max_length=40)
    row = models.BigIntegerField(help_text="From 1, over all files in order.")
    column = models.CharField(max_length=200)
    path = models.CharField(max_length=500, blank=True, help_text="Inside a nested value, e.g. [0].content.")
    start = models.PositiveIntegerField()
    end = models.PositiveIntegerField()
    example = models.CharField(max_length=80)
    confidence = models.FloatField()
    digest = models.CharField(max_length=32, blank=True, help_text="Keyed; recognises the same text again.")
    mark = models.ForeignKey(PiiMark, on_delete=models.SET_NULL, null=True, blank=True, related_name="findings")

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["check_run", "type"], name="finding_check_type")]

    def __str__(self) -> str:
        # Row 0: the name of the column.
        return f"{self.type} in {f'row {self.row}' if self.row else 'the name'}, {self.column}"
