"""Long comparisons: worked out by a worker once, kept by the digests of both contents, shown by the page."""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import numpy as np
from django.conf import settings
from django.db import transaction
from django.db.models import Q

from apps.accounts.models import User
from apps.core import clock
from apps.core.errors import DomainError
from apps.core.operations import operation_fail, operation_finish, operation_progress, operation_start
from apps.core.storage import store
from apps.core.tasks import enqueue
from apps.core.transitions import transition
from apps.datasets.comparison import Differences, KeyUnusable, RowComparison, differences, drift_between
from apps.datasets.comparison.paging import changes_at, rows_at
from apps.datasets.models import Dataset, DatasetComparison
from apps.datasets.services.content import content_digest, rows_opened, rows_ranged
from apps.datasets.types import COMPARISON_ACTIVE, COMPARISON_TRANSITIONS, ComparisonStatus

logger = logging.getLogger(__name__)

TASK = "apps.datasets.tasks.dataset_comparison_run"
MAX_ATTEMPTS = 3
SILENCE = timedelta(minutes=3)
WAIT = timedelta(minutes=2)
RETRY_AFTER = timedelta(minutes=1)
KEPT = timedelta(days=30)
_SWEPT = 500


def comparison_for(*, actor: User | None, before: Dataset, after: Dataset, key: Sequence[str]) -> DatasetComparison:
    """The kept comparison of two contents by ``key``, started if there is none.

    One that failed more than a minute ago is started again, unless asking again cannot change the answer. The caller
    has checked that ``actor`` may see both sides.
    """
    digests = {
        "before": content_digest(before),
        "after": content_digest(after),
        "key_digest": hashlib.sha256(json.dumps([list(key), after.type]).encode()).hexdigest(),
    }
    found = DatasetComparison.objects.select_related("operation").filter(**digests).first()
    if found is not None and not _worth_another_try(found):
        return found
    with transaction.atomic():
        comparison, made = DatasetComparison.objects.select_for_update().get_or_create(
            **digests,
            defaults={"key": list(key), "before_dataset": before.pk, "after_dataset": after.pk, "requested_by": actor},
        )
        if not made:
            if not _worth_another_try(comparison):
                return comparison
            transition(
                comparison,
                ComparisonStatus.QUEUED,
                COMPARISON_TRANSITIONS,
                attempts=0,
                before_dataset=before.pk,
                after_dataset=after.pk,
            )
        comparison.operation = operation_start(
            actor=actor,
            team=after.team,
            kind="dataset.compare",
            target_type="dataset",
            target_id=after.pk,
            message="Waiting for a worker",
        )
        comparison.message = "Waiting for a worker"
        comparison.save(update_fields=["operation", "message"])
        enqueue(TASK, str(comparison.pk))
        return comparison


def _worth_another_try(comparison: DatasetComparison) -> bool:
    if comparison.status != ComparisonStatus.FAILED or "keyFault" in comparison.result:
        return False
    return comparison.finished_at is None or clock.now() - comparison.finished_at > RETRY_AFTER


