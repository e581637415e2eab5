"""Policies: rules that take away what roles and grants would allow."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.db import models
from django.db.models.functions import Lower
from django.urls import reverse

from apps.core import clock
from apps.core.models import BaseModel
from apps.governance.types import SCOPE_ALIASES, PolicyScope, PolicyStatus

REVIEW_DAYS = 90


def next_review() -> datetime:
    """A policy is looked at again every ninety days."""
    return clock.now() + timedelta(days=REVIEW_DAYS)


class Policy(BaseModel):
    """A rule over actions in one scope, for everybody (no team) or for one team's things.

    `rules` is stored exactly as it was sent; what it means is in `apps.governance.policy.rules`.
    """

    AUDIT_TYPE = "policy"

    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    scope = models.CharField(max_length=20, choices=PolicyScope)
    team = models.ForeignKey(
        "accounts.Team",
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        help_text="Empty: counts for every team.",
    )
    rules = models.JSONField(default=dict, blank=True)
    status = models.CharField(max_length=10, choices=PolicyStatus, default=PolicyStatus.DRAFT, db_index=True)
    version = models.PositiveIntegerField(default=1, help_text="Counts the changes of scope, team or rules.")
    review_due = models.DateTimeField(default=next_review)
    activated_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )

    class Meta(BaseModel.Meta):
        verbose_name = "policy"
        verbose_name_plural = "policies"
        constraints = [
            models.UniqueConstraint(Lower("name"), "team", name="policy_name_once", nulls_distinct=False),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """The policy's page."""
        return reverse("governance:policy-detail", args=[self.pk])

    @property
    def effective_scope(self) -> str:
        """The scope with the older names resolved."""
        return SCOPE_ALIASES.get(self.scope, self.scope)

    @property
    def review_overdue(self) -> bool:
        """True when an active policy should have been looked at by now."""
        return self.status == PolicyStatus.ACTIVE and self.review_due <= clock.now()


class PolicyVersion(models.Model):
    """One row that changes whenever any policy does: processes compare it with what they have compiled."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    token = models.UUIDField(default=uuid.uuid4)

    def __str__(self) -> str:
        return str(self.token)
