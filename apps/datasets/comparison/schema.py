"""Which columns came, went or changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apps.datasets.types import Column


def schema_changes(before: Sequence[Column], after: Sequence[Column]) -> list[dict[str, Any]]:
    """Columns added, removed, of another type, or that became (not) nullable."""
    old = {column.name: column for column in before}
    new = {column.name: column for column in after}
    changes: list[dict[str, Any]] = []
    for name, column in new.items():
        if name not in old:
            changes.append({"column": name, "change": "added", "before": None, "after": column.kind})
    for name, column in old.items():
        if name not in new:
            changes.append({"column": name, "change": "removed", "before": column.kind, "after": None})
            continue
        other = new[name]
        if other.kind != column.kind:
            changes.append({"column": name, "change": "type", "before": column.kind, "after": other.kind})
        if other.nullable != column.nullable:
            changes.append({"column": name, "change": "nullable", "before": column.nullable, "after": other.nullable})
    return changes