def comparison_run(comparison_id: UUID | str) -> None:
    """The work of one comparison. Safe to call twice, also at once: one call works, the others return."""
    comparison = _claim(comparison_id)
    if comparison is None:
        return
    try:
        before, after = (_side(comparison, name) for name in ("before", "after"))
        report = _Reporter(comparison)
        folder = settings.VAR_DIR / "tmp"
        memory = settings.DATASETS_COMPARE_MEMORY_BYTES
        with rows_opened(before) as old, rows_opened(after) as new:
            report.message = "Comparing the rows"
            found = differences(
                old,
                new,
                after.type,
                key=comparison.key,
                memory=memory,
                folder=folder,
                progress=lambda done, whole: report(60 * done // max(1, whole)),
            )
            report.message = "Comparing the columns"
            drift = drift_between(
                old, new, memory=memory, progress=lambda done, whole: report(60 + 38 * done // max(1, whole))
            )
        _record(comparison.pk, found, drift)
    except KeyUnusable as error:
        _end_failed(comparison.pk, str(error), {"keyFault": str(error)})
    except DomainError as error:
        _end_failed(comparison.pk, error.message)
    except Exception:
        logger.exception("dataset_comparison_failed", extra={"comparison_id": str(comparison.pk)})
        _end_failed(
            comparison.pk, "The comparison broke down unexpectedly. Ask again; if it fails again, tell an operator."
        )


def _claim(comparison_id: UUID | str) -> DatasetComparison | None:
    with transaction.atomic():
        comparison = (
            DatasetComparison.objects.select_for_update(of=("self",))
            .filter(pk=comparison_id, status__in=COMPARISON_ACTIVE)
            .first()
        )
        now = clock.now()
        if comparison is None:
            return None
        lively = comparison.heartbeat_at is not None and now - comparison.heartbeat_at < SILENCE
        if comparison.status == ComparisonStatus.RUNNING and lively:
            return None
        if comparison.attempts >= MAX_ATTEMPTS:
            _end(comparison, ComparisonStatus.FAILED, f"It was interrupted {MAX_ATTEMPTS} times. Ask an operator why.")
            return None
        transition(
            comparison,
            ComparisonStatus.RUNNING,
            COMPARISON_TRANSITIONS,
            attempts=comparison.attempts + 1,
            heartbeat_at=now,
            message="Reading the rows",
        )
        return comparison


def _side(comparison: DatasetComparison, name: str) -> Dataset:
    """The dataset whose rows are one side. Raises DomainError when its content is another by now."""
    dataset = Dataset.objects.filter(pk=getattr(comparison, f"{name}_dataset")).first()
    if dataset is None or content_digest(dataset) != getattr(comparison, name):
        raise DomainError("One side was changed or deleted meanwhile. Compare again.")
    return dataset


class _Reporter:
    """Writes progress, at most once for every percent."""

    def __init__(self, comparison: DatasetComparison) -> None:
        self.comparison, self.shown, self.message = comparison, -1, ""

    def __call__(self, percent: int) -> None:
        if percent == self.shown:
            return
        self.shown = percent
        now = clock.now()
        DatasetComparison.objects.filter(pk=self.comparison.pk, status=ComparisonStatus.RUNNING).update(
            heartbeat_at=now, message=self.message, updated_at=now
        )
        if self.comparison.operation_id:
            operation_progress(self.comparison.operation_id, percent, self.message)


def _record(comparison_id: UUID, found: Differences, drift: list[dict[str, Any]]) -> None:
    """Keep the numbers of the rows in the store, and the counts in the row."""
    key = f"comparisons/{comparison_id}/{secrets.token_hex(4)}.bin"
    parts = (found.added, found.removed, np.ascontiguousarray(found.modified))
    store().put(key, (part.astype("<u4", copy=False).tobytes() for part in parts if part.size))
    with transaction.atomic():
        comparison = (
            DatasetComparison.objects.select_for_update()
            .filter(pk=comparison_id, status=ComparisonStatus.RUNNING)
            .first()
        )
        if comparison is None:
            store().delete(key)
            return
        comparison.rows_key = key
        comparison.result = {
            "added": int(found.added.size),
            "removed": int(found.removed.size),
            "modified": len(found.modified),
            "unchanged": found.unchanged,
            "method": found.method,
            "key": list(found.key),
            "drift": drift,
        }
        comparison.save(update_fields=["rows_key", "result"])
        _end(comparison, ComparisonStatus.SUCCEEDED, "Compared")


def _end(comparison: DatasetComparison, status: ComparisonStatus, message: str) -> None:
    transition(comparison, status, COMPARISON_TRANSITIONS, message=message[:500], finished_at=clock.now())
    if comparison.operation_id is None:
        return
    if status == ComparisonStatus.SUCCEEDED:
        counts = {f"{name}Rows": comparison.result[name] for name in ("added", "removed", "modified")}
        operation_finish(comparison.operation_id, counts, message)
    else:
        operation_fail(comparison.operation_id, message)


def _end_failed(comparison_id: UUID, message: str, result: dict[str, Any] | None = None) -> None:
    with transaction.atomic():
        comparison = (
            DatasetComparison.objects.select_for_update().filter(pk=comparison_id, status__in=COMPARISON_ACTIVE).first()
        )
        if comparison is not None:
            comparison.result = result or {}
            comparison.save(update_fields=["result"])
            _end(comparison, ComparisonStatus.FAILED, message)


def comparison_page(
    comparison: DatasetComparison, before: Dataset, after: Dataset, *, limit: int, offset: int
) -> RowComparison:
    """Counts and one page of a finished comparison; of the store only the parts needed are read. Raises NotFound when
    the store has lost the rows."""
    facts = comparison.result
    added, removed, modified = facts["added"], facts["removed"], facts["modified"]
    first = _numbers(comparison.rows_key, 0, added, limit, offset)
    second = _numbers(comparison.rows_key, added, removed, limit, offset)
    pairs = _numbers(comparison.rows_key, added + removed, 2 * modified, 2 * limit, 2 * offset)
    with rows_ranged(before) as old, rows_ranged(after) as new:
        return RowComparison(
            added=added,
            removed=removed,
            modified=modified,
            unchanged=facts["unchanged"],
            method=facts["method"],
            key=tuple(facts["key"]),
            added_page=rows_at(new, first),
            removed_page=rows_at(old, second),
            modified_page=changes_at(old, new, list(zip(pairs[::2], pairs[1::2], strict=True))),
        )


def _numbers(key: str, start: int, count: int, limit: int, offset: int) -> list[int]:
    """Some of ``count`` numbers that begin at number ``start`` of the kept file."""
    first, last = start + min(offset, count), start + min(offset + limit, count)
    if first >= last:
        return []
    content = b"".join(store().open_range(key, 4 * first, 4 * last))
    return np.frombuffer(content, "<u4").tolist()


def comparisons_reconcile() -> int:
    """Send lost comparisons to a worker again, and forget those that nobody can ask for any more or that are a month
    old. Returns how many were touched."""
    now = clock.now()
    lost = DatasetComparison.objects.filter(
        Q(status=ComparisonStatus.QUEUED, updated_at__lt=now - WAIT)
        | Q(status=ComparisonStatus.RUNNING, heartbeat_at__lt=now - SILENCE)
    )
    ids = [str(pk) for pk in lost.values_list("pk", flat=True)[:_SWEPT]]
    with transaction.atomic():
        for comparison_id in ids:
            enqueue(TASK, comparison_id)
    old = DatasetComparison.objects.exclude(status__in=COMPARISON_ACTIVE).filter(created_at__lt=now - KEPT)
    return len(ids) + sum(comparison_forget(comparison) for comparison in old[:_SWEPT])


def comparison_forget(comparison: DatasetComparison) -> int:
    """Remove a comparison with what it kept in the store."""
    pk = comparison.pk
    comparison.delete()
    transaction.on_commit(lambda: store().delete_prefix(f"comparisons/{pk}"), robust=True)
    return 1


def comparisons_forget(dataset: Dataset) -> None:
    """Forget all comparisons with the content of ``dataset``, which is about to be deleted."""
    digest = content_digest(dataset)
    for comparison in DatasetComparison.objects.filter(Q(before=digest) | Q(after=digest)):
        comparison_forget(comparison)
