"""Rules for personal data as rows, their versions, and marks on what is none after all."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse

from apps.core import clock
from apps.core.models import BaseModel
from apps.datasets.pii.masking import MASKS
from apps.datasets.types import MarkScope, MarkStatus


def _choices(words: Any) -> list[tuple[str, str]]:
    return [(str(word), str(word).replace("_", " ").capitalize()) for word in words]


class PiiRuleRecord(BaseModel):
    """One rule as it counts now. An edit writes a new version; earlier ones stay readable, because checks name the
    versions that they used.

    A team's rule stands in for the global one with the same key. A retired rule counts nowhere and its key is free.
    """

    AUDIT_TYPE = "pii_rule"
    # What a version holds.
    CONTENT = ("type", "name", "pattern", "validator", "regions", "confidence", "mask", "position", "enabled")

    key = models.CharField(max_length=60)
    team = models.ForeignKey(
        "accounts.Team",
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        help_text="Empty: counts for every team.",
    )
    type = models.CharField(max_length=40, help_text="Kind of data; a redacted copy shows it in brackets.")
    name = models.CharField(max_length=100)
    pattern = models.TextField(help_text="Regular expression; a group named “value” narrows the find.")
    validator = models.CharField(max_length=40, blank=True)
    regions = models.CharField(max_length=200, blank=True, help_text="Country codes for telephone numbers: DE,FR.")
    confidence = models.FloatField(validators=[MinValueValidator(0.0), MaxValueValidator(1.0)])
    mask = models.CharField(max_length=10, choices=_choices(MASKS), default="middle")
    position = models.PositiveIntegerField(default=1_000, help_text="Where finds overlap, the lower number wins.")
    enabled = models.BooleanField(default=True)
    version = models.PositiveIntegerField(default=1)
    retired_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta(BaseModel.Meta):
        verbose_name = "PII rule"
        ordering = ["position", "key", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["key", "team"],
                condition=Q(retired_at__isnull=True),
                nulls_distinct=False,
                name="pii_rule_key_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.key} v{self.version}"

    def get_absolute_url(self) -> str:
        """The rule's page."""
        return reverse("datasets:pii-rule-detail", args=[self.pk])

    @property
    def content(self) -> dict[str, Any]:
        """What its current version says."""
        return {name: getattr(self, name) for name in self.CONTENT}


class PiiRuleVersion(models.Model):
    """What a rule said from a moment on. Never changed."""

    id = models.BigAutoField(primary_key=True)
    rule = models.ForeignKey(PiiRuleRecord, on_delete=models.PROTECT, related_name="versions")
    version = models.PositiveIntegerField()
    content = models.JSONField()
    note = models.CharField(max_length=500, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        ordering = ["-version"]
        constraints = [models.UniqueConstraint(fields=["rule", "version"], name="pii_rule_version_once")]

    def __str__(self) -> str:
        return f"{self.rule_id} v{self.version}"


class PiiMark(BaseModel):
    """Somebody says: what the scan found here is no personal data.

    It is about one place, or about all finds of a type in a column. ``digest`` recognises exactly what was found when
    the mark was made; a later scan that finds anything else there is not covered by it. A proposed mark has no
    effect until a second person confirms it.
    """

    AUDIT_TYPE = "pii_mark"

    dataset = models.ForeignKey("datasets.Dataset", on_delete=models.CASCADE, related_name="pii_marks")
    scope = models.CharField(max_length=10, choices=_choices(MarkScope))
    status = models.CharField(max_length=10, choices=_choices(MarkStatus), default=MarkStatus.PROPOSED)
    type = models.CharField(max_length=40)
    column = models.CharField(max_length=200)
    row = models.BigIntegerField(null=True, blank=True)
    path = models.CharField(max_length=500, blank=True)
    start = models.PositiveIntegerField(null=True, blank=True)
    end = models.PositiveIntegerField(null=True, blank=True)
    digest = models.CharField(max_length=32)
    count = models.PositiveBigIntegerField(help_text="Finds that it covers.")
    reason = models.CharField(max_length=1000)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta(BaseModel.Meta):
        verbose_name = "PII mark"
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "scope", "type", "column", "row", "path", "start", "digest"],
                condition=Q(status__in=["proposed", "confirmed"]),
                nulls_distinct=False,
                name="pii_mark_once",
            ),
        ]

    def __str__(self) -> str:
        place = f"row {self.row}" if self.row else "its name"
        where = place if self.scope == MarkScope.PLACE else "every row"
        return f"{self.type} in {self.column}, {where}"
