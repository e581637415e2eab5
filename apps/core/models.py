"""Abstract bases, the audit event, operations that people can watch, idempotency keys."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models

from apps.core import clock


class BaseModel(models.Model):
    """UUID key and the two timestamps every row has."""

    AUDIT_TYPE: ClassVar[str] = ""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False, db_index=True)
    updated_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        abstract = True
        ordering = ["-created_at", "id"]

    def save(self, *args: object, **kwargs: object) -> None:
        """Keep ``updated_at`` true, also when only some fields are saved."""
        self.updated_at = clock.now()
        update_fields = kwargs.get("update_fields")
        if update_fields is not None:
            kwargs["update_fields"] = {*update_fields, "updated_at"}  # type: ignore[misc]
        super().save(*args, **kwargs)  # type: ignore[arg-type]


class Visibility(models.TextChoices):
    """Who besides the owning team may see a thing."""

    TEAM = "team", "Team"
    ORGANISATION = "organisation", "Organisation"


class TeamOwnedModel(BaseModel):
    """A thing that belongs to one team; :func:`apps.core.permissions.visible_to` reads these columns."""

    SHARED_STATUSES: ClassVar[tuple[str, ...]] = ("approved",)

    team = models.ForeignKey("accounts.Team", on_delete=models.PROTECT, related_name="+")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    visibility = models.CharField(max_length=16, choices=Visibility, default=Visibility.TEAM)

    class Meta(BaseModel.Meta):
        abstract = True


class AuditResult(models.TextChoices):
    """Whether the recorded attempt went through."""

    ALLOWED = "allowed", "Allowed"
    DENIED = "denied", "Denied"


class AuditEvent(models.Model):
    """One administrative action or denial. Rows are only ever inserted (database triggers refuse the rest)."""

    AUDIT_TYPE: ClassVar[str] = "audit"

    sequence = models.BigAutoField(primary_key=True)
    id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    occurred_at = models.DateTimeField(default=clock.now, db_index=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    actor_name = models.CharField(max_length=150, help_text="User name at the time, or 'system'.")
    action = models.CharField(max_length=100, db_index=True)
    resource_type = models.CharField(max_length=50)
    resource_id = models.CharField(max_length=64, blank=True)
    team = models.ForeignKey("accounts.Team", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    result = models.CharField(max_length=10, choices=AuditResult, default=AuditResult.ALLOWED)
    request_id = models.CharField(max_length=64, blank=True)
    metadata = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["-sequence"]
        indexes = [
            models.Index(fields=["resource_type", "resource_id", "-sequence"], name="audit_resource"),
            models.Index(fields=["actor", "-sequence"], name="audit_actor"),
            models.Index(fields=["team", "-sequence"], name="audit_team"),
        ]

    def __str__(self) -> str:
        return f"{self.sequence} {self.actor_name} {self.action} {self.result}"

    @property
    def who(self) -> str:
        """The person's name as pages show it; `actor_name` is the user name that was recorded. Join `actor` first."""
        actor: Any = self.actor
        return str(getattr(actor, "display_name", "") or self.actor_name)


class OperationStatus(models.TextChoices):
    """Life of a piece of background work."""

    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


class Operation(TeamOwnedModel):
    """Background work that a person can see and a program can poll: who started it, how far it is, how it ended."""

    AUDIT_TYPE = "operation"
    SHARED_STATUSES = ()

    kind = models.CharField(max_length=60)
    status = models.CharField(max_length=12, choices=OperationStatus, default=OperationStatus.QUEUED)
    progress = models.PositiveSmallIntegerField(default=0, validators=[MaxValueValidator(100)])
    message = models.CharField(max_length=500, blank=True)
    result = models.JSONField(default=dict, blank=True)
    target_type = models.CharField(max_length=50, blank=True)
    target_id = models.CharField(max_length=64, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta(TeamOwnedModel.Meta):
        indexes = [models.Index(fields=["target_type", "target_id", "-created_at"], name="operation_target")]

    def __str__(self) -> str:
        return f"{self.kind} {self.status} {self.progress}%"


class UploadStatus(models.TextChoices):
    """Life of one file on its way in."""

    RECEIVING = "receiving", "Receiving"  # bytes are missing; leaves by the last byte, by cancelling, by its time
    RECEIVED = "received", "Received"  # all bytes are there; waits to be taken into its target
    FINISHING = "finishing", "Being taken"  # assembled, hashed, read; comes back to received when refused
    ATTACHED = "attached", "Taken"  # a file of its target now
    CANCELLED = "cancelled", "Cancelled"  # given up by its owner, or its bytes were not what was announced
    EXPIRED = "expired", "Expired"  # abandoned; its bytes are swept


class UploadSession(TeamOwnedModel):
    """One file that arrives in pieces, beside the thing that it will belong to. Only its creator sees it.

    The bytes lie under ``uploads/<id>/`` in the store until the target takes them in one transaction.
    """

    AUDIT_TYPE = "upload"
    SHARED_STATUSES = ()

    target_type = models.CharField(max_length=50)
    target_id = models.UUIDField()
    filename = models.CharField(max_length=255)
    size = models.BigIntegerField(help_text="Bytes announced.")
    offset = models.BigIntegerField(default=0, help_text="Bytes received and kept.")
    status = models.CharField(max_length=10, choices=UploadStatus, default=UploadStatus.RECEIVING)
    expected_sha256 = models.CharField(max_length=64, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    store_upload_id = models.CharField(max_length=500, blank=True, help_text="The store's name of a multipart upload.")
    block_size = models.PositiveIntegerField(help_text="Bytes written to the store at a time.")
    writer = models.CharField(
        max_length=32, blank=True, help_text="The request that writes now; a newer one replaces it."
    )
    attempts = models.PositiveSmallIntegerField(default=0, help_text="How often taking it was begun.")
    expires_at = models.DateTimeField()
    operation = models.ForeignKey(Operation, on_delete=models.SET_NULL, null=True, blank=True, related_name="uploads")

    class Meta(TeamOwnedModel.Meta):
        verbose_name = "upload"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(offset__gte=0, size__gte=1) & models.Q(offset__lte=models.F("size")),
                name="upload_offset_within_size",
            ),
        ]
        indexes = [
            models.Index(fields=["status", "expires_at"], name="upload_expiry"),
            models.Index(fields=["target_type", "target_id", "created_by"], name="upload_target"),
        ]

    def __str__(self) -> str:
        return self.filename

    @property
    def key(self) -> str:
        """Where its bytes lie in the store."""
        return f"uploads/{self.pk}/data"

    @property
    def progress(self) -> int:
        """Percent received."""
        return 100 * self.offset // max(1, self.size)


class UploadPart(models.Model):
    """A part of an upload that the object store holds, by the tag that it answered with: parts sent twice exist twice
    in some stores, and the tag says which one counts."""

    session = models.ForeignKey(UploadSession, on_delete=models.CASCADE, related_name="parts")
    number = models.PositiveIntegerField()
    tag = models.CharField(max_length=200)
    size = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["session", "number"], name="upload_part_once")]

    def __str__(self) -> str:
        return f"part {self.number}"


class IdempotencyKey(models.Model):
    """The stored answer of a creating request, so that its repetition changes nothing."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 over method, path and body.")
    status_code = models.PositiveSmallIntegerField(null=True, help_text="Empty while the first request still runs.")
    answer = models.TextField(blank=True, help_text="Encrypted JSON body.")
    created_at = models.DateTimeField(default=clock.now, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_once_per_user")]

    def __str__(self) -> str:
        return self.key
