"""Reading a policy's `rules`: what is stored is what was sent; what counts is what this module makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.core.errors import FieldError, ValidationFailed
from apps.core.permissions import Role
from apps.governance.policy.conditions import MAX_CONDITIONS, Condition, ConditionError, compile_condition
from apps.governance.types import POLICY_VERBS

KNOWN_KEYS = ("allowed_actions", "required_roles", "conditions")
MAX_MESSAGE = 300


@dataclass(frozen=True, slots=True)
class CompiledRules:
    """Rules ready to decide. None means that the rule is absent; an empty set allows nothing."""

    allowed_actions: frozenset[str] | None
    required_roles: frozenset[str] | None
    conditions: tuple[Condition, ...]

    @property
    def is_empty(self) -> bool:
        """True when the policy says nothing."""
        return self.allowed_actions is None and self.required_roles is None and not self.conditions


def _names(
    rules: Mapping[str, Any], key: str, known: frozenset[str], errors: list[FieldError]
) -> frozenset[str] | None:
    if key not in rules:
        return None
    value = rules[key]
    field = f"rules.{key}"
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        errors.append(FieldError(field, "invalid", f"{field} must be a list of words."))
        return None
    unknown = sorted(set(value) - known)
    if unknown:
        errors.append(
            FieldError(
                field,
                "unknown_value",
                f"{field} holds {', '.join(unknown[:5])}; known are: {', '.join(sorted(known))}.",
            )
        )
    return frozenset(value)


def _conditions(rules: Mapping[str, Any], errors: list[FieldError]) -> tuple[Condition, ...]:
    value = rules.get("conditions", [])
    if not isinstance(value, list):
        errors.append(FieldError("rules.conditions", "invalid", "rules.conditions must be a list of expressions."))
        return ()
    if len(value) > MAX_CONDITIONS:
        errors.append(
            FieldError(
                "rules.conditions",
                "too_many",
                f"rules.conditions holds {len(value)} expressions; at most {MAX_CONDITIONS} are allowed.",
            )
        )
        return ()
    compiled = []
    for index, item in enumerate(value):
        field = f"rules.conditions[{index}]"
        source, message = (item.get("expression"), item.get("message", "")) if isinstance(item, Mapping) else (item, "")
        usable = isinstance(source, str) and isinstance(message, str) and len(message) <= MAX_MESSAGE
        if not isinstance(source, str) or not isinstance(message, str) or not usable or "\x00" in message:
            errors.append(
                FieldError(
                    field,
                    "invalid",
                    f"{field} must be a CEL expression, or an object with `expression` and a `message` "
                    f"of at most {MAX_MESSAGE} characters.",
                )
            )
            continue
        if isinstance(item, Mapping) and set(item) - {"expression", "message"}:
            extra = ", ".join(sorted(map(str, set(item) - {"expression", "message"})))
            errors.append(FieldError(field, "unknown_key", f"{field} has unknown keys: {extra}."))
        try:
            compiled.append(compile_condition(source, message))
        except ConditionError as error:
            errors.append(FieldError(field, "invalid_expression", f"{field}: {error}"))
    return tuple(compiled)


def compile_rules(rules: object) -> CompiledRules:
    """Rules as they decide.

    Raises:
        ValidationFailed: every fault, each with its place in `rules` and what is known instead.
    """
    if not isinstance(rules, Mapping):
        raise ValidationFailed.field("rules", "invalid", "rules must be an object.")
    errors: list[FieldError] = []
    unknown = sorted(str(key) for key in rules if key not in KNOWN_KEYS)
    if unknown:
        # A misspelt key that is silently ignored would be a rule that everybody believes in and nobody applies.
        errors.append(
            FieldError(
                "rules",
                "unknown_key",
                f"rules has unknown keys: {', '.join(unknown[:5])}; known are: {', '.join(KNOWN_KEYS)}.",
            )
        )
    allowed = _names(rules, "allowed_actions", frozenset(POLICY_VERBS), errors)
    roles = _names(rules, "required_roles", frozenset(role.value for role in Role), errors)
    conditions = _conditions(rules, errors)
    if errors:
        raise ValidationFailed(f"The rules cannot be used: {errors[0].message}", errors=errors, code="invalid_rules")
    return CompiledRules(allowed_actions=allowed, required_roles=roles, conditions=conditions)
