"""What stays of datasets besides themselves: results of comparisons, and what was deleted."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from apps.core.models import BaseModel
from apps.datasets.types import ComparisonStatus


class DatasetComparison(BaseModel):
    """The result of comparing two contents by one key, kept so that it is worked out once.

    It belongs to contents, not to datasets: ``before`` and ``after`` are digests over rows and columns. It holds
    counts, drift and the numbers of differing rows (``rows_key``, in the store), never a row itself.
    """

    before = models.CharField(max_length=64)
    after = models.CharField(max_length=64)
    key = models.JSONField(default=list, help_text="Columns that were asked for; empty: found by itself.")
    key_digest = models.CharField(max_length=64)
    status = models.CharField(
        max_length=10,
        choices=[(word.value, word.value.capitalize()) for word in ComparisonStatus],
        default=ComparisonStatus.QUEUED,
    )
    message = models.CharField(max_length=500, blank=True)
    before_dataset = models.UUIDField(help_text="The dataset whose rows are read as the earlier side.")
    after_dataset = models.UUIDField(help_text="The dataset whose rows are read as the later side.")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    operation = models.ForeignKey("core.Operation", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    attempts = models.PositiveSmallIntegerField(default=0)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    result = models.JSONField(default=dict, blank=True)
    rows_key = models.CharField(max_length=500, blank=True)

    class Meta(BaseModel.Meta):
        constraints = [
            models.UniqueConstraint(fields=["before", "after", "key_digest"], name="dataset_comparison_once"),
        ]

    def __str__(self) -> str:
        return f"{self.before[:8]} → {self.after[:8]} ({self.status})"


class DatasetTombstone(BaseModel):
    """What is known of a deleted dataset, under its id, so that lineage and history keep an honest name.

    It holds no content: names, digests, sizes, and who deleted it when and why.
    """

    team = models.ForeignKey("accounts.Team", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=200)
    version = models.CharField(max_length=64)
    type = models.CharField(max_length=20)
    status = models.CharField(max_length=16, help_text="What it was when it was deleted.")
    digest = models.CharField(max_length=64, blank=True)
    row_count = models.BigIntegerField(null=True, blank=True)
    size_bytes = models.BigIntegerField(default=0, help_text="Bytes removed from the store, the rows file included.")
    files = models.JSONField(default=list, help_text="Name, size and SHA-256 of every file.")
    source_id = models.UUIDField(null=True, blank=True)
    derivation = models.JSONField(default=dict, blank=True)
    deleted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    deleted_at = models.DateTimeField()
    reason = models.TextField(blank=True)
    files_removed_at = models.DateTimeField(
        null=True, blank=True, help_text="When the store was seen to hold nothing of it any more."
    )

    class Meta(BaseModel.Meta):
        indexes = [models.Index(fields=["team", "name"], name="tombstone_team_name")]

    def __str__(self) -> str:
        return f"{self.name} {self.version} (deleted)"
