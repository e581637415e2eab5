"""How things of other apps are called. Governance stores only their ids; domain apps register who knows the names.

    resource_labels.register_objects("model", models_visible_to)     # in AppConfig.ready()

A resolver gets the actor and a set of ids (text) and returns what the actor may see of them. Kinds are the
`resource_type` values of usage (`training`, `serving`, `evaluation`, `storage`), `model`, and those of the audit trail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.urls import NoReverseMatch, reverse


@dataclass(frozen=True, slots=True)
class ResourceLabel:
    """A name for people and, where there is one, the page."""

    title: str
    url: str = ""


Resolver = Callable[[Any, set[str]], Mapping[str, ResourceLabel]]


class ResourceLabels:
    """Resolvers by kind."""

    def __init__(self) -> None:
        self._resolvers: dict[str, Resolver] = {}

    def register(self, kind: str, resolver: Resolver) -> None:
        """Say who knows the names of a kind; the last registration counts."""
        self._resolvers[kind] = resolver

    def register_objects(self, kind: str, visible: Callable[[Any], QuerySet[Any]], *, url_name: str = "") -> None:
        """The usual resolver: what `visible(actor)` holds, called by its `str()`, with its page.

        The page is `get_absolute_url()`, or `url_name` with the key where the model has none.
        """

        def resolver(actor: Any, ids: set[str]) -> dict[str, ResourceLabel]:
            rows = visible(actor).filter(pk__in=_uuids(ids))
            return {str(row.pk): ResourceLabel(str(row), _page(row, url_name)) for row in rows}

        self.register(kind, resolver)

    def resolve(self, actor: Any, kind: str, ids: Iterable[str]) -> dict[str, ResourceLabel]:
        """A label for every id; what nobody knows, or the actor may not see, keeps the beginning of its id."""
        wanted = {str(key) for key in ids if key}
        resolver = self._resolvers.get(kind)
        known = {str(key): label for key, label in resolver(actor, wanted).items()} if resolver and wanted else {}
        return {key: known.get(key) or ResourceLabel(f"{kind.replace('_', ' ')} {key[:8]}") for key in wanted}

    def visible(self, actor: Any, kind: str, ids: Iterable[str]) -> set[str] | None:
        """Those of `ids` that the actor may see; None where nobody has said who knows the kind."""
        resolver = self._resolvers.get(kind)
        return None if resolver is None else {str(key) for key in resolver(actor, set(ids))}


def _uuids(ids: Iterable[str]) -> list[UUID]:
    found = []
    for text in ids:
        with suppress(ValueError):
            found.append(UUID(text))
    return found


def _page(row: Any, url_name: str) -> str:
    try:
        return reverse(url_name, args=[row.pk]) if url_name else str(row.get_absolute_url())
    except (AttributeError, NoReverseMatch):
        return ""


resource_labels = ResourceLabels()
