"""What higher apps add to the catalog; they register in their ``AppConfig.ready()``.

The catalog knows none of them: it asks everyone who registered.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from apps.catalog.types import Blocker, LineageNode, Panel, SourceState

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.catalog.models import ModelEntry
    from apps.governance.types import GateResult

EvaluationSummary = Callable[[Collection[UUID]], Mapping[UUID, Any]]
DeleteBlockers = Callable[["ModelEntry"], Iterable[Blocker]]
ModelGate = Callable[["ModelEntry", str], Iterable["GateResult"]]
ModelPanel = Callable[["User", "ModelEntry"], "Panel | None"]
SourceStates = Callable[[Collection[UUID]], Mapping[UUID, SourceState]]
LapseListener = Callable[["ModelEntry", str], None]
LineageLink = tuple[tuple[str, UUID], tuple[str, UUID], str]
LineageLinks = Callable[[Collection[tuple[str, UUID]], bool], Iterable[LineageLink]]
BundleDocument = Callable[["User | None", "ModelEntry"], Any]
LineageResolver = Callable[["User | None", Collection[UUID]], Mapping[UUID, LineageNode]]

_evaluation_summaries: list[EvaluationSummary] = []
_delete_blockers: list[DeleteBlockers] = []
_gates: list[ModelGate] = []
_panels: list[ModelPanel] = []
_lineage_kinds: dict[str, LineageResolver] = {}
_lineage_links: list[LineageLinks] = []
_source_states: dict[str, SourceStates] = {}
_lapse_listeners: list[LapseListener] = []
_bundle_documents: dict[str, BundleDocument] = {}


def _add(registered: list[Any], function: Any) -> None:
    if function not in registered:
        registered.append(function)


def register_evaluation_summary(function: EvaluationSummary) -> None:
    """Add ``fn(model_ids) -> {model_id: JSON-ready summary}``; called once per page of models."""
    _add(_evaluation_summaries, function)


def register_delete_blockers(function: DeleteBlockers) -> None:
    """Add ``fn(model) -> blockers``; any blocker keeps the model from being deleted."""
    _add(_delete_blockers, function)


def register_model_gate(function: ModelGate) -> None:
    """Add ``fn(model, stage) -> gate results``; *stage* is ``submit`` or ``approve``."""
    _add(_gates, function)


def register_model_panel(function: ModelPanel) -> None:
    """Add ``fn(actor, model) -> Panel or None`` for the model's page."""
    _add(_panels, function)


def register_lineage_kind(kind: str, resolver: LineageResolver) -> None:
    """Say how things of *kind* are shown: ``resolver(actor, ids) -> {id: node}`` of what *actor* may see."""
    _lineage_kinds[kind] = resolver


def register_lineage_links(function: LineageLinks) -> None:
    """Add ``fn(keys, upwards) -> links``: what is not stored as an edge because a row of the app says it already.

    *keys* are ``(kind, id)``; a link is ``(source key, target key, relation)``. Upwards the keys are targets.
    """
    _add(_lineage_links, function)


def register_source_states(kind: str, function: SourceStates) -> None:
    """Say how sources of *kind* stand: ``fn(ids) -> {id: state}``; ids that are gone are absent."""
    _source_states[kind] = function


def register_lapse_listener(function: LapseListener) -> None:
    """Call ``fn(model, reason)`` inside the transaction in which a model's approval lapses: enqueue, nothing slow."""
    _add(_lapse_listeners, function)


def register_bundle_document(name: str, function: BundleDocument) -> None:
    """Add ``fn(actor, model) -> JSON-ready value`` to exported bundles, as ``<name>.json``; never a secret."""
    _bundle_documents[name] = function


def bundle_documents(actor: User | None, model: ModelEntry) -> dict[str, Any]:
    """Return what all apps tell about *model* in a bundle, by document name, as far as *actor* may see it."""
    return {name: function(actor, model) for name, function in _bundle_documents.items()}


def evaluation_summaries(model_ids: Collection[UUID]) -> dict[UUID, Any]:
    """Return what evaluation knows about each model; models without evaluations are absent."""
    merged: dict[UUID, Any] = {}
    for function in _evaluation_summaries:
        merged.update(function(model_ids))
    return merged


def delete_blockers(model: ModelEntry) -> list[Blocker]:
    """Return everything that other apps hold against deleting *model*."""
    return [blocker for function in _delete_blockers for blocker in function(model)]


def model_gates(model: ModelEntry, stage: str) -> list[GateResult]:
    """Return the results of all registered gates for *stage*."""
    return [result for function in _gates for result in function(model, stage)]


def model_panels(actor: User, model: ModelEntry) -> list[Panel]:
    """Return the panels of all apps for *model*, in their order."""
    panels = [panel for function in _panels if (panel := function(actor, model)) is not None]
    return sorted(panels, key=lambda panel: panel.order)


def lineage_nodes(actor: User | None, kind: str, ids: Collection[UUID]) -> Mapping[UUID, LineageNode]:
    """Return the nodes of *kind* that *actor* may see; an unregistered kind has none."""
    resolver = _lineage_kinds.get(kind)
    return resolver(actor, ids) if resolver is not None and ids else {}


def lineage_links(keys: Collection[tuple[str, UUID]], *, upwards: bool) -> list[LineageLink]:
    """Return the links of all apps that touch *keys* on the asked side."""
    return [link for function in _lineage_links for link in function(keys, upwards)]


def source_kinds() -> frozenset[str]:
    """Kinds whose state is known."""
    return frozenset(_source_states)


def source_states(kind: str, ids: Collection[UUID]) -> Iterable[tuple[UUID, SourceState]]:
    """Return how the sources of *kind* stand; nothing for a kind whose state nobody knows."""
    function = _source_states.get(kind)
    return function(ids).items() if function is not None and ids else ()


def approval_lapsed(model: ModelEntry, reason: str) -> None:
    """Tell everyone who registered."""
    for function in _lapse_listeners:
        function(model, reason)
