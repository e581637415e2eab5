"""States of jobs and attempts, and the values that move between the training app's parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import models


class JobType(models.TextChoices):
    """What a job makes."""

    FINETUNE = "finetune", "Fine-tune"  # adapts an approved base model
    FROM_SCRATCH = "from_scratch", "From scratch"  # a new model of a given architecture
    PRETRAIN = "pretrain", "Pre-training"  # the same on a corpus of plain text
    DISTRIBUTED = "distributed", "Distributed"  # any of these over several GPUs or nodes


class JobStatus(models.TextChoices):
    """Where a job is.

    queued: accepted; its inputs are being prepared, it waits for a place, or for its next attempt after a pause.
    running: an attempt runs, or its output is being collected.
    succeeded, failed, cancelled: final.
    """

    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


JOB_TRANSITIONS: Mapping[str, frozenset[str]] = {
    "queued": frozenset({"running", "failed", "cancelled"}),
    "running": frozenset({"queued", "succeeded", "failed", "cancelled"}),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}
JOB_ACTIVE = frozenset({JobStatus.QUEUED, JobStatus.RUNNING})
JOB_FINAL = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED})


class AttemptStatus(models.TextChoices):
    """Where one attempt at a job is.

    preparing: its inputs are put in place by a task (at `not_before` at the earliest).
    submitted: compute has it; the workload's own state says more.
    running: its process runs. collecting: it ended well; its output is being taken over.
    succeeded, failed, interrupted (taken up again by the next attempt), cancelled: final.
    """

    PREPARING = "preparing", "Preparing"
    SUBMITTED = "submitted", "Submitted"
    RUNNING = "running", "Running"
    COLLECTING = "collecting", "Collecting"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    INTERRUPTED = "interrupted", "Interrupted"
    CANCELLED = "cancelled", "Cancelled"


_ATTEMPT_ENDS = frozenset({"failed", "interrupted", "cancelled"})
ATTEMPT_TRANSITIONS: Mapping[str, frozenset[str]] = {
    "preparing": frozenset({"submitted"}) | _ATTEMPT_ENDS,
    "submitted": frozenset({"running", "collecting"}) | _ATTEMPT_ENDS,
    "running": frozenset({"collecting"}) | _ATTEMPT_ENDS,
    "collecting": frozenset({"succeeded"}) | _ATTEMPT_ENDS,
    "succeeded": frozenset(),
    "failed": frozenset(),
    "interrupted": frozenset(),
    "cancelled": frozenset(),
}
ATTEMPT_FINAL = frozenset(
    {AttemptStatus.SUCCEEDED, AttemptStatus.FAILED, AttemptStatus.INTERRUPTED, AttemptStatus.CANCELLED}
)


@dataclass(frozen=True, slots=True)
class Resources:
    """What a job asks for. `memory_bytes` is the limit; `minutes` 0 = the installation's longest duration."""

    cpu: Decimal
    memory_bytes: int
    gpu_count: int
    gpu_type: str
    nodes: int
    minutes: int


@dataclass(frozen=True, slots=True)
class GpuType:
    """A kind of GPU that jobs may ask for; a higher `priority` is offered first."""

    id: str
    label: str
    enabled: bool
    priority: int


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One recorded figure."""

    name: str
    value: float
    unit: str
    step: int | None
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A submission as it was sent, in snake_case. Nothing in it is trusted yet."""

    job_type: str = ""
    dataset_id: str = ""
    model_id: str = ""
    owner_team: str = ""
    use_gpu: bool = True
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    resource_profile: Mapping[str, Any] = field(default_factory=dict)
    retry_policy: Mapping[str, Any] = field(default_factory=dict)
    notifications: Any = None
    api_base_url: str = ""
    output_model_name: str = ""
    output_model_version: str = ""
    auto_register_output_model: bool = True
    train_job_spec: Mapping[str, Any] | None = None
