"""Trying a policy on, before or while it counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from apps.accounts.models import Team, User
from apps.core.errors import ValidationFailed
from apps.core.permissions import ACTIONS
from apps.core.transitions import get_or_not_found
from apps.governance.models import Policy
from apps.governance.policy.actions import policy_action
from apps.governance.policy.conditions import ATTRIBUTES
from apps.governance.policy.engine import ActivePolicy, Question, Snapshot, decide
from apps.governance.policy.rules import compile_rules
from apps.governance.services.authorization import authorize, question_for
from apps.governance.types import PolicyDecision


def policy_simulate(
    *,
    actor: User,
    policy_id: UUID,
    action: str,
    username: str = "",
    team: Team | None = None,
    resource: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> PolicyDecision:
    """What this policy alone would say about an attempt, whatever its status. Changes nothing.

    Args:
        username: who would act; empty is the caller.
        resource: attributes of the thing (`name`, `status`, …); giving any means that there is a thing.

    Raises:
        ValidationFailed: unknown action, person or attribute; rules that do not compile.
    """
    authorize(actor=actor, action="policy.view")
    policy = get_or_not_found(Policy.objects.all(), policy_id, "policy")
    if action not in ACTIONS:
        raise ValidationFailed.field("action", "invalid_choice", f"There is no action '{action[:60]}'.")
    person = User.objects.filter(username=username).first() if username else actor
    if person is None:
        raise ValidationFailed.field("username", "unknown", f"There is no person '{username[:60]}'.")
    attributes = dict(resource or {})
    unknown = sorted(set(attributes) - ATTRIBUTES["resource"])
    if unknown:
        known = ", ".join(sorted(ATTRIBUTES["resource"]))
        raise ValidationFailed.field("resource", "unknown_key", f"A resource has no '{unknown[0]}'; known: {known}.")
    under = policy_action(action, on_object=bool(attributes))
    if under is None:
        return PolicyDecision(True, "Policies do not reach this action.")
    base = question_for(person, action, under, None, team, parameters)

    def value(root: str, attribute: str) -> Any:
        if root == "resource" and attribute in attributes:
            return attributes[attribute]
        return base.value(root, attribute)

    snapshot = Snapshot(
        token=None,
        policies=(
            ActivePolicy(policy.pk, policy.name, policy.effective_scope, policy.team_id, compile_rules(policy.rules)),
        ),
    )
    return decide(snapshot, Question(base.action, base.team_id, base.roles, value))
