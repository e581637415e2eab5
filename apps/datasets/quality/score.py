"""The quality score: five components, their weights, what to do about the losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps.datasets.quality import components
from apps.datasets.quality.components import Component
from apps.datasets.quality.gather import DEFAULT_MEMORY, Facts, gather
from apps.datasets.quality.profile import statistics
from apps.datasets.reading.rows import RowsFile

COMPONENTS: Mapping[str, Callable[[Facts], Component]] = {
    "missingValues": components.missing_values,
    "duplicates": components.duplicates,
    "distribution": components.distribution,
    "schemaCompliance": components.schema_compliance,
    "format": components.text_format,
}
DEFAULT_WEIGHTS: Mapping[str, float] = {
    "missingValues": 0.25,
    "duplicates": 0.2,
    "distribution": 0.15,
    "schemaCompliance": 0.25,
    "format": 0.15,
}
_ADVICE: Mapping[str, str] = {
    "missingValues": "Fill in or remove the rows with missing values",
    "duplicates": "Remove the repeated rows",
    "distribution": "Look at the outlying rows and columns of one value; cut or correct them",
    "schemaCompliance": "Correct the rows that do not comply",
    "format": "Clean the text (broken characters, markup, stray white space)",
}


@dataclass(frozen=True, slots=True)
class Quality:
    """The result: 0 to 100 overall and per component, and recommendations in order of what they would
    gain."""

    overall: float
    components: tuple[Component, ...]
    weights: Mapping[str, float]
    recommendations: tuple[str, ...]

    def breakdown(self) -> dict[str, float]:
        """Points by component."""
        return {component.key: component.score for component in self.components}

    def to_json(self) -> dict[str, Any]:
        """As kept with the check."""
        return {
            "overall": self.overall,
            "breakdown": self.breakdown(),
            "weights": dict(self.weights),
            "components": [component.to_json() for component in self.components],
        }


def examine(
    rows: RowsFile,
    dataset_type: str,
    weights: Mapping[str, float] | None = None,
    *,
    memory: int = DEFAULT_MEMORY,
    folder: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[dict[str, Any]], Quality]:
    """Statistics of the columns and the quality of the rows, from one pass (and a second one over columns in which
    something lies far outside).

    Args:
        weights: of the components; need not sum to 1.
        memory: bytes that hashes and numbers may take; beyond that they go to files in ``folder`` or are sampled.
        progress: called with rows done and in all.
    """
    facts = gather(rows, dataset_type, memory=memory, folder=folder, progress=progress)
    return statistics(facts), judge(facts, weights)


def assess(
    rows: RowsFile,
    dataset_type: str,
    weights: Mapping[str, float] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Quality:
    """Only the quality."""
    return examine(rows, dataset_type, weights, progress=progress)[1]


def judge(facts: Facts, weights: Mapping[str, float] | None = None) -> Quality:
    """The score of what a pass has learned."""
    chosen = {key: float((weights or DEFAULT_WEIGHTS).get(key, 0.0)) for key in COMPONENTS}
    whole = sum(chosen.values()) or 1.0
    chosen = {key: round(weight / whole, 4) for key, weight in chosen.items()}
    results = [component(facts) for component in COMPONENTS.values()]
    overall = round(sum(chosen[result.key] * result.score for result in results), 1)
    if overall == 100 and any(result.score < 100 and chosen[result.key] for result in results):
        overall = 99.9
    return Quality(overall, tuple(results), chosen, _recommend(results, chosen))


def _recommend(results: list[Component], weights: Mapping[str, float]) -> tuple[str, ...]:
    losses = sorted(
        (
            (weights[result.key] * (100 - result.score), result)
            for result in results
            if result.score < 100 and weights[result.key]
        ),
        key=lambda item: -item[0],
    )
    sentences = []
    for gain, result in losses:
        rows = ", ".join(str(number) for number in result.rows[:5])
        noun = "row" if len(result.rows) == 1 else "rows"
        where = f" ({noun} {rows}{' …' if len(result.rows) > 5 else ''})" if rows else ""
        sentences.append(f"{_ADVICE[result.key]}{where}: {result.explanation} Worth up to {max(0.1, gain):.1f} points.")
    return tuple(sentences)
