"""Where a job's files lie while it is worked on, and who may work there."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db.models import Q

from apps.core import clock
from apps.training.models import JobAttempt

LEASE = timedelta(minutes=10)


def job_folder(job_id: UUID) -> Path:
    """Return the job's work folder; `inputs` and `output` lie in it, and attempts share it."""
    return Path(settings.VAR_DIR) / "work" / "training" / str(job_id)


def folder_clear(job_id: UUID) -> None:
    """Remove a job's work folder."""
    shutil.rmtree(job_folder(job_id), ignore_errors=True)


def lease_take(attempt_id: UUID) -> bool:
    """Take the attempt for one task; False while another task has it. A dead task's lease runs out."""
    now = clock.now()
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
    return JobAttempt.objects.filter(free, pk=attempt_id).update(lease_until=now + LEASE) == 1


def lease_drop(attempt_id: UUID, trouble: str = "") -> None:
    """Give the attempt back; `trouble` is what people see when the task could not finish."""
    JobAttempt.objects.filter(pk=attempt_id).update(lease_until=None, trouble=trouble)
