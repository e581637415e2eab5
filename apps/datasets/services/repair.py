"""Sweeps: checks that no worker works on, and files in the store that belong to nothing."""

from __future__ import annotations

import time
from datetime import timedelta

from django.db import transaction
from django.db.models import Q

from apps.core import clock
from apps.core.storage import store
from apps.core.tasks import enqueue
from apps.datasets.models import Dataset, DatasetCheck, DatasetFile
from apps.datasets.services.checks import SILENCE, TASK, check_start
from apps.datasets.types import CHECK_ACTIVE, CheckStatus

WAIT = timedelta(minutes=2)
LEFTOVER_AGE_SECONDS = 24 * 3600


def checks_reconcile() -> int:
    """Send lost checks to a worker again, and start those that should exist. Returns how many."""
    now = clock.now()
    lost = DatasetCheck.objects.filter(
        Q(status=CheckStatus.QUEUED, created_at__lt=now - WAIT)
        | Q(status=CheckStatus.RUNNING, heartbeat_at__lt=now - SILENCE)
    )
    ids = [str(pk) for pk in lost.values_list("pk", flat=True)[:500]]
    with transaction.atomic():
        for check_id in ids:
            enqueue(TASK, check_id)
    unchecked = Dataset.objects.filter(last_check=None).exclude(rows_key="").exclude(checks__status__in=CHECK_ACTIVE)
    # One that failed was seen by somebody; it is theirs to run again.
    unchecked = unchecked.exclude(checks__status=CheckStatus.FAILED)
    started = 0
    for pk in list(unchecked.values_list("pk", flat=True)[:500]):
        with transaction.atomic():
            dataset = Dataset.objects.select_for_update(of=("self",)).select_related("team").filter(pk=pk).first()
            if dataset is not None and not dataset.checks.exists():
                check_start(dataset=dataset, actor=None)
                started += 1
    return len(ids) + started


def leftovers_remove() -> int:
    """Remove objects below ``datasets/`` that no row names and whose upload began a day ago. Returns how
    many."""
    keys = store().list("datasets")
    known = set(DatasetFile.objects.values_list("storage_key", flat=True))
    known.update(Dataset.objects.exclude(rows_key="").values_list("rows_key", flat=True))
    removed = 0
    for key in keys:
        if key not in known and _age_seconds(key) > LEFTOVER_AGE_SECONDS:
            store().delete(key)
            removed += 1
    return removed


def _age_seconds(key: str) -> float:
    """Seconds since the upload that wrote this key began (its folder's name begins with the time); 0 if
    unreadable."""
    parts = key.split("/")
    stamp = parts[4] if len(parts) > 4 else ""
    try:
        return time.time() - int(stamp.partition("-")[0], 16)
    except ValueError:
        return 0.0
