"""FR-003c: PII rules are rows that administrators change: checked, versioned, per team or global, audited."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apps.core.errors import Conflict, PermissionRefused, ValidationFailed
from apps.core.models import AuditEvent
from apps.datasets import selectors_pii, services
from apps.datasets.models import PiiRuleRecord, PiiRuleVersion
from apps.datasets.pii import DEFAULT_RULES, rules_digest
from tests.factories.datasets import clean_rows, last_check, make_dataset
from tests.support.cast import ApiClient, Cast, commit_now

pytestmark = pytest.mark.django_db

Api = Callable[..., ApiClient]
Page = Callable[..., Client]
RULES = "/catalog/pii-rules"
CUSTOMER: dict[str, Any] = {
    "key": "customer_number",
    "type": "customer",
    "name": "Customer number",
    "pattern": r"(?<![0-9A-Z])KD-(?P<value>[0-9]{6})(?![0-9])",
    "confidence": 0.9,
}


def customer_rows() -> list[dict[str, Any]]:
    """Rows of which two hold a customer number."""
    rows = clean_rows(30)
    rows[4]["response"] += " Your number is KD-123456."
    rows[9]["instruction"] += " I am KD-654321."
    return rows


def test_built_in_rules_are_seeded_as_rows(cast: Cast) -> None:
    """FR-003c: a new installation starts with the product's rules, at version 1, in their order."""
    assert selectors_pii.pii_rules_for(cast.support.pk) == DEFAULT_RULES
    assert PiiRuleVersion.objects.filter(version=1).count() == len(DEFAULT_RULES)


def test_never_filled_table_uses_the_built_in_rules_and_a_switched_off_one_refuses(cast: Cast) -> None:
    """FR-003c: no rules must never read as “clean”."""
    PiiRuleRecord.objects.update(enabled=False)
    with pytest.raises(Conflict, match="switched on"):
        selectors_pii.pii_rules_for(cast.support.pk)
    dataset = make_dataset(cast.ada)
    assert dataset.pii_scan_status == "pending"
    check = dataset.checks.get()
    assert (check.status, "switched on" in check.message) == ("failed", True)
    PiiRuleVersion.objects.all().delete()
    PiiRuleRecord.objects.all().delete()
    assert selectors_pii.pii_rules_for(cast.support.pk) == DEFAULT_RULES


def test_admin_adds_a_rule_and_the_next_check_uses_it(cast: Cast, api: Api) -> None:
    """FR-003c: create, check again, find; an edit makes a version; the old check keeps the set it used."""
    dataset = make_dataset(cast.ada, rows=customer_rows())
    assert dataset.pii_scan_status == "clean"
    before = last_check(dataset).pii["rules"]
    assert before == rules_digest(DEFAULT_RULES)
    dana = api(cast.dana)
    made = dana.post(RULES, CUSTOMER)
    assert made.status_code == 200, made.content
    assert (made.data["version"], made.data["enabled"], made.data["ownerTeam"]) == (1, True, None)
    services.dataset_check_request(actor=cast.ada, dataset_id=dataset.pk)
    commit_now()
    dataset.refresh_from_db()
    assert dataset.pii_scan_status == "failed"
    assert last_check(dataset).pii["byType"] == {"customer": 2}
    assert last_check(dataset).pii["ruleVersions"]["customer_number"] == 1
    assert last_check(dataset).pii["rules"] != before
    assert dataset.checks.earliest("created_at").pii["rules"] == before

    path = f"{RULES}/{made.data['id']}"
    changed = dana.patch(path, {"pattern": r"KD-[0-9]{7}", "note": "seven digits now"})
    assert changed.data["version"] == 2
    assert dana.patch(path, {"pattern": r"KD-[0-9]{7}"}).data["version"] == 2, "nothing changed, no version"
    versions = dana.get(f"{path}/versions").data
    assert [(row["version"], row["content"]["pattern"], row["note"]) for row in versions] == [
        (2, r"KD-[0-9]{7}", "seven digits now"),
        (1, CUSTOMER["pattern"], ""),
    ]
    assert dana.delete(path).data["retiredAt"]
    assert dana.patch(path, {"enabled": True}).status_code == 409
    assert [row["key"] for row in dana.get(f"{RULES}?q=customer").data] == []
    assert [row["key"] for row in dana.get(f"{RULES}?q=customer&retired=true").data] == ["customer_number"]
    assert dana.post(RULES, CUSTOMER).status_code == 200, "the key is free again"
    actions = list(
        AuditEvent.objects.filter(resource_type="pii_rule").order_by("sequence").values_list("action", flat=True)
    )
    assert actions == [f"datasets.pii_rule.{word}" for word in ("created", "changed", "retired", "created")]


