"""What an approval rests on: everything the model was made of, at any depth, as it was when it was approved.

The state of each source is pinned at approval and compared when something above the model changes (datasets and
models send word) and by a sweep, which catches what nobody sent word of. A dataset's own source is not followed: a
redacted or split version is a dataset of its own, often made *because* its source must not be used.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.catalog import registry
from apps.catalog.lineage import Key, edges_touching
from apps.catalog.models import ApprovedSources, ModelEntry
from apps.catalog.services.lapses import approval_lapse
from apps.catalog.types import ModelStatus, SourceState
from apps.core.models import Visibility
from apps.core.transitions import get_locked
from apps.governance.types import GateResult

DEPTH_LIMIT = 50
Pin = dict[str, Any]


def sources_pin(*, model: ModelEntry) -> None:
    """Remember the state of everything that *model* was made of; called when it is approved."""
    ApprovedSources.objects.update_or_create(model=model, defaults={"pins": _pins(model)})


def _pins(model: ModelEntry) -> list[Pin]:
    direct, all_sources = _sources(model)
    states = _states(all_sources)
    pins = []
    for key in sorted(all_sources, key=str):
        state = states.get(key)
        if state is not None:
            # Only who linked a source is known to see it: names from further up stay out of messages.
            label = state.label if key in direct else ""
            pins.append(
                {
                    "kind": key[0],
                    "id": str(key[1]),
                    "digest": state.digest,
                    "approved": state.approved,
                    "label": label,
                }
            )
    return pins


def _sources(model: ModelEntry) -> tuple[set[Key], set[Key]]:
    """Direct sources, and all of them; one query a level."""
    seen: set[Key] = set()
    frontier: set[Key] = {("model", model.pk)}
    direct: set[Key] = set()
    for depth in range(DEPTH_LIMIT):
        found = {(edge.source_kind, edge.source_id) for edge in edges_touching(frontier, upwards=True)}
        if depth == 0:
            direct = found
        frontier = found - seen - {("model", model.pk)}
        seen |= frontier
        if not frontier:
            break
    return direct, seen


def _states(keys: Iterable[Key]) -> dict[Key, SourceState]:
    by_kind: dict[str, set[UUID]] = defaultdict(set)
    for kind, pk in keys:
        by_kind[kind].add(pk)
    return {(kind, pk): state for kind, ids in by_kind.items() for pk, state in registry.source_states(kind, ids)}


def sources_problems(pins: Collection[Pin], states: Mapping[Key, SourceState]) -> list[str]:
    """Return, in words, what is no longer as it was pinned; kinds whose state nobody knows are never pinned."""
    problems = []
    for pin in pins:
        state = states.get((pin["kind"], UUID(pin["id"])))
        what = f"the {pin['kind']} {pin['label']}" if pin["label"] else f"a {pin['kind']} further up in its lineage"
        if state is None:
            problems.append(f"{what} was deleted")
        elif pin["approved"] and not state.approved:
            problems.append(f"{what} is not approved any more ({state.status.replace('_', ' ')})")
        elif pin["digest"] != state.digest:
            problems.append(f"{what} has other content than at the approval")
    return problems


def models_rest_on(kind: str, object_id: UUID | str) -> list[UUID]:
    """The approved models whose approval rests on one dataset or model."""
    pinned = ApprovedSources.objects.filter(
        model__status=ModelStatus.APPROVED, pins__contains=[{"kind": kind, "id": str(object_id)}]
    )
    return list(pinned.values_list("model_id", flat=True))


def dependents_check(*, kind: str, object_id: UUID | str) -> int:
    """After a change of one source: let approvals lapse that rested on it; returns how many did."""
    return sum(model_check_sources(model_id=pk) for pk in models_rest_on(kind, object_id))


@transaction.atomic
def model_check_sources(*, model_id: UUID) -> bool:
    """Compare the pinned sources of an approved model with what they are now; True when its approval lapsed."""
    model = get_locked(ModelEntry.objects.select_related("team"), model_id)
    pinned = ApprovedSources.objects.filter(model=model).first()
    if model.status != ModelStatus.APPROVED:
        return False
    if pinned is None:  # approved before sources were pinned
        sources_pin(model=model)
        return False
    states = _states(_keys(pinned.pins))
    problems = sources_problems(pinned.pins, states)
    if not problems:
        return False
    named = _sentence(problems)
    unnamed = _sentence(sources_problems([{**pin, "label": ""} for pin in pinned.pins], states))
    shared = model.visibility == Visibility.ORGANISATION
    approval_lapse(actor=None, model=model, reason=unnamed if shared else named, named=named, told=unnamed)
    return True


def sources_changed(models: Collection[ModelEntry]) -> list[UUID]:
    """For the sweep: which of these approved models have to be looked at under their lock; constant queries."""
    pinned = {
        row.model_id: row.pins for row in ApprovedSources.objects.filter(model__in=[model.pk for model in models])
    }
    states = _states({key for pins in pinned.values() for key in _keys(pins)})
    return [model.pk for model in models if model.pk not in pinned or sources_problems(pinned[model.pk], states)]


def sources_gate(model: ModelEntry) -> GateResult:
    """Nothing is approved that was made of something refused: rejected, deprecated or deleted sources."""
    label = "Sources in order"
    direct, everything = _sources(model)
    states = _states(everything)
    known = registry.source_kinds()
    bad = []
    for key in sorted(everything, key=str):
        if key[0] not in known:
            continue
        state = states.get(key)
        if state is None or state.refused:
            name = f"the {key[0]} {state.label}" if state is not None and key in direct else f"a {key[0]}"
            bad.append(f"{name} is {state.status if state is not None else 'deleted'}")
    if not bad:
        return GateResult("sources", label, True, "Nothing that it was made of is rejected, deprecated or deleted.")
    return GateResult(
        "sources",
        label,
        False,
        f"{_sentence(bad)}",
        "Make it again from sources that may be used, or correct its lineage.",
    )


def _keys(pins: Iterable[Pin]) -> set[Key]:
    return {(pin["kind"], UUID(pin["id"])) for pin in pins}


def _sentence(problems: list[str]) -> str:
    shown = "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")
    return f"{shown[:1].upper()}{shown[1:]}."
