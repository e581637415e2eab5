"""Policies for those who may read them."""

from __future__ import annotations

from django.db.models import QuerySet

from apps.accounts.models import User
from apps.core.transitions import get_or_not_found
from apps.governance.models import Policy
from apps.governance.services.authorization import authorize


def policies_visible_to(actor: User | None) -> QuerySet[Policy]:
    """All policies; PermissionRefused for people who may not read them."""
    authorize(actor=actor, action="policy.view")
    return Policy.objects.select_related("team", "created_by").order_by("name", "id")


def policy_get(*, actor: User | None, policy_id: object) -> Policy:
    """One policy, or NotFound."""
    return get_or_not_found(policies_visible_to(actor), policy_id, "policy")
