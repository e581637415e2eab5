"""Writing PII rules: administrators only, every edit a new version, nothing kept that could run away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max

from apps.accounts.models import Team, User
from apps.core import audit, clock
from apps.core.errors import Conflict, FieldError, ValidationFailed
from apps.core.transitions import get_locked
from apps.datasets.models import PiiRuleRecord, PiiRuleVersion
from apps.datasets.pii import MASKS, PiiRule, mask, spans
from apps.datasets.pii.checking import PatternError, check_pattern
from apps.datasets.pii.phones import known_region
from apps.datasets.pii.validators import BY_REGION, NAMES, regions_of
from apps.datasets.selectors_pii import pii_rules_for
from apps.governance.services import authorize

MAX_NOTE = 500
MAX_TRY = 20_000
MAX_POSITION = 100_000
MAX_REGIONS = 30
_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")
_STEP = 10


def pii_rule_create(
    *, actor: User | None, key: str, team: Team | None = None, note: str = "", **content: Any
) -> PiiRuleRecord:
    """Add a rule, for every team or for one.

    ``content``: type, name, pattern, confidence; optional validator, regions, mask, position, enabled. Raises
    PermissionRefused (administrators only), ValidationFailed (every fault with its field), Conflict (key taken).
    """
    authorize(actor=actor, action="pii_rule.change")
    _refuse_unknown(content)
    if content.get("position") is None:
        content["position"] = (PiiRuleRecord.objects.aggregate(last=Max("position"))["last"] or 0) + _STEP
    fields = {"validator": "", "regions": "", "mask": "middle", "enabled": True, **content}
    checked = _checked(key, fields, note)
    try:
        with transaction.atomic():
            rule = PiiRuleRecord.objects.create(key=key, team=team, created_by=actor, **checked)
            _keep_version(rule, actor, note)
            audit.record(
                actor=actor,
                action="datasets.pii_rule.created",
                resource=rule,
                metadata={"key": key, "version": 1, "note": note, **rule.content},
            )
    except IntegrityError as error:
        raise _taken(key, team) from error
    return rule


def pii_rule_change(*, actor: User | None, rule_id: object, note: str = "", **changes: Any) -> PiiRuleRecord:
    """Change what a rule says or whether it is switched on; what is not given stays. Makes a new version, unless
    nothing changes. Datasets that are checked already keep their results until they are checked again."""
    authorize(actor=actor, action="pii_rule.change")
    _refuse_unknown(changes)
    with transaction.atomic():
        rule = _locked(rule_id)
        before = rule.content
        checked = _checked(rule.key, {**before, **changes}, note)
        changed = {name: value for name, value in checked.items() if before[name] != value}
        if not changed:
            return rule
        for name, value in changed.items():
            setattr(rule, name, value)
        rule.version += 1
        rule.save(update_fields=[*changed, "version"])
        _keep_version(rule, actor, note)
        audit.record(
            actor=actor,
            action="datasets.pii_rule.changed",
            resource=rule,
            metadata={
                "key": rule.key,
                "version": rule.version,
                "note": note,
                "before": {name: before[name] for name in changed},
                "after": changed,
            },
        )
    return rule


def pii_rule_retire(*, actor: User | None, rule_id: object, note: str = "") -> PiiRuleRecord:
    """Take a rule out for good: its key is free again, its versions stay readable."""
    authorize(actor=actor, action="pii_rule.change")
    if len(note) > MAX_NOTE or "\x00" in note:
        raise ValidationFailed.field("note", "invalid", f"note must hold at most {MAX_NOTE} plain characters.")
    with transaction.atomic():
        rule = _locked(rule_id)
        rule.retired_at, rule.enabled = clock.now(), False
        rule.save(update_fields=["retired_at", "enabled"])
        audit.record(
            actor=actor,
            action="datasets.pii_rule.retired",
            resource=rule,
            metadata={"key": rule.key, "version": rule.version, "note": note},
        )
    return rule


def pii_text_try(
    *, actor: User | None, text: str, team: Team | None = None, rule: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """What the rules of a team (or the global ones) find in ``text``, or what one rule that is still being written
    would find. Nothing is kept. Raises PermissionRefused, ValidationFailed."""
    authorize(actor=actor, action="pii_rule.view")
    if not text or len(text) > MAX_TRY or "\x00" in text:
        raise ValidationFailed.field(
            "text", "invalid", f"text must hold 1 to {MAX_TRY:,} characters, none of them NUL."
        )
    if rule is None:
        rules = pii_rules_for(team.pk if team is not None else None)
    else:
        authorize(actor=actor, action="pii_rule.change")
        _refuse_unknown(rule)
        draft = {"type": "draft", "name": "Draft", "confidence": 1.0, "validator": "", "regions": "", "mask": "middle"}
        fields = _checked("draft", {**draft, "position": 0, "enabled": True, "pattern": "", **rule}, "")
        rules = (_as_rule("draft", fields),)
    return [
        {
            "rule": span.rule.key,
            "type": span.rule.type,
            "span": [span.start, span.end],
            "text": span.text,
            "example": mask(span.text, span.rule.mask),
            "confidence": span.rule.confidence,
        }
        for span in spans(text, rules)
    ]


def _as_rule(key: str, fields: dict[str, Any]) -> PiiRule:
    names = ("type", "pattern", "confidence", "validator", "mask", "regions")
    return PiiRule(key, label=fields["name"], **{name: fields[name] for name in names})


def _locked(rule_id: object) -> PiiRuleRecord:
    rule = get_locked(PiiRuleRecord.objects.all(), rule_id, what="PII rule")
    if rule.retired_at is not None:
        raise Conflict(f"The rule “{rule.key}” is retired. Create a new one with this key.", code="retired")
    return rule


def _keep_version(rule: PiiRuleRecord, actor: User | None, note: str) -> None:
    PiiRuleVersion.objects.create(
        rule=rule, version=rule.version, content=rule.content, note=note.strip(), created_by=actor
    )


def _refuse_unknown(content: dict[str, Any]) -> None:
    unknown = set(content) - set(PiiRuleRecord.CONTENT)
    if unknown:
        known = ", ".join(PiiRuleRecord.CONTENT)
        raise ValidationFailed.field(
            min(unknown), "unknown_field", f"A PII rule has no field “{min(unknown)}”; it has {known}."
        )


def _checked(key: str, content: dict[str, Any], note: str) -> dict[str, Any]:
    """The content, or every fault of it."""
    errors = [*_word_faults(key, content, note), *_number_faults(content), *_validator_faults(content)]
    pattern = content.get("pattern")
    try:
        check_pattern(pattern if isinstance(pattern, str) else "")
    except PatternError as error:
        errors.append(FieldError("pattern", "invalid_pattern", str(error)))
    if errors:
        raise ValidationFailed(errors[0].message, errors=errors)
    return {
        **{name: content[name] for name in PiiRuleRecord.CONTENT},
        "name": content["name"].strip(),
        "regions": ",".join(regions_of(content.get("regions") or "")),
        "validator": content.get("validator") or "",
        "confidence": float(content["confidence"]),
    }


def _word_faults(key: str, content: dict[str, Any], note: str) -> Iterator[FieldError]:
    for field in ("key", "type"):
        word = key if field == "key" else content.get("type")
        if not isinstance(word, str) or not _KEY.fullmatch(word):
            yield FieldError(field, "invalid", f"{field} must be 1 to 40 of a–z, 0–9, _ and begin with a letter.")
    name = content.get("name")
    if not isinstance(name, str) or not name.strip() or len(name) > 100 or "\x00" in name:
        yield FieldError("name", "invalid", "name must hold 1 to 100 characters.")
    if len(note) > MAX_NOTE or "\x00" in note:
        yield FieldError("note", "invalid", f"note must hold at most {MAX_NOTE} plain characters.")


def _number_faults(content: dict[str, Any]) -> Iterator[FieldError]:
    confidence, position = content.get("confidence"), content.get("position")
    if not isinstance(confidence, int | float) or isinstance(confidence, bool) or not 0 < confidence <= 1:
        yield FieldError("confidence", "out_of_range", "confidence must be above 0 and at most 1.")
    if not isinstance(position, int) or isinstance(position, bool) or not 0 <= position <= MAX_POSITION:
        yield FieldError("position", "out_of_range", f"position must be between 0 and {MAX_POSITION:,}.")
    if not isinstance(content.get("enabled"), bool):
        yield FieldError("enabled", "invalid", "enabled must be true or false.")


def _validator_faults(content: dict[str, Any]) -> Iterator[FieldError]:
    if content.get("mask") not in MASKS:
        yield FieldError("mask", "invalid_choice", f"mask must be one of {', '.join(MASKS)}.")
    validator = content.get("validator")
    if validator and validator not in NAMES:
        known = ", ".join(NAMES)
        yield FieldError("validator", "invalid_choice", f"There is no validator “{validator}”; known are: {known}.")
    regions = regions_of(str(content.get("regions") or ""))
    strange = [code for code in regions if not known_region(code)]
    if strange or len(regions) > MAX_REGIONS:
        yield FieldError(
            "regions",
            "invalid",
            f"regions must be at most {MAX_REGIONS} country codes such as DE,FR; unknown: {', '.join(strange)[:80]}.",
        )
    elif regions and validator not in BY_REGION:
        readers = ", ".join(BY_REGION)
        yield FieldError("regions", "not_applicable", f"regions are read by {readers} only; choose that validator.")


def _taken(key: str, team: Team | None) -> Conflict:
    where = f"in team {team.slug}" if team is not None else "for all teams"
    message = f"There is a rule “{key}” {where} already; change it, or choose another key."
    return Conflict(message, errors=[FieldError("key", "duplicate", message)], code="duplicate")
