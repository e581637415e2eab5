"""Workloads, their events, the intervals they used resources in, and the reconciler's heartbeat."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import Q

from apps.compute.types import ACTIVE_STATES, FINAL_STATES, Desired, SlotClass, WorkloadKind, WorkloadState
from apps.core.models import BaseModel, TeamOwnedModel


def _choices(
    values: type[WorkloadKind | WorkloadState | Desired | SlotClass],
) -> list[tuple[str, str]]:
    return [(item.value, item.value) for item in values]


class Workload(TeamOwnedModel):
    """What runs, ran or will run on a backend: one attempt at one job, one revision of one endpoint.

    `name` is what the backend knows it by: derived from owner and attempt, so that asking twice starts one.
    `spec` is the snapshot without secrets; `spec_secrets` holds those, encrypted.
    """

    kind = models.CharField(max_length=16, choices=_choices(WorkloadKind))
    owner_type = models.CharField(max_length=48)
    owner_id = models.UUIDField()
    model_id = models.UUIDField(null=True, blank=True)
    backend = models.CharField(max_length=32)
    name = models.CharField(max_length=63, unique=True)
    attempt = models.PositiveIntegerField(default=1)
    slot_class = models.CharField(max_length=16, choices=_choices(SlotClass))
    priority = models.IntegerField(default=0)
    spec = models.JSONField()
    spec_secrets = models.TextField(blank=True, default="")
    cpu = models.DecimalField(max_digits=9, decimal_places=3, default=Decimal(1))
    memory_bytes = models.BigIntegerField(default=0)
    gpu_count = models.PositiveIntegerField(default=0)
    gpu_type = models.CharField(max_length=64, blank=True, default="")
    desired = models.CharField(max_length=16, choices=_choices(Desired), default=Desired.RUNNING)
    state = models.CharField(max_length=16, choices=_choices(WorkloadState), default=WorkloadState.PENDING)
    reason_code = models.CharField(max_length=32, blank=True, default="")
    reason = models.TextField(blank=True, default="")
    remedy = models.TextField(blank=True, default="")
    exit_code = models.IntegerField(null=True, blank=True)
    pid = models.IntegerField(null=True, blank=True)
    address = models.CharField(max_length=255, blank=True, default="")
    port = models.PositiveIntegerField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ready_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    stop_requested_at = models.DateTimeField(null=True, blank=True)
    stop_reason = models.TextField(blank=True, default="")
    peak_memory_bytes = models.BigIntegerField(null=True, blank=True)
    cpu_seconds_used = models.FloatField(null=True, blank=True)

    AUDIT_TYPE = "workload"
    SHARED_STATUSES = ()

    class Meta(TeamOwnedModel.Meta):
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["owner_type", "owner_id", "-attempt"], name="workload_owner"),
            models.Index(
                fields=["backend", "slot_class", "created_at"],
                name="workload_active",
                condition=Q(state__in=sorted(ACTIVE_STATES)),
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["owner_type", "owner_id", "attempt"], name="workload_attempt_once"),
            models.CheckConstraint(
                condition=~Q(state__in=sorted(FINAL_STATES)) | Q(finished_at__isnull=False),
                name="workload_final_has_end",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_active(self) -> bool:
        """Whether it waits, starts or runs."""
        return self.state in ACTIVE_STATES

    @property
    def url(self) -> str:
        """Base address of what it serves, while it has one."""
        return f"http://{self.address}:{self.port}" if self.address and self.port else ""


class WorkloadEvent(BaseModel):
    """One change of a workload, in the order they happened. Never changed afterwards."""

    workload = models.ForeignKey(Workload, on_delete=models.CASCADE, related_name="events")
    from_state = models.CharField(max_length=16, blank=True, default="")
    to_state = models.CharField(max_length=16)
    reason_code = models.CharField(max_length=32, blank=True, default="")
    message = models.TextField(blank=True, default="")
    occurred_at = models.DateTimeField()

    class Meta:
        ordering = ["occurred_at", "created_at"]
        indexes = [models.Index(fields=["workload", "occurred_at"], name="workload_event_order")]

    def __str__(self) -> str:
        return f"{self.from_state or 'new'} → {self.to_state}"


class ResourceInterval(BaseModel):
    """Half-open time [started_at, ended_at) in which a workload held its resources; what costs come from.

    `billed_until` is how far it has been written to the usage ledger; everything before it is there, once.
    """

    workload = models.ForeignKey(Workload, on_delete=models.PROTECT, related_name="intervals")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    billed_until = models.DateTimeField()
    settled = models.BooleanField(default=False)
    cpu = models.DecimalField(max_digits=9, decimal_places=3)
    memory_bytes = models.BigIntegerField()
    gpu_count = models.PositiveIntegerField()

    class Meta:
        ordering = ["started_at"]
        constraints = [
            models.UniqueConstraint(fields=["workload"], condition=Q(ended_at__isnull=True), name="interval_one_open"),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=models.F("started_at")),
                name="interval_ends_after_start",
            ),
        ]
        indexes = [
            models.Index(fields=["billed_until"], name="interval_unsettled", condition=Q(settled=False)),
        ]

    def __str__(self) -> str:
        return f"{self.workload_id} from {self.started_at:%Y-%m-%d %H:%M:%S}"


class ReconcilerBeat(models.Model):
    """The last sign of life of the reconciler, for health pages. One row."""

    name = models.CharField(primary_key=True, max_length=32)
    holder = models.CharField(max_length=255)
    beat_at = models.DateTimeField()
    pass_ms = models.FloatField(default=0)
    active = models.PositiveIntegerField(default=0)
    problem = models.TextField(blank=True, default="")

    def __str__(self) -> str:
        return f"{self.name} by {self.holder}"
