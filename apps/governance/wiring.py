"""What governance registers with itself: names and pages of its own things, and of people and teams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from apps.accounts.models import Team, User
from apps.core.permissions import can
from apps.governance.labels import ResourceLabel, resource_labels
from apps.governance.models import Policy
from apps.governance.selectors import approvals_visible_to


def register() -> None:
    """Called when the app is ready."""
    resource_labels.register("approval", _approvals)
    resource_labels.register("policy", _policies)
    resource_labels.register("user", _users)
    resource_labels.register("team", _teams)


def _uuids(ids: set[str]) -> list[UUID]:
    found = []
    for text in ids:
        try:
            found.append(UUID(text))
        except ValueError:
            continue
    return found


def _approvals(actor: Any, ids: set[str]) -> Mapping[str, ResourceLabel]:
    rows = approvals_visible_to(actor).filter(pk__in=_uuids(ids))
    return {str(row.pk): ResourceLabel(row.title, row.get_absolute_url()) for row in rows}


def _policies(actor: Any, ids: set[str]) -> Mapping[str, ResourceLabel]:
    if not can(actor, "policy.view"):
        return {}
    return {
        str(row.pk): ResourceLabel(row.name, row.get_absolute_url())
        for row in Policy.objects.filter(pk__in=_uuids(ids))
    }


def _users(actor: Any, ids: set[str]) -> Mapping[str, ResourceLabel]:
    return {str(row.pk): ResourceLabel(row.get_username()) for row in User.objects.filter(pk__in=_uuids(ids))}


def _teams(actor: Any, ids: set[str]) -> Mapping[str, ResourceLabel]:
    return {str(row.pk): ResourceLabel(row.name) for row in Team.objects.filter(pk__in=_uuids(ids))}
