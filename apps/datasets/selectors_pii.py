"""Reading the PII rules and the marks on findings."""

from __future__ import annotations

import hashlib
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from apps.accounts.models import User
from apps.core.errors import Conflict
from apps.core.permissions import can
from apps.core.transitions import get_or_not_found
from apps.datasets.models import Dataset, PiiMark, PiiRuleRecord, PiiRuleVersion
from apps.datasets.pii import DEFAULT_RULES, TYPE_LABELS, PiiRule
from apps.datasets.pii.names import NameRecogniser
from apps.governance.services import authorize
from apps.integrations.named_entities import entity_finder


def pii_rules_visible_to(actor: User | None) -> QuerySet[PiiRuleRecord]:
    """All rules, retired ones too, in the order in which they count; PermissionRefused for who may not read them."""
    authorize(actor=actor, action="pii_rule.view")
    return PiiRuleRecord.objects.select_related("team", "created_by").order_by("position", "key", "id")


def pii_rules_named_for(actor: User | None) -> QuerySet[PiiRuleRecord]:
    """The same for names in the audit trail: who may not read rules sees none."""
    return PiiRuleRecord.objects.all() if can(actor, "pii_rule.view") else PiiRuleRecord.objects.none()


def pii_rule_get(*, actor: User | None, rule_id: object) -> PiiRuleRecord:
    """One rule. Raises PermissionRefused, NotFound."""
    return get_or_not_found(pii_rules_visible_to(actor), rule_id, "PII rule")


def pii_rule_versions(rule: PiiRuleRecord) -> QuerySet[PiiRuleVersion]:
    """What it said when, newest first."""
    return PiiRuleVersion.objects.filter(rule=rule).select_related("created_by").order_by("-version")


def pii_rules_for(team_id: Any) -> tuple[PiiRule, ...]:
    """The rules that count for a team's datasets, in order: the global ones, the team's own instead of those with
    the same key.

    An installation whose table was never filled uses the built-in rules. Raises Conflict when rules exist and none
    of them counts, or one cannot be used: a scan without rules would call everything clean.
    """
    rows = PiiRuleRecord.objects.filter(retired_at=None).order_by("position", "key", "id")
    chosen: dict[str, PiiRuleRecord] = {}
    for row in rows:
        if row.team_id == team_id or (row.team_id is None and row.key not in chosen):
            chosen[row.key] = row
    if not chosen and not PiiRuleRecord.objects.exists():
        return DEFAULT_RULES
    active = [row for row in chosen.values() if row.enabled]
    if not active:
        raise Conflict(
            "No rule for personal data is switched on, so nothing could be found. An administrator must enable some.",
            code="no_pii_rules",
        )
    active.sort(key=lambda row: (row.position, row.key))
    return tuple(rule_of(row) for row in active)


def rule_of(row: PiiRuleRecord) -> PiiRule:
    """A row as the scan uses it. Raises Conflict when it cannot be used (any more)."""
    try:
        return PiiRule(
            row.key,
            row.type,
            row.name,
            row.pattern,
            row.confidence,
            row.validator,
            row.mask,
            row.regions,
            row.version,
        )
    except ValueError as error:
        raise Conflict(f"The PII rule “{row.key}” cannot be used: {error}", code="bad_pii_rule") from error


def name_recogniser() -> NameRecogniser | None:
    """What finds names of people and places; None when that is switched off."""
    return NameRecogniser(entity_finder()) if settings.DATASETS_PII_NER else None


def type_label(pii_type: str) -> str:
    """What a kind of data is called; kinds that administrators made are called by their key."""
    return TYPE_LABELS.get(pii_type) or pii_type.replace("_", " ").capitalize()


def finding_key() -> bytes:
    """Keys the digests of found texts: a number of nine digits could be guessed from a plain hash."""
    return hashlib.sha256(b"llmops-pii-findings:" + settings.SECRET_KEY.encode()).digest()


def pii_marks_of(dataset: Dataset) -> QuerySet[PiiMark]:
    """Marks on findings of a dataset, newest first."""
    return PiiMark.objects.filter(dataset=dataset).select_related("created_by", "decided_by").order_by("-created_at")
