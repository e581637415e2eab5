"""Two models side by side: what differs in metadata, card, files, facts and lineage. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.catalog.cards import CARD_FIELDS, card_status
from apps.catalog.models import ModelEntry, ModelFile

FIELDS = (
    ("version", "Version"),
    ("status", "Status"),
    ("model_family", "Family"),
    ("visibility", "Visibility"),
    ("scan_status", "Scan"),
)
FACTS = (
    ("architecture", "Architecture"),
    ("parameter_count", "Parameters"),
    ("dtype", "Precision"),
    ("context_length", "Context length"),
    ("weight_bytes", "Weights"),
    ("memory_bytes", "Memory estimate"),
    ("kv_bytes_per_token", "Cache per token"),
)
MISSING = "–"


@dataclass(frozen=True, slots=True)
class Difference:
    """One row: a key, both values, and ``added``, ``removed``, ``changed`` or ``same`` seen from the left."""

    key: str
    label: str
    left: Any
    right: Any
    change: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """All rows by section."""

    fields: tuple[Difference, ...]
    card: tuple[Difference, ...]
    facts: tuple[Difference, ...]
    metadata: tuple[Difference, ...]
    files: tuple[Difference, ...]
    lineage: tuple[Difference, ...]
    metrics: tuple[Difference, ...]

    def sections(self) -> list[tuple[str, tuple[Difference, ...]]]:
        """Sections with their titles, in reading order."""
        return [
            ("Entry", self.fields),
            ("Card", self.card),
            ("Read from the files", self.facts),
            ("Files", self.files),
            ("Metadata", self.metadata),
            ("Metrics", self.metrics),
            ("Lineage", self.lineage),
        ]


def compare_models(
    left: ModelEntry,
    right: ModelEntry,
    *,
    files: Mapping[Any, Sequence[ModelFile]],
    lineage: Mapping[Any, Sequence[str]],
    metrics: Mapping[Any, Any],
) -> Comparison:
    """Compare two visible models; *files*, *lineage* (labels) and *metrics* are given by model id."""
    cards = [card_status(model.metadata).values for model in (left, right)]
    plain = [_flat(model.metadata) for model in (left, right)]
    card_keys = {key for field in CARD_FIELDS for key in field.keys}
    return Comparison(
        fields=_columns(left, right, FIELDS),
        card=tuple(
            _row(field.name, field.label, cards[0].get(field.name), cards[1].get(field.name)) for field in CARD_FIELDS
        ),
        facts=_columns(left, right, FACTS),
        metadata=_merged(*({key: value for key, value in side.items() if key not in card_keys} for side in plain)),
        files=_files(files.get(left.pk, ()), files.get(right.pk, ())),
        lineage=_merged(*({label: label for label in lineage.get(model.pk, ())} for model in (left, right))),
        metrics=_merged(*(_flat(metrics.get(model.pk) or {}) for model in (left, right))),
    )


def _columns(left: ModelEntry, right: ModelEntry, columns: Iterable[tuple[str, str]]) -> tuple[Difference, ...]:
    return tuple(_row(key, label, getattr(left, key), getattr(right, key)) for key, label in columns)


def _row(key: str, label: str, left: Any, right: Any) -> Difference:
    left, right = (None if value in ("", None) else value for value in (left, right))
    if left == right:
        change = "same"
    elif left is None:
        change = "added"
    elif right is None:
        change = "removed"
    else:
        change = "changed"
    return Difference(key, label, left, right, change)


def _merged(left: Mapping[str, Any], right: Mapping[str, Any]) -> tuple[Difference, ...]:
    return tuple(_row(key, key, left.get(key), right.get(key)) for key in sorted({*left, *right}))


def _files(left: Sequence[ModelFile], right: Sequence[ModelFile]) -> tuple[Difference, ...]:
    sides = [{file.filename: file for file in side} for side in (left, right)]
    rows = []
    for name in sorted({*sides[0], *sides[1]}):
        one, two = sides[0].get(name), sides[1].get(name)
        hashes = [None if file is None else file.sha256 for file in (one, two)]
        change = _row(name, name, *hashes).change
        rows.append(Difference(name, name, _file(one), _file(two), change))
    return tuple(rows)


def _file(file: ModelFile | None) -> dict[str, Any] | None:
    if file is None:
        return None
    return {"size": file.size, "checksum": file.sha256, "scanStatus": file.scan_status}


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested objects as dotted keys; lists stay whole."""
    flat: dict[str, Any] = {}
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, Mapping) and item:
            flat.update(_flat(item, f"{name}."))
        else:
            flat[name] = item
    return flat
