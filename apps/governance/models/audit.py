"""The chain that makes the audit trail tamper-evident. Events stay as written; their seals are rows of their own."""

from __future__ import annotations

import uuid

from django.db import models

from apps.core import clock


class AuditSeal(models.Model):
    """One link: the hash of an event's content together with the hash of the link before it.

    Positions have no gaps. No foreign key: a link must outlive an event that somebody removed, to tell of it.
    """

    position = models.BigIntegerField(primary_key=True)
    event_sequence = models.BigIntegerField(unique=True)
    event_id = models.UUIDField(default=uuid.uuid4)
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)
    sealed_at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["position"]
        verbose_name = "audit seal"

    def __str__(self) -> str:
        return f"{self.position} {self.hash[:12]}"


class AuditChainHead(models.Model):
    """The last link, kept apart, so that cutting off the chain's end shows. One row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    position = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64)
    sealed_at = models.DateTimeField(default=clock.now)

    def __str__(self) -> str:
        return f"{self.position} {self.hash[:12]}"
