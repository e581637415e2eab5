"""Deciding: the compiled form of all active policies, kept in the process, and the walk over those that apply.

A decision makes no query. Once a second at most (a setting) the process compares one small row with what it has
compiled; a change made by this very process is seen at once, also inside the transaction that makes it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import cel
from django.conf import settings
from django.db import transaction

from apps.core.errors import ValidationFailed
from apps.governance.models import Policy, PolicyVersion
from apps.governance.policy.actions import PolicyAction
from apps.governance.policy.rules import CompiledRules, compile_rules
from apps.governance.types import PolicyDecision, PolicyStatus

logger = logging.getLogger(__name__)

MAX_REMEMBERED_PATHS = 4096


@dataclass(frozen=True, slots=True)
class ActivePolicy:
    """One active policy. `rules` is None when what is stored cannot be compiled any more: then it denies."""

    id: UUID
    name: str
    scope: str
    team_id: UUID | None
    rules: CompiledRules | None


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be decided. `value(root, attribute)` is asked only for what some condition reads."""

    action: PolicyAction
    team_id: UUID | None
    roles: Callable[[], frozenset[str]]
    value: Callable[[str, str], Any]


@dataclass(frozen=True, slots=True)
class _Path:
    """What is left to ask for one action in one team: policies that may deny, and what their conditions read.

    The last three answer the common case, in which nobody denies, without looking at policies one by one.
    """

    policies: tuple[ActivePolicy, ...]
    considered: int
    reads: tuple[tuple[str, str], ...]
    somebody_denies: bool
    role_sets: tuple[frozenset[str], ...]
    programs: tuple[Callable[[cel.Context | None], Any], ...]


@dataclass(slots=True)
class Snapshot:
    """All active policies of one version, and the paths through them that have been asked for."""

    token: UUID | None
    policies: tuple[ActivePolicy, ...]
    paths: dict[tuple[PolicyAction, UUID | None], _Path] = field(default_factory=dict)

    def path(self, action: PolicyAction, team_id: UUID | None) -> _Path:
        """The policies that matter for this action; those that allow it whatever else holds are left out."""
        key = (action, team_id)
        found = self.paths.get(key)
        if found is not None:
            return found
        applying = [
            policy
            for policy in self.policies
            if policy.scope in {"global", action.scope} and policy.team_id in {None, team_id}
        ]
        asking = [policy for policy in applying if not _always_allows(policy, action)]
        rules = [policy.rules for policy in asking if policy.rules is not None]
        conditions = [condition for rule in rules for condition in rule.conditions]
        path = _Path(
            policies=tuple(asking),
            considered=len(applying),
            reads=tuple(sorted({read for condition in conditions for read in condition.reads})),
            somebody_denies=len(rules) < len(asking) or any(not _allows_verb(rule, action) for rule in rules),
            role_sets=tuple({rule.required_roles for rule in rules if rule.required_roles is not None}),
            programs=tuple({condition.source: condition.program.execute for condition in conditions}.values()),
        )
        if len(self.paths) >= MAX_REMEMBERED_PATHS:
            self.paths.clear()
        self.paths[key] = path
        return path


def _allows_verb(rules: CompiledRules, action: PolicyAction) -> bool:
    return rules.allowed_actions is None or any(verb in rules.allowed_actions for verb in action.verbs)


def _always_allows(policy: ActivePolicy, action: PolicyAction) -> bool:
    rules = policy.rules
    return rules is not None and _allows_verb(rules, action) and rules.required_roles is None and not rules.conditions


def _objection(policy: ActivePolicy, question: Question, context: cel.Context | None) -> str:
    """Why this policy denies; empty when it does not."""
    rules = policy.rules
    if rules is None:
        return "its stored rules cannot be read any more; an administrator must repair or retire it"
    if rules.allowed_actions is not None and not _allows_verb(rules, question.action):
        allowed = ", ".join(sorted(rules.allowed_actions)) or "nothing"
        return f"'{question.action.verbs[0]}' is not among the actions that it allows ({allowed})"
    if rules.required_roles is not None and not rules.required_roles & question.roles():
        return f"it needs one of these roles: {', '.join(sorted(rules.required_roles)) or 'none is enough'}"
    for condition in rules.conditions:
        try:
            holds = condition.program.execute(context)
        except (KeyError, TypeError, ValueError, RuntimeError, ArithmeticError) as error:
            # What cannot be answered is not allowed.
            return f"its condition `{condition.source}` cannot be answered here ({error})"
        if holds is not True:
            return condition.message or f"its condition `{condition.source}` does not hold"
    return ""