def test_teams_rule_stands_in_for_the_global_one(cast: Cast, api: Api) -> None:
    """FR-003c: per team or global; the team's own wins for its datasets only."""
    dana = api(cast.dana)
    body = {**CUSTOMER, "key": "email", "type": "email", "pattern": "nobody@nowhere", "ownerTeam": "research"}
    made = dana.post(RULES, body)
    assert made.data["ownerTeam"] == "research"
    assert dana.post(RULES, body).status_code == 409
    by_team = {
        team.slug: {rule.key: rule.pattern for rule in selectors_pii.pii_rules_for(team.pk)}
        for team in (cast.support, cast.research)
    }
    assert by_team["research"]["email"] == "nobody@nowhere"
    assert by_team["support"]["email"] != "nobody@nowhere"
    assert len(by_team["research"]) == len(by_team["support"])
    assert [row["id"] for row in dana.get(f"{RULES}?ownerTeam=research").data] == [made.data["id"]]
    dana.patch(f"{RULES}/{made.data['id']}", {"enabled": False})
    assert "email" not in {rule.key for rule in selectors_pii.pii_rules_for(cast.research.pk)}


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("pattern", "(", "character 1"),
        ("pattern", "", "blank"),
        ("pattern", "a*", "match nothing"),
        ("pattern", r"KD-\d+", "bounded width"),
        ("pattern", "(a{1,50}){1,50}b", "back-tracks"),
        ("pattern", "(?=(?:x{1,90}){1,90}y)x", "back-tracks"),
        ("pattern", "x" * 2_001, "2,001"),
        ("pattern", "(?P<value>a)?b", "value"),
        ("pattern", r"(?<=a{1,3})b", "look-behind"),
        ("pattern", "(?u)a", "ASCII"),
        ("pattern", "[[a]b", "cannot be used"),
        ("validator", "nobody", "known are"),
        ("regions", "DE", "phone_plan"),
        ("regions", "XX,DE", "XX"),
        ("confidence", 0, "above 0"),
        ("confidence", 1.5, "at most 1"),
        ("mask", "rot13", "mask must be"),
        ("key", "Customer Number", "a–z"),
        ("type", "K" * 50, "a–z"),
        ("position", -1, "position"),
        ("name", "   ", "blank"),
    ],
)
def test_unusable_rules_are_refused_with_the_field(cast: Cast, api: Api, field: str, value: Any, says: str) -> None:
    """FR-003c: what cannot be used, or could run away, is refused before it is kept; nothing is written."""
    answer = api(cast.dana).post(RULES, {**CUSTOMER, field: value})
    assert answer.status_code == 400, answer.content
    assert [error["field"] for error in answer.data["errors"]] == [field]
    assert says in answer.data["errors"][0]["message"] or field == "confidence"
    assert not PiiRuleRecord.objects.filter(name="Customer number").exists()
    assert not AuditEvent.objects.filter(resource_type="pii_rule", result="allowed").exists()


def test_every_fault_is_named_at_once(cast: Cast) -> None:
    """FR-003c: one answer for all mistakes."""
    with pytest.raises(ValidationFailed) as refused:
        services.pii_rule_create(actor=cast.dana, **{**CUSTOMER, "pattern": "(", "mask": "x", "confidence": 7})
    assert {error.field for error in refused.value.errors} == {"pattern", "mask", "confidence"}
    with pytest.raises(ValidationFailed, match="no field"):
        services.pii_rule_create(actor=cast.dana, **CUSTOMER, colour="red")


