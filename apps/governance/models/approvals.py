"""Approvals: a question put to reviewers about one version of one thing, and what they said."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.urls import reverse

from apps.core import clock
from apps.core.models import BaseModel, TeamOwnedModel
from apps.governance.types import ApprovalStatus, Decision


class ApprovalRequest(TeamOwnedModel):
    """`created_by` is who asked. `digest` pins what was asked about; `title` and `author_ids` are as they were then."""

    AUDIT_TYPE = "approval"
    SHARED_STATUSES = ()

    kind = models.CharField(max_length=40)
    subject_id = models.UUIDField()
    title = models.CharField(max_length=300)
    status = models.CharField(max_length=20, choices=ApprovalStatus, default=ApprovalStatus.OPEN)
    digest = models.CharField(max_length=64)
    quorum = models.PositiveSmallIntegerField(default=1)
    author_ids = ArrayField(
        models.CharField(max_length=40),
        default=list,
        blank=True,
        help_text="Users who may never decide this.",
    )
    notes = models.TextField(blank=True)
    gates = models.JSONField(default=list, blank=True, help_text="What the checks said when it was submitted.")
    decision_gates = models.JSONField(
        default=list, blank=True, help_text="What the checks said when approval was last tried."
    )
    due_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_reason = models.TextField(blank=True)

    class Meta(TeamOwnedModel.Meta):
        verbose_name = "approval request"
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject_id"],
                condition=Q(status="open"),
                name="approval_one_open_per_subject",
            ),
            models.CheckConstraint(condition=Q(quorum__gte=1), name="approval_quorum_positive"),
        ]
        indexes = [
            models.Index(fields=["kind", "subject_id", "-created_at"], name="approval_subject"),
            models.Index(fields=["status", "due_at"], name="approval_queue"),
        ]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        """The approval's page."""
        return reverse("governance:approval-detail", args=[self.pk])

    @property
    def is_open(self) -> bool:
        """True while it waits for decisions."""
        return self.status == ApprovalStatus.OPEN

    @property
    def is_overdue(self) -> bool:
        """True when it waits for longer than it should."""
        return self.is_open and self.due_at <= clock.now()


class ApprovalDecision(BaseModel):
    """One reviewer's word on one request; nobody speaks twice."""

    request = models.ForeignKey(ApprovalRequest, on_delete=models.CASCADE, related_name="decisions")
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    decision = models.CharField(max_length=20, choices=Decision)
    notes = models.TextField(blank=True)
    digest = models.CharField(max_length=64, help_text="What exactly was decided about.")
    at = models.DateTimeField(default=clock.now)

    class Meta(BaseModel.Meta):
        ordering = ["at", "id"]
        constraints = [models.UniqueConstraint(fields=["request", "actor"], name="approval_one_decision_per_person")]

    def __str__(self) -> str:
        return f"{self.decision} by {self.actor_id}"
