"""What governance registers with itself: names and pages of its own things, and of people and teams."""

from __future__ import annotations

from django.db.models import QuerySet

from apps.accounts.models import Team, User
from apps.core.permissions import can
from apps.governance.labels import resource_labels
from apps.governance.models import Policy
from apps.governance.selectors import approvals_visible_to


def register() -> None:
    """Called when the app is ready."""
    resource_labels.register_objects("approval", approvals_visible_to)
    resource_labels.register_objects("policy", _policies)
    resource_labels.register_objects("user", lambda actor: User.objects.all())
    resource_labels.register_objects("team", lambda actor: Team.objects.all())


def _policies(actor: User | None) -> QuerySet[Policy]:
    return Policy.objects.all() if can(actor, "policy.view") else Policy.objects.none()
