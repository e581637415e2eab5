"""What apps above say about datasets: why one must not be deleted, which metrics a benchmark can ask for.

They register in their ``AppConfig.ready()``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from apps.datasets.models import Dataset


@dataclass(frozen=True, slots=True)
class Blocker:
    """Something that depends on a dataset: its kind, id and name."""

    kind: str
    id: str
    label: str


ChangeListener = Callable[[UUID], None]
BlockerSource = Callable[["Dataset"], Sequence[Blocker]]
_sources: list[BlockerSource] = []
MetricNames = Callable[[], Sequence[str]]
_metric_names: list[MetricNames] = []
_change_listeners: list[ChangeListener] = []


def register_delete_blockers(source: BlockerSource) -> BlockerSource:
    """Ask ``source`` before a dataset is deleted. Registering twice is harmless."""
    if source not in _sources:
        _sources.append(source)
    return source


def delete_blockers(dataset: Dataset) -> Iterator[Blocker]:
    """Everything that depends on ``dataset``, from all registered apps."""
    for source in _sources:
        yield from source(dataset)


def register_metric_names(source: MetricNames) -> MetricNames:
    """Say which metrics evaluations can report; the last registration counts."""
    _metric_names[:] = [source]
    return source


def metric_names() -> list[str]:
    """Names of the metrics that a benchmark's set can hold; empty where nothing evaluates."""
    return [name for source in _metric_names for name in source()]


def register_change_listener(listener: ChangeListener) -> ChangeListener:
    """Call ``listener(dataset_id)`` inside the transaction in which an approved dataset stops being usable."""
    if listener not in _change_listeners:
        _change_listeners.append(listener)
    return listener


def dataset_changed(dataset_id: UUID) -> None:
    """Tell everyone who registered that a dataset lapsed, was recalled or deleted; they enqueue, nothing slow."""
    for listener in _change_listeners:
        listener(dataset_id)
