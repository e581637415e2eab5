"""Preview: some rows, the schema, statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from apps.accounts.models import User
from apps.core.errors import NotFound, Unavailable
from apps.datasets.models import Dataset
from apps.datasets.selectors import check_results, dataset_get
from apps.datasets.services.content import rows_opened
from apps.governance.services import authorize

MAX_PAGE = 1_000
# A page of huge cells must not become a huge answer.
MAX_TEXT = 20_000


@dataclass(frozen=True, slots=True)
class Preview:
    """One page of rows with what is known of the whole."""

    dataset: Dataset
    rows: list[dict[str, Any]]
    schema: list[dict[str, Any]]
    statistics: dict[str, Any]
    total: int


def dataset_preview(*, actor: User | None, dataset_id: object, limit: int = 50, offset: int = 0) -> Preview:
    """Rows ``offset`` to ``offset + limit`` as uploaded (very long texts cut), schema and statistics.

    Raises NotFound, PermissionRefused; Unavailable when the store has lost the rows.
    """
    dataset = dataset_get(actor=actor, dataset_id=dataset_id)
    authorize(actor=actor, action="dataset.view", obj=dataset)
    rows: list[dict[str, Any]] = []
    total = dataset.row_count or 0
    if dataset.has_files and offset < total:
        try:
            with rows_opened(dataset) as content:
                page = content.page(max(0, min(limit, MAX_PAGE)), max(0, offset))
        except NotFound as error:
            raise Unavailable(f"The stored rows of {dataset} cannot be found. Tell an operator.") from error
        rows = [{name: _shortened(value) for name, value in row.items()} for row in page]
    check = check_results(dataset) if dataset.has_files else None
    schema = [{"name": column.name, "type": column.kind, "nullable": column.nullable} for column in dataset.column_list]
    statistics = {
        "total_rows": total,
        "column_count": len(schema),
        "file_size": dataset.size_bytes,
        "format": dataset.format or None,
        "columns": check.statistics if check is not None else [],
    }
    return Preview(dataset, rows, schema, statistics, total)


def _shortened(value: Any) -> Any:
    if isinstance(value, str) and len(value) > MAX_TEXT:
        return f"{value[:MAX_TEXT]}… ({len(value):,} characters)"
    return value
