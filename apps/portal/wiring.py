"""Names of everything that the portal can find, for the audit trail and the cost pages, which know ids only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.governance.labels import Resolver, ResourceLabel, resource_labels
from apps.portal.sources import SOURCES, Source

# What usage and cost call the kinds.
USAGE_KINDS = {"training": "training_job", "evaluation": "evaluation_run", "serving": "serving_endpoint"}


def register() -> None:
    """Called when the app is ready."""
    by_kind = {source.kind: source for source in SOURCES}
    for kind, source in [*by_kind.items(), *((usage, by_kind[kind]) for usage, kind in USAGE_KINDS.items())]:
        resource_labels.register(kind, _resolver(source))


def _resolver(source: Source) -> Resolver:
    def resolve(actor: Any, ids: set[str]) -> Mapping[str, ResourceLabel]:
        return {key: ResourceLabel(title, url) for key, (title, url) in source.named(actor, ids).items()}

    return resolve
