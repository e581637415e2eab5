"""Comparing two datasets: versions of one name, or any two that the actor may see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.conf import settings

from apps.accounts.models import User
from apps.core import versions
from apps.core.errors import Conflict, NotFound, Unavailable, ValidationFailed
from apps.datasets.comparison import KeyUnusable, RowComparison, compare_rows, drift_between, schema_changes
from apps.datasets.models import Dataset
from apps.datasets.selectors import check_results, dataset_get, datasets_visible_to, statistics_by_column
from apps.datasets.services.comparisons import comparison_for, comparison_page
from apps.datasets.services.content import rows_opened
from apps.datasets.types import ComparisonStatus
from apps.governance.services import authorize

MAX_KEY_COLUMNS = 16


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two datasets and everything in which they differ.

    ``rows`` is ``None`` while a worker is still comparing (``status`` queued or running, ``progress`` in percent).
    """

    before: Dataset
    after: Dataset
    rows: RowComparison | None
    schema: list[dict[str, Any]]
    statistics: dict[str, Any]
    status: str = ComparisonStatus.SUCCEEDED
    progress: int = 100
    message: str = ""
    operation_id: UUID | None = None
    key: tuple[str, ...] = field(default=())


def version_find(*, actor: User | None, dataset: Dataset, version: str) -> Dataset:
    """A version of the same dataset by its number, or any visible dataset by its id. Raises NotFound."""
    visible = datasets_visible_to(actor)
    try:
        return visible.get(pk=UUID(version))
    except (ValueError, Dataset.DoesNotExist):
        pass
    if versions.is_version(version):
        key = versions.version_key(version)
        found = visible.filter(team_id=dataset.team_id, name=dataset.name, version_key=key).first()
        if found is not None:
            return found
    raise NotFound(f"There is no version {version[:64]} of “{dataset.name}”.")


def dataset_compare(
    *,
    actor: User | None,
    dataset_id: object,
    before: str,
    after: str,
    key: Sequence[str] = (),
    limit: int = 20,
    offset: int = 0,
) -> Comparison:
    """Compare version ``before`` with version ``after`` (numbers of this dataset, or ids of any visible ones).

    Up to a number of rows from the settings the answer is complete; above it a worker compares, and asking again shows
    its progress and then the result. Raises NotFound, Conflict (one has no files; the worker failed), ValidationFailed
    (``key`` does not identify rows).
    """
    dataset = dataset_get(actor=actor, dataset_id=dataset_id)
    old = version_find(actor=actor, dataset=dataset, version=before)
    new = version_find(actor=actor, dataset=dataset, version=after)
    for side in (old, new):
        authorize(actor=actor, action="dataset.view", obj=side)
        if not side.has_files:
            raise Conflict(f"{side} has no files yet. Upload some first.", code="no_files")
    key = tuple(dict.fromkeys(key))
    if len(key) > MAX_KEY_COLUMNS:
        raise ValidationFailed.field("key", "too_many", f"At most {MAX_KEY_COLUMNS} columns identify a row.")
    schema = schema_changes(old.column_list, new.column_list)
    statistics = _statistics(old, new)
    if (old.row_count or 0) + (new.row_count or 0) > settings.DATASETS_COMPARE_INLINE_ROWS:
        return _by_worker(actor, old, new, key, schema, statistics, limit, offset)
    try:
        with rows_opened(old) as old_rows, rows_opened(new) as new_rows:
            rows = compare_rows(old_rows, new_rows, new.type, key=key, limit=limit, offset=offset)
            drift = drift_between(old_rows, new_rows, memory=settings.DATASETS_COMPARE_MEMORY_BYTES)
    except KeyUnusable as error:
        raise ValidationFailed.field("key", "unusable_key", str(error)) from error
    return Comparison(old, new, rows, schema, {**statistics, "drift": drift}, key=key)


def _by_worker(
    actor: User | None,
    old: Dataset,
    new: Dataset,
    key: tuple[str, ...],
    schema: list[dict[str, Any]],
    statistics: dict[str, Any],
    limit: int,
    offset: int,
) -> Comparison:
    found = comparison_for(actor=actor, before=old, after=new, key=key)
    if found.status == ComparisonStatus.FAILED:
        if fault := found.result.get("keyFault"):
            raise ValidationFailed.field("key", "unusable_key", fault)
        raise Conflict(f"The comparison failed: {found.message}", code="comparison_failed")
    if found.status != ComparisonStatus.SUCCEEDED:
        return Comparison(
            old,
            new,
            None,
            schema,
            {**statistics, "drift": []},
            status=found.status,
            progress=found.operation.progress if found.operation else 0,
            message=found.message,
            operation_id=found.operation_id,
            key=key,
        )
    try:
        rows = comparison_page(found, old, new, limit=limit, offset=offset)
    except NotFound as error:
        raise Unavailable(f"The stored rows of {old} or {new} cannot be found. Tell an operator.") from error
    drift = found.result["drift"]
    return Comparison(old, new, rows, schema, {**statistics, "drift": drift}, operation_id=found.operation_id, key=key)


def _statistics(old: Dataset, new: Dataset) -> dict[str, Any]:
    before, after = (statistics_by_column(check_results(side)) for side in (old, new))
    shared = [name for name in before if name in after]
    return {
        "before": _facts(old),
        "after": _facts(new),
        "columns": [{"name": name, "before": before[name], "after": after[name]} for name in shared],
    }


def _facts(dataset: Dataset) -> dict[str, Any]:
    return {
        "totalRows": dataset.row_count or 0,
        "columnCount": len(dataset.columns),
        "fileSize": dataset.size_bytes,
        "format": dataset.format or None,
        "qualityScore": dataset.quality_score,
        "piiScanStatus": dataset.pii_scan_status,
    }
