"""The usage ledger, the price book and the daily costs computed from both."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.core import clock
from apps.core.models import BaseModel
from apps.governance.types import PRICE_UNITS, CostResource, UsageKind


class UsageRecord(models.Model):
    """One thing used, written once (`key`), never changed. Appended in time order, so that it can be partitioned by
    `occurred_at` later; everything that reads it names a time range.
    """

    id = models.BigAutoField(primary_key=True)
    key = models.CharField(max_length=200, unique=True)
    kind = models.CharField(max_length=24, choices=UsageKind)
    quantity = models.DecimalField(max_digits=38, decimal_places=9)
    resource_type = models.CharField(max_length=16, choices=CostResource)
    resource_id = models.CharField(max_length=64)
    team = models.ForeignKey("accounts.Team", on_delete=models.PROTECT, related_name="+")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    model_id = models.UUIDField(null=True, blank=True)
    gpu_type = models.CharField(max_length=60, blank=True)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["-occurred_at", "-id"]
        indexes = [
            models.Index(fields=["occurred_at"], name="usage_occurred"),
            models.Index(fields=["recorded_at"], name="usage_recorded"),
            models.Index(fields=["model_id", "occurred_at"], name="usage_model", condition=Q(model_id__isnull=False)),
            models.Index(fields=["resource_type", "resource_id", "occurred_at"], name="usage_resource"),
            models.Index(fields=["team", "occurred_at"], name="usage_team"),
        ]
        constraints = [models.CheckConstraint(condition=Q(quantity__gte=0), name="usage_quantity_not_negative")]

    def __str__(self) -> str:
        return f"{self.quantity} {self.kind}"


class PriceEntry(BaseModel):
    """What a unit of a kind costs from a moment on. Never changed: the next entry takes over from its own moment.

    The most specific entry counts: model and GPU type, then model, then GPU type, then the general one.
    """

    AUDIT_TYPE = "price"

    kind = models.CharField(max_length=24, choices=UsageKind)
    model_id = models.UUIDField(null=True, blank=True, help_text="Only for usage of this catalog model.")
    gpu_type = models.CharField(max_length=60, blank=True, help_text="Only for this GPU type.")
    amount = models.DecimalField(max_digits=20, decimal_places=8, help_text="Price of one unit (see the unit).")
    per_quantity = models.DecimalField(
        max_digits=38, decimal_places=9, help_text="Ledger quantity that makes one unit."
    )
    currency = models.CharField(max_length=3, default="EUR")
    valid_from = models.DateTimeField()
    note = models.CharField(max_length=300, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )

    class Meta(BaseModel.Meta):
        verbose_name = "price"
        ordering = ["kind", "-valid_from"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "model_id", "gpu_type", "valid_from"],
                name="price_once_per_moment",
                nulls_distinct=False,
            ),
            models.CheckConstraint(condition=Q(amount__gte=0), name="price_amount_not_negative"),
            models.CheckConstraint(condition=Q(per_quantity__gt=0), name="price_per_quantity_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.amount.normalize():f} {self.currency} per {self.unit_label}"

    @property
    def unit_label(self) -> str:
        """The unit for people, such as "CPU hour"."""
        return PRICE_UNITS[self.kind].label


class CostDaily(models.Model):
    """Use and cost of one resource, kind, person and day, from the ledger. `day` is a cost day (a setting)."""

    id = models.BigAutoField(primary_key=True)
    day = models.DateField()
    kind = models.CharField(max_length=24, choices=UsageKind)
    resource_type = models.CharField(max_length=16, choices=CostResource)
    resource_id = models.CharField(max_length=64)
    team = models.ForeignKey("accounts.Team", on_delete=models.PROTECT, related_name="+")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    model_id = models.UUIDField(null=True, blank=True)
    gpu_type = models.CharField(max_length=60, blank=True)
    quantity = models.DecimalField(max_digits=38, decimal_places=9)
    cost = models.DecimalField(max_digits=30, decimal_places=12, default=Decimal(0))

    class Meta:
        ordering = ["-day", "id"]
        verbose_name = "daily cost"
        constraints = [
            models.UniqueConstraint(
                fields=[
                    "day",
                    "kind",
                    "resource_type",
                    "resource_id",
                    "team",
                    "user",
                    "model_id",
                    "gpu_type",
                ],
                name="cost_daily_once",
                nulls_distinct=False,
            )
        ]
        indexes = [
            models.Index(fields=["model_id", "day"], name="cost_daily_model", condition=Q(model_id__isnull=False)),
            models.Index(fields=["team", "day"], name="cost_daily_team"),
            models.Index(fields=["resource_type", "resource_id", "day"], name="cost_daily_resource"),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.kind} {self.quantity}"


class CostState(models.Model):
    """How far the roll-up is. Days before `rolled_until` are answered from the daily table, later from the ledger."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    rolled_until = models.DateField(null=True, blank=True, help_text="First cost day that is not rolled up yet.")
    seen_until = models.DateTimeField(
        null=True, blank=True, help_text="Ledger rows recorded before this moment are accounted for."
    )
    time_zone = models.CharField(max_length=64, blank=True, help_text="The day boundary that was used.")

    def __str__(self) -> str:
        return f"rolled up until {self.rolled_until}"