def decide(snapshot: Snapshot, question: Question) -> PolicyDecision:
    """Ask every applying policy, in the order of their names; the first that denies settles it."""
    path = snapshot.path(question.action, question.team_id)
    if not path.policies:
        return PolicyDecision(True, _allowed_because(path.considered), considered=path.considered)
    context = _context(path.reads, question.value) if path.reads else None
    if _nobody_denies(path, question, context):
        return PolicyDecision(True, _allowed_because(path.considered), considered=path.considered)
    for policy in path.policies:
        objection = _objection(policy, question, context)
        if objection:
            return PolicyDecision(
                allowed=False,
                explanation=f"The policy '{policy.name}' denies this: {objection}.",
                policy_id=policy.id,
                policy_name=policy.name,
                considered=path.considered,
            )
    return PolicyDecision(True, _allowed_because(path.considered), considered=path.considered)


def _nobody_denies(path: _Path, question: Question, context: cel.Context | None) -> bool:
    """True only when it is certain; otherwise the policies are asked one by one, which also finds the words."""
    if path.somebody_denies:
        return False
    if path.role_sets:
        roles = question.roles()
        if any(wanted.isdisjoint(roles) for wanted in path.role_sets):
            return False
    try:
        return all(execute(context) is True for execute in path.programs)
    except (KeyError, TypeError, ValueError, RuntimeError, ArithmeticError):
        return False


def _allowed_because(considered: int) -> str:
    if not considered:
        return "No active policy applies."
    return f"{considered} active {'policy applies' if considered == 1 else 'policies apply'}; none denies."


def _context(reads: tuple[tuple[str, str], ...], value: Callable[[str, str], Any]) -> cel.Context:
    values: dict[str, dict[str, Any]] = {"actor": {}, "action": {}, "resource": {}, "environment": {}}
    for root, attribute in reads:
        values[root][attribute] = value(root, attribute)
    return cel.Context(variables={root: attributes for root, attributes in values.items() if attributes})


def load_snapshot() -> Snapshot:
    """Compile what is active now. Two queries."""
    token = PolicyVersion.objects.filter(pk=1).values_list("token", flat=True).first()
    policies = []
    rows = (
        Policy.objects.filter(status=PolicyStatus.ACTIVE)
        .order_by("name", "id")
        .values_list("id", "name", "scope", "team_id", "rules")
    )
    for policy_id, name, scope, team_id, rules in rows:
        try:
            compiled: CompiledRules | None = compile_rules(rules)
        except ValidationFailed as error:
            logger.error("policy_not_compiled", extra={"policy": str(policy_id), "error": error.message})
            compiled = None
        policies.append(ActivePolicy(policy_id, name, Policy(scope=scope).effective_scope, team_id, compiled))
    return Snapshot(token=token, policies=tuple(policies))


class PolicyCache:
    """The process's snapshot and when it was last compared with the database.

    `_pending` is the token of a change whose transaction has not ended yet. While there is one, every decision
    compares tokens, so that neither a rollback nor another thread leaves us with policies that do not exist.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._checked_at = 0.0
        self._pending: UUID | None = None

    def current(self) -> Snapshot:
        """The snapshot to decide by."""
        snapshot = self._snapshot
        if (
            snapshot is not None
            and self._pending is None
            and self._clock() - self._checked_at < settings.POLICY_CHECK_SECONDS
        ):
            return snapshot
        with self._lock:
            return self._compare()

    def _compare(self) -> Snapshot:
        snapshot = self._snapshot
        now = self._clock()
        if snapshot is not None:
            token = PolicyVersion.objects.filter(pk=1).values_list("token", flat=True).first()
            if self._pending is not None and token != self._pending:
                self._pending = None
            if token == snapshot.token:
                self._checked_at = now
                return snapshot
        self._snapshot = load_snapshot()
        self._checked_at = now
        return self._snapshot

    def changed(self) -> None:
        """Called inside the transaction that changes policies: give all processes a new version to notice."""
        token = uuid4()
        PolicyVersion.objects.update_or_create(pk=1, defaults={"token": token})
        self._pending = token
        transaction.on_commit(self._committed)

    def _committed(self) -> None:
        self._pending = None
        self._checked_at = float("-inf")

    def forget(self) -> None:
        """Drop everything; the next decision reads the database."""
        with self._lock:
            self._snapshot, self._pending = None, None


policy_cache = PolicyCache()