def test_every_built_in_rule_passes_its_own_checks(cast: Cast) -> None:
    """FR-003c: an administrator can change the least thing about any rule without being refused for the rest."""
    for key in ("email", "private_key", "phone_by_plan"):
        rule = PiiRuleRecord.objects.get(key=key)
        assert services.pii_rule_change(actor=cast.dana, rule_id=rule.pk, name="Other").version == 2


def test_trying_a_text_keeps_nothing(cast: Cast, api: Api) -> None:
    """FR-003c: text → findings, by the rules that count, or by one that is still being written."""
    dana = api(cast.dana)
    found = dana.post(f"{RULES}/try", {"text": "Write to ann@example.com or KD-123456."}).data["findings"]
    assert [(row["rule"], row["span"], row["example"]) for row in found] == [("email", [9, 24], "a•••@e•••.com")]
    draft = {"pattern": CUSTOMER["pattern"], "mask": "ends"}
    found = dana.post(f"{RULES}/try", {"text": "ann@example.com KD-123456.", "rule": draft}).data["findings"]
    assert [(row["text"], row["span"]) for row in found] == [("123456", [19, 25])]
    bad = dana.post(f"{RULES}/try", {"text": "x", "rule": {"pattern": "(a{1,60}){1,60}b"}})
    assert (bad.status_code, bad.data["errors"][0]["field"]) == (400, "pattern")
    assert dana.post(f"{RULES}/try", {"text": "x" * 20_001}).status_code == 400
    assert dana.post(f"{RULES}/try", {"text": "x", "rule": {"colour": "red"}}).status_code == 400
    assert not AuditEvent.objects.filter(resource_type="pii_rule").exists()


@pytest.mark.parametrize(
    "body",
    [
        b'{"text": "\\ud800 ann@example.com"}',
        b'{"text": "x", "rule": {"pattern": {"a": 1}}}',
        b'{"text": "x", "rule": {"pattern": "a", "validator": {"a": 1}}}',
        b'{"text": "x", "rule": {"pattern": "a", "mask": ["x"], "regions": ["DE"], "name": 3, "type": []}}',
        b'{"text": "x", "rule": {"pattern": "a", "confidence": "high", "position": 1e400}}',
        b'{"text": "x", "rule": ["a"]}',
        b'{"text": "x", "rule": {"pattern": "' + b"(" * 400 + b")" * 400 + b'"}}',
        b'{"text": ["x"]}',
    ],
)
def test_hostile_bodies_get_a_clear_answer(cast: Cast, api: Api, body: bytes) -> None:
    """FR-003c: values of the wrong kind, half characters, deep patterns: refused in words, never a crash."""
    answer = api(cast.dana).post(f"{RULES}/try", body)
    assert answer.status_code == 400, answer.content
    assert answer.envelope["message"]


def test_only_administrators_write_rules(cast: Cast, api: Api) -> None:
    """roles.md: PII rules belong to admin; operator and auditor read; for others they are refused."""
    rule = PiiRuleRecord.objects.get(key="email")
    for name, user in cast.everyone().items():
        client = api(user)
        reads = 200 if name in {"dana", "finn"} else 403
        assert client.get(RULES).status_code == reads, name
        assert client.get(f"{RULES}/{rule.pk}").status_code == reads, name
        assert client.get(f"{RULES}/{rule.pk}/versions").status_code == reads, name
        if name != "dana":
            assert client.post(RULES, CUSTOMER).status_code == 403, name
            assert client.patch(f"{RULES}/{rule.pk}", {"enabled": False}).status_code == 403, name
            assert client.delete(f"{RULES}/{rule.pk}").status_code == 403, name
            with pytest.raises(PermissionRefused):
                services.pii_rule_retire(actor=user, rule_id=rule.pk)
    assert api(None).get(RULES).status_code == 401
    assert api(cast.dana, scopes=["read", "write"]).post(RULES, CUSTOMER).status_code == 403
    assert api(cast.dana).get(f"{RULES}/nonsense").status_code == 404
    assert api(cast.dana).get(f"{RULES}?colour=red").status_code == 400
    rule.refresh_from_db()
    assert (rule.enabled, rule.version) == (True, 1)
