"""Comparing two versions of a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from apps.accounts.models import User
from apps.core import versions
from apps.core.errors import NotFound, ValidationFailed
from apps.datasets.comparison import KeyUnusable, RowComparison, compare_rows, schema_changes
from apps.datasets.models import Dataset
from apps.datasets.selectors import check_results, dataset_get, datasets_visible_to, statistics_by_column
from apps.datasets.services.content import rows_opened
from apps.governance.services import authorize


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two versions and everything in which they differ."""

    before: Dataset
    after: Dataset
    rows: RowComparison
    schema: list[dict[str, Any]]
    statistics: dict[str, Any]


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
    """Compare version ``before`` with version ``after`` (numbers or ids).

    Raises NotFound, Conflict (one has no files), ValidationFailed (``key`` does not identify rows).
    """
    dataset = dataset_get(actor=actor, dataset_id=dataset_id)
    old = version_find(actor=actor, dataset=dataset, version=before)
    new = version_find(actor=actor, dataset=dataset, version=after)
    for side in (old, new):
        authorize(actor=actor, action="dataset.view", obj=side)
    try:
        with rows_opened(old) as old_rows, rows_opened(new) as new_rows:
            rows = compare_rows(old_rows, new_rows, new.type, key=key, limit=limit, offset=offset)
    except KeyUnusable as error:
        raise ValidationFailed.field("key", "unusable_key", str(error)) from error
    return Comparison(old, new, rows, schema_changes(old.column_list, new.column_list), _statistics(old, new))


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
