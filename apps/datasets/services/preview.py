"""Preview: some rows — as they stand, searched or sorted —, the schema, statistics."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from django.core.cache import cache

from apps.accounts.models import User
from apps.core.errors import NotFound, Unavailable, ValidationFailed
from apps.datasets.browsing import KEPT_MATCHES, Browse, BrowseRefused, Found, browse
from apps.datasets.models import Dataset
from apps.datasets.reading import RowsFile
from apps.datasets.selectors import check_results, dataset_get
from apps.datasets.services.content import rows_ranged
from apps.governance.services import authorize

MAX_PAGE = 1_000
_REMEMBERED_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Preview:
    """One page of rows with what is known of the whole. ``numbers`` are those of the rows, from 1; ``total`` counts the
    rows that match the search (without one: all)."""

    dataset: Dataset
    rows: list[dict[str, Any]]
    numbers: list[int]
    schema: list[dict[str, Any]]
    statistics: dict[str, Any]
    total: int


def dataset_preview(
    *,
    actor: User | None,
    dataset_id: object,
    limit: int = 50,
    offset: int = 0,
    order_by: str = "",
    q: str = "",
    column: str = "",
) -> Preview:
    """Rows ``offset`` to ``offset + limit`` as uploaded (very long cells cut), schema and statistics.

    ``q`` keeps rows that hold the text (in ``column``, else anywhere), ``order_by`` sorts by a column (``-name``:
    descending). Of a remote store only what is needed is read. Raises NotFound, PermissionRefused; ValidationFailed for
    an unknown column; Unavailable when the store has lost the rows.
    """
    dataset = dataset_get(actor=actor, dataset_id=dataset_id)
    authorize(actor=actor, action="dataset.view", obj=dataset)
    asked = Browse(q, column, order_by)
    limit, offset = max(0, min(limit, MAX_PAGE)), max(0, offset)
    total = dataset.row_count or 0
    rows: list[dict[str, Any]] = []
    numbers: list[int] = []
    if dataset.has_files:
        try:
            total, numbers, rows = _page(dataset, asked, limit, offset)
        except BrowseRefused as refused:
            raise ValidationFailed.field(refused.field, refused.code, refused.message) from refused
        except NotFound as error:
            raise Unavailable(f"The stored rows of {dataset} cannot be found. Tell an operator.") from error
    check = check_results(dataset) if dataset.has_files else None
    schema = [{"name": column.name, "type": column.kind, "nullable": column.nullable} for column in dataset.column_list]
    statistics = {
        "total_rows": dataset.row_count or 0,
        "column_count": len(schema),
        "file_size": dataset.size_bytes,
        "format": dataset.format or None,
        "columns": check.statistics if check is not None else [],
    }
    return Preview(dataset, rows, numbers, schema, statistics, total)


def _page(dataset: Dataset, asked: Browse, limit: int, offset: int) -> tuple[int, list[int], list[dict[str, Any]]]:
    total = dataset.row_count or 0
    asked.sorted_by(dataset.column_list)
    asked.searched(dataset.column_list)
    if asked.is_plain and offset >= total:
        return total, [], []
    with rows_ranged(dataset) as content:
        if asked.is_plain:
            rows = content.page(limit, offset)
            return total, list(range(offset + 1, offset + 1 + len(rows))), rows
        found = _found(dataset, content, asked, limit, offset)
        return found.total, [number + 1 for number in found.numbers], content.take(found.numbers)


def _found(dataset: Dataset, content: RowsFile, asked: Browse, limit: int, offset: int) -> Found:
    """What :func:`browse` finds; the first matches of a search are remembered for a while, so that turning pages does
    not read everything again."""
    if asked.order:
        return browse(content, asked, limit, offset)
    facts = json.dumps([dataset.rows_sha256, asked.query, asked.column])
    key = f"datasets:search:{hashlib.sha256(facts.encode()).hexdigest()}"
    kept: tuple[int, list[int]] | None = cache.get(key)
    if kept is None and offset + limit <= KEPT_MATCHES:
        first = browse(content, asked, KEPT_MATCHES, 0)
        kept = (first.total, first.numbers)
        cache.set(key, kept, _REMEMBERED_SECONDS)
    if kept is not None and (offset + limit <= KEPT_MATCHES or offset >= kept[0]):
        return Found(kept[0], kept[1][offset : offset + limit])
    return browse(content, asked, limit, offset)
