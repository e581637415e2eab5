"""Writing policies. Deciding by them is in `authorization`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from apps.accounts.models import Team, User
from apps.core import audit, clock
from apps.core.errors import Conflict, FieldError, ValidationFailed
from apps.core.transitions import get_locked, transition
from apps.governance.models import Policy
from apps.governance.models.policies import next_review
from apps.governance.policy.engine import policy_cache
from apps.governance.policy.rules import compile_rules
from apps.governance.services.authorization import authorize
from apps.governance.types import POLICY_TRANSITIONS, PolicyScope, PolicyStatus

MAX_NAME = 200
MAX_DESCRIPTION = 4000


def policy_create(
    *,
    actor: User | None,
    name: str,
    scope: str,
    rules: Mapping[str, Any],
    description: str = "",
    team: Team | None = None,
    status: str = PolicyStatus.DRAFT,
) -> Policy:
    """Write a policy; with `status="active"` it counts at once.

    Raises:
        PermissionRefused: administrators only.
        ValidationFailed: name, scope or rules that cannot be used; every fault of the rules with its place.
        Conflict: the name is taken, or it cannot begin in that status.
    """
    authorize(actor=actor, action="policy.change")
    fields = _checked(name=name, scope=scope, rules=rules, description=description)
    _check_status(status)
    if status == PolicyStatus.RETIRED:
        message = "A policy cannot begin as retired; create it as draft or active first."
        raise Conflict(message, errors=[FieldError("status", "invalid_transition", message)])
    try:
        with transaction.atomic():
            policy = Policy.objects.create(**fields, team=team, created_by=actor)
            audit.record(actor=actor, action="governance.policy.created", resource=policy, metadata=_content(policy))
            if status == PolicyStatus.ACTIVE:
                _move(actor, policy, PolicyStatus.ACTIVE)
    except IntegrityError as error:
        raise _name_taken(name) from error
    return policy


def policy_change(*, actor: User | None, policy_id: UUID | str, **changes: Any) -> Policy:
    """Change name, description, scope, team, rules or status (any of them; what is not given stays).

    Changing what an active policy says counts from now on, starts a new version and a new review period.
    """
    authorize(actor=actor, action="policy.change")
    unknown = set(changes) - {"name", "description", "scope", "team", "rules", "status"}
    if unknown:
        raise ValidationFailed.field(min(unknown), "unknown_field", f"A policy has no field '{min(unknown)}'.")
    status = changes.pop("status", None)
    if status is not None:
        _check_status(status)
    try:
        with transaction.atomic():
            policy = get_locked(Policy.objects.all(), policy_id, what="policy")
            _apply(actor, policy, changes)
            if status is not None and status != policy.status:
                _move(actor, policy, status)
    except IntegrityError as error:
        raise _name_taken(str(changes.get("name", ""))) from error
    return policy


def policy_review(*, actor: User | None, policy_id: UUID | str) -> Policy:
    """Confirm that a policy is still right; the next review is due in ninety days."""
    authorize(actor=actor, action="policy.change")
    with transaction.atomic():
        policy = get_locked(Policy.objects.all(), policy_id, what="policy")
        policy.review_due = next_review()
        policy.save(update_fields=["review_due"])
        audit.record(actor=actor, action="governance.policy.reviewed", resource=policy)
    return policy


def policy_delete(*, actor: User | None, policy_id: UUID | str) -> None:
    """Delete a policy. The audit trail keeps its whole content."""
    authorize(actor=actor, action="policy.change")
    with transaction.atomic():
        policy = get_locked(Policy.objects.all(), policy_id, what="policy")
        audit.record(actor=actor, action="governance.policy.deleted", resource=policy, metadata=_content(policy))
        policy.delete()
        policy_cache.changed()


def _apply(actor: User | None, policy: Policy, changes: dict[str, Any]) -> None:
    before = _content(policy)
    for field in ("name", "description", "scope", "rules"):
        if field in changes:
            setattr(policy, field, changes[field])
    if "team" in changes:
        policy.team = changes["team"]
    checked = _checked(name=policy.name, scope=policy.scope, rules=policy.rules, description=policy.description)
    policy.name = checked["name"]
    after = _content(policy)
    if after == before:
        return
    if any(before[field] != after[field] for field in ("scope", "team_id", "rules")):
        policy.version += 1
        policy.review_due = next_review()
    policy.save()
    policy_cache.changed()
    changed = sorted(field for field in after if after[field] != before[field])
    audit.record(
        actor=actor,
        action="governance.policy.changed",
        resource=policy,
        metadata={
            "before": {field: before[field] for field in changed},
            "after": {field: after[field] for field in changed},
            "version": policy.version,
        },
    )


def _move(actor: User | None, policy: Policy, status: str) -> None:
    updates: dict[str, Any] = {}
    if status == PolicyStatus.ACTIVE:
        compile_rules(policy.rules)
        updates = {"activated_at": clock.now(), "review_due": next_review()}
    before = policy.status
    transition(policy, status, POLICY_TRANSITIONS, **updates)
    policy_cache.changed()
    past = {
        PolicyStatus.ACTIVE: "activated",
        PolicyStatus.RETIRED: "retired",
        PolicyStatus.DRAFT: "suspended",
    }
    audit.record(
        actor=actor,
        action=f"governance.policy.{past[PolicyStatus(status)]}",
        resource=policy,
        metadata={"from": before, "to": str(status), "version": policy.version, "name": policy.name},
    )


def _checked(*, name: str, scope: str, rules: Mapping[str, Any], description: str) -> dict[str, Any]:
    errors = []
    name = name.strip()
    if not name or len(name) > MAX_NAME or "\x00" in name:
        errors.append(FieldError("name", "invalid", f"name must hold 1 to {MAX_NAME} characters."))
    if scope not in PolicyScope.values:
        errors.append(FieldError("scope", "invalid_choice", f"scope must be one of {', '.join(PolicyScope.values)}."))
    if len(description) > MAX_DESCRIPTION or "\x00" in description:
        errors.append(
            FieldError("description", "invalid", f"description must hold at most {MAX_DESCRIPTION} plain characters.")
        )
    if errors:
        raise ValidationFailed(errors[0].message, errors=errors)
    compile_rules(rules)
    return {"name": name, "scope": scope, "rules": rules, "description": description}


def _check_status(status: str) -> None:
    if status not in PolicyStatus.values:
        known = ", ".join(PolicyStatus.values)
        raise ValidationFailed.field("status", "invalid_choice", f"status must be one of {known}.")


def _content(policy: Policy) -> dict[str, Any]:
    return {
        "name": policy.name,
        "description": policy.description,
        "scope": policy.scope,
        "team_id": str(policy.team_id or ""),
        "rules": policy.rules,
        "status": policy.status,
    }


def _name_taken(name: str) -> Conflict:
    message = f"There is a policy called '{name}' already; choose another name."
    return Conflict(message, errors=[FieldError("name", "duplicate", message)])
