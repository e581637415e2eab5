"""Pages of differing rows with their content and the cells that changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from apps.datasets.comparison.engine import Differences, differences, shared_columns
from apps.datasets.reading.rows import RowsFile
from apps.datasets.reading.showing import same_cell


@dataclass(frozen=True, slots=True)
class RowComparison:
    """Counts of all differing rows, and one page of each kind."""

    added: int
    removed: int
    modified: int
    unchanged: int
    method: str
    key: tuple[str, ...]
    added_page: tuple[dict[str, Any], ...] = ()
    removed_page: tuple[dict[str, Any], ...] = ()
    modified_page: tuple[dict[str, Any], ...] = ()


def compare_rows(
    before: RowsFile,
    after: RowsFile,
    dataset_type: str,
    *,
    key: Sequence[str] = (),
    limit: int = 20,
    offset: int = 0,
) -> RowComparison:
    """Work out the differences and show one page of them; see :func:`differences` for ``key`` and errors."""
    return page_of(before, after, differences(before, after, dataset_type, key=key), limit=limit, offset=offset)


def page_of(before: RowsFile, after: RowsFile, found: Differences, *, limit: int, offset: int) -> RowComparison:
    """Counts, and rows ``offset`` to ``offset + limit`` of each kind of difference."""
    end = offset + limit
    pairs = found.modified[offset:end].tolist()
    return RowComparison(
        added=int(found.added.size),
        removed=int(found.removed.size),
        modified=len(found.modified),
        unchanged=found.unchanged,
        method=found.method,
        key=found.key,
        added_page=rows_at(after, found.added[offset:end].tolist()),
        removed_page=rows_at(before, found.removed[offset:end].tolist()),
        modified_page=changes_at(before, after, pairs),
    )


def rows_at(rows: RowsFile, numbers: Sequence[int]) -> tuple[dict[str, Any], ...]:
    """The rows with these numbers (from 0), long cells cut; the answer counts from 1."""
    taken = rows.take(numbers)
    return tuple({"row": number + 1, "values": values} for number, values in zip(numbers, taken, strict=True))


def changes_at(before: RowsFile, after: RowsFile, pairs: Sequence[Sequence[int]]) -> tuple[dict[str, Any], ...]:
    """The changed cells of these pairs of rows (numbers from 0; the answer counts from 1), long ones cut."""
    shared = shared_columns(before, after)
    old_rows = before.take([pair[0] for pair in pairs])
    new_rows = after.take([pair[1] for pair in pairs])
    old_json = {column.name: column.stored == "json" for column in before.columns}
    new_json = {column.name: column.stored == "json" for column in after.columns}
    result = []
    for (old_number, new_number), old, new in zip(pairs, old_rows, new_rows, strict=True):
        changes = [
            {"column": name, "before": old[name], "after": new[name]}
            for name in shared
            if not same_cell(old[name], new[name], one_json=old_json[name], other_json=new_json[name])
        ]
        result.append({"rowBefore": old_number + 1, "rowAfter": new_number + 1, "changes": changes})
    return tuple(result)
