"""The one question every domain service asks before it does anything for somebody."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import models

from apps.accounts.models import Team, User
from apps.core import clock
from apps.core.errors import Denial, NotFound, PermissionRefused
from apps.core.models import TeamOwnedModel
from apps.core.permissions import can, visible_to
from apps.governance.policy.actions import PolicyAction, policy_action
from apps.governance.policy.engine import Question, decide, policy_cache
from apps.governance.types import PolicyDecision

MAX_PARAMETER_DEPTH = 6
_RESOURCE_COLUMNS = {"author_id": "created_by_id", "kind": "type"}


def authorize(
    *,
    actor: User | None,
    action: str,
    obj: models.Model | None = None,
    team: Team | None = None,
    context: Mapping[str, Any] | None = None,
) -> None:
    """Let the action pass, or say why not. The outer layer records the denial that the error carries.

    Args:
        actor: who acts; None is the system itself, which may do everything.
        action: an id of `core.permissions.ACTIONS`, such as `dataset.upload`.
        obj: the thing acted on; for creations leave it out and give `team`.
        context: facts of this attempt that conditions may read as `action.parameters`.

    Raises:
        NotFound: `obj` does not exist for the actor.
        PermissionRefused: roles and grants do not allow it, or an active policy denies it (`code="policy_denied"`).
    """
    if actor is None:
        return
    if obj is not None and not is_visible(actor, obj):
        raise NotFound(f"There is no {obj._meta.verbose_name} {obj.pk}.")
    denial_metadata = {"action": action}
    if not can(actor, action, obj, team=team):
        raise PermissionRefused(_refusal(action, obj, team), denial=_denial(actor, action, obj, team, denial_metadata))
    decision = policy_decision(actor=actor, action=action, obj=obj, team=team, context=context)
    if not decision.allowed:
        raise PermissionRefused(
            decision.explanation,
            code="policy_denied",
            denial=_denial(
                actor,
                action,
                obj,
                team,
                {**denial_metadata, "policy_id": str(decision.policy_id), "policy": decision.policy_name},
            ),
        )


def policy_decision(
    *,
    actor: User,
    action: str,
    obj: models.Model | None = None,
    team: Team | None = None,
    context: Mapping[str, Any] | None = None,
) -> PolicyDecision:
    """What the active policies say, roles and visibility aside. No query unless the policies have changed."""
    under = policy_action(action, on_object=obj is not None)
    if under is None:
        return PolicyDecision(True, "Policies do not reach this action.")
    return decide(policy_cache.current(), question_for(actor, action, under, obj, team, context))


def question_for(
    actor: User,
    action: str,
    under: PolicyAction,
    obj: models.Model | None,
    team: Team | None,
    context: Mapping[str, Any] | None,
) -> Question:
    """The attempt in the words of the policy engine; attributes are looked up only when a condition reads them."""
    team_id = team.pk if team is not None else getattr(obj, "team_id", None)

    def value(root: str, attribute: str) -> Any:
        if root == "actor":
            return _actor_value(actor, attribute, team_id)
        if root == "action":
            return _action_value(action, under, context, attribute)
        if root == "environment":
            return _environment_value(attribute)
        return _resource_value(obj, team, attribute)

    return Question(action=under, team_id=team_id, roles=lambda: roles_held(actor, team_id), value=value)


def roles_held(actor: User, team_id: UUID | None) -> frozenset[str]:
    """Roles in this team and in the organisation; without a team, roles held anywhere."""
    roles = actor.role_map()
    if team_id is None:
        return frozenset().union(*roles.values())
    return roles.get(None, frozenset()) | roles.get(team_id, frozenset())


def is_visible(actor: User | None, obj: models.Model) -> bool:
    """Whether a thing exists for the actor. Things that no team owns are not hidden here; actions guard them."""
    if actor is None or not isinstance(obj, TeamOwnedModel):
        return True
    if obj.team_id in actor.role_map() and actor.is_active and actor.token_team_id in {None, obj.team_id}:
        # Members see all of their team's things; no query needed for the common case.
        return True
    return visible_to(actor, type(obj)._default_manager.filter(pk=obj.pk)).exists()


def _refusal(action: str, obj: models.Model | None, team: Team | None) -> str:
    entity, _, verb = action.partition(".")
    what = f"{verb.replace('_', ' ')} this {entity.replace('_', ' ')}" if obj is not None else action.replace("_", " ")
    where = f" in team {team.slug}" if team is not None and obj is None else ""
    return f"Your roles do not allow you to {what}{where}. Ask an administrator for a role that does ({action})."


def _denial(actor: User, action: str, obj: models.Model | None, team: Team | None, metadata: dict[str, Any]) -> Denial:
    return Denial(
        actor=actor,
        action=f"governance.{action.replace('.', '_')}.denied",
        resource_type=(getattr(obj, "AUDIT_TYPE", "") or "") if obj is not None else action.partition(".")[0],
        resource_id=str(obj.pk) if obj is not None else "",
        team_id=team.pk if team is not None else getattr(obj, "team_id", None),
        metadata=metadata,
    )


def _actor_value(actor: User, attribute: str, team_id: UUID | None) -> Any:
    if attribute == "roles":
        return sorted(roles_held(actor, team_id))
    if attribute == "organisation_roles":
        return sorted(actor.role_map().get(None, frozenset()))
    if attribute == "teams":
        return sorted(
            Team.objects.filter(pk__in=[key for key in actor.role_map() if key is not None]).values_list(
                "slug", flat=True
            )
        )
    return str(actor.pk) if attribute == "id" else actor.get_username()


def _action_value(action: str, under: PolicyAction, context: Mapping[str, Any] | None, attribute: str) -> Any:
    if attribute == "parameters":
        return _plain(context or {})
    return {"id": action, "scope": under.scope, "verb": under.verbs[0]}[attribute]


def _environment_value(attribute: str) -> Any:
    if attribute == "name":
        return settings.ENVIRONMENT
    now = clock.now()
    return {"now": now, "hour": now.hour, "weekday": now.isoweekday()}[attribute]


def _resource_value(obj: models.Model | None, team: Team | None, attribute: str) -> Any:
    if attribute == "team":
        owner = team if team is not None else getattr(obj, "team", None)
        return owner.slug if owner is not None else ""
    if obj is None:
        return ""
    if attribute == "type":
        return getattr(obj, "AUDIT_TYPE", "")
    value = getattr(obj, _RESOURCE_COLUMNS.get(attribute, attribute), None)
    return "" if value is None else _plain(value)


def _plain(value: Any, depth: int = 0) -> Any:
    """What CEL understands; anything else becomes text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if depth < MAX_PARAMETER_DEPTH and isinstance(value, Mapping):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if depth < MAX_PARAMETER_DEPTH and isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, depth + 1) for item in value]
    return str(value)
