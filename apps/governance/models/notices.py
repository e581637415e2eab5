"""Notices: what a person has to know although they did not ask."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.core.models import BaseModel


class Notice(BaseModel):
    """One sentence to one person. `key` names the occasion: the same occasion is told once."""

    AUDIT_TYPE = "notice"

    recipient = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notices")
    key = models.CharField(max_length=200)
    tone = models.CharField(max_length=10, choices=[("info", "Info"), ("warning", "Warning"), ("danger", "Danger")])
    title = models.CharField(max_length=300)
    text = models.TextField(blank=True)
    url = models.CharField(max_length=300, blank=True, help_text="Page of what it is about.")
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta(BaseModel.Meta):
        constraints = [models.UniqueConstraint(fields=["recipient", "key"], name="notice_once_per_occasion")]
        indexes = [
            models.Index(fields=["recipient", "-created_at"], condition=Q(read_at=None), name="notice_unread"),
        ]

    def __str__(self) -> str:
        return self.title
