"""Two models side by side: what differs in metadata, card, files, configuration, facts, metrics and lineage.

Pure functions: whatever has to be looked up is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.catalog.cards import CARD_FIELDS, card_status
from apps.catalog.models import ModelEntry, ModelFile
from apps.catalog.text_diff import Segment, text_diff

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
PROSE = 40  # characters from which a text is compared by its words


@dataclass(frozen=True, slots=True)
class Difference:
    """One row: a key, both values, and ``added``, ``removed``, ``changed`` or ``same`` seen from the left.

    ``delta`` is right minus left for numbers; ``segments`` are the words of two texts that differ.
    """

    key: str
    label: str
    left: Any
    right: Any
    change: str
    delta: float | None = None
    segments: tuple[Segment, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """All rows by section."""

    fields: tuple[Difference, ...]
    card: tuple[Difference, ...]
    facts: tuple[Difference, ...]
    metadata: tuple[Difference, ...]
    files: tuple[Difference, ...]
    config: tuple[Difference, ...]
    lineage: tuple[Difference, ...]
    metrics: tuple[Difference, ...]

    def sections(self) -> list[tuple[str, tuple[Difference, ...]]]:
        """Sections with their titles, in reading order."""
        return [
            ("Entry", self.fields),
            ("Card", self.card),
            ("Read from the files", self.facts),
            ("Files", self.files),
            ("Configuration (config.json)", self.config),
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
    configs: Mapping[Any, Mapping[str, Any]],
) -> Comparison:
    """Compare two visible models; *files*, *lineage* (labels), *metrics*, *configs* go by model id."""
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
        config=_merged(*(_flat(configs.get(model.pk) or {}) for model in (left, right))),
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
    if change != "changed":
        return Difference(key, label, left, right, change)
    return Difference(key, label, left, right, change, _delta(left, right), _words(left, right))


def _delta(left: Any, right: Any) -> float | None:
    numbers = [value for value in (left, right) if isinstance(value, int | float) and not isinstance(value, bool)]
    return numbers[1] - numbers[0] if len(numbers) == 2 else None


def _words(left: Any, right: Any) -> tuple[Segment, ...]:
    """Only for texts: in a short value the whole value is what changed."""
    if not isinstance(left, str) or not isinstance(right, str) or max(len(left), len(right)) < PROSE:
        return ()
    return text_diff(left, right)


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
