"""The metrics of a benchmark: stored with it, frozen with it, reported by every evaluation on it."""

from __future__ import annotations

from collections.abc import Sequence

from apps.core.errors import FieldError
from apps.datasets.registry import metric_names
from apps.datasets.types import DatasetType


def metric_set_checked(names: Sequence[object], dataset_type: str) -> tuple[list[str], list[FieldError]]:
    """The names in their proper spelling, each once, and what is wrong with them."""
    if not names:
        return [], []
    if dataset_type != DatasetType.BENCHMARK:
        text = f"Only a benchmark has metrics; this is a {dataset_type}."
        return [], [FieldError("metrics", "not_a_benchmark", text)]
    proper = {name.lower(): name for name in metric_names()}
    found: dict[str, None] = {}
    errors: list[FieldError] = []
    for name in names:
        known = proper.get(str(name).lower())
        if known is None:
            offer = ", ".join(proper.values()) or "none"
            text = f"There is no metric {str(name)[:60]!r}; known are {offer}."
            errors.append(FieldError("metrics", "unknown_metric", text))
        else:
            found[known] = None
    return list(found), errors[:20]
