"""FR-003c: the pages and the admin of PII rules and marks, as people use them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.datasets import services
from apps.datasets.models import PiiMark, PiiRuleRecord
from tests.factories.datasets import clean_rows, last_check, make_dataset
from tests.support.cast import Cast

pytestmark = pytest.mark.django_db
Page = Callable[[Any], Client]
LIST = "/datasets/pii-rules/"
FORM = {
    "key": "customer_number",
    "name": "Customer number",
    "type": "customer",
    "pattern": r"KD-(?P<value>[0-9]{6})",
    "confidence": "0.9",
    "mask": "ends",
    "enabled": "on",
    "note": "They are in every ticket.",
}


def text(response: Any) -> str:
    """The page."""
    assert response.status_code == 200, response.content[:2000]
    return str(response.content.decode())


def test_admin_writes_changes_and_retires_a_rule(cast: Cast, page: Page) -> None:
    """FR-003c: list, form with its refusals, versions, switch, retire; all of it on pages."""
    dana = page(cast.dana)
    shown = text(dana.get(LIST))
    assert "E-mail address" in shown
    assert "customer_number" not in shown
    refused = dana.post(f"{LIST}new/", {**FORM, "pattern": r"KD-\d+"})
    assert refused.status_code == 422
    assert "bounded width" in refused.content.decode()
    assert not PiiRuleRecord.objects.filter(key="customer_number").exists()
    dana.post(f"{LIST}new/", FORM)
    rule = PiiRuleRecord.objects.get(key="customer_number")
    assert rule.position > 10
    detail = rule.get_absolute_url()
    assert "They are in every ticket." in text(dana.get(detail))
    change = {key: value for key, value in FORM.items() if key != "key"}
    assert "Save as version 2" in text(dana.get(f"{detail}change/"))
    dana.post(f"{detail}change/", {**change, "pattern": "KD-[0-9]{7}", "note": "longer"})
    rule.refresh_from_db()
    assert (rule.version, rule.pattern) == (2, "KD-[0-9]{7}")
    dana.post(f"{detail}switch/", {"enabled": "false"})
    assert "Off" in text(dana.get(f"{LIST}?q=customer"))
    dana.post(f"{detail}retire/")
    assert "customer_number" not in text(dana.get(LIST))
    assert "customer_number" in text(dana.get(f"{LIST}?retired=true"))
    assert "Retired" in text(dana.get(detail))


def test_person_tries_a_text(cast: Cast, page: Page) -> None:
    """FR-003c: what is found is shown in place; input is escaped and kept."""
    dana = page(cast.dana)
    assert "Look for personal data" in text(dana.get(f"{LIST}try/"))
    answer = text(dana.post(f"{LIST}try/", {"text": "<b>x</b> ann@example.com"}))
    assert "1 find" in answer
    assert '<mark title="E-mail address">ann@example.com</mark>' in answer
    assert "<b>x</b>" not in answer
    assert "Nothing in this text" in text(dana.post(f"{LIST}try/", {"text": "hello"}))


def test_who_opens_the_pages_of_rules(cast: Cast, page: Page) -> None:
    """roles.md: admin writes; operator and auditor read; others are refused and see no entry."""
    rule = PiiRuleRecord.objects.get(key="email")
    for name, user in cast.everyone().items():
        client = page(user)
        reads = name in {"dana", "finn"}
        for address in (LIST, rule.get_absolute_url(), f"{LIST}try/"):
            assert client.get(address).status_code == (200 if reads else 403), (name, address)
        assert (LIST in text(client.get("/datasets/"))) is reads, name
        if name != "dana":
            client.post(f"{rule.get_absolute_url()}switch/", {"enabled": "false"})
    rule.refresh_from_db()
    assert rule.enabled
    assert "New rule" not in text(page(cast.finn).get(LIST))


def test_team_proposes_and_reviewer_confirms_on_the_page(cast: Cast, page: Page) -> None:
    """FR-003c: propose with a reason, confirm by somebody else, undo; the page says where it stands."""
    rows = clean_rows(30)
    rows[0]["response"] += " Write to help@example.com."
    dataset = make_dataset(cast.ada, rows=rows)
    where = dataset.get_absolute_url()
    ada, ben = page(cast.ada), page(cast.ben)
    assert "Propose" in text(ada.get(where))
    finding = last_check(dataset).findings.get()
    ada.post(f"{where}pii-marks/", {"finding": finding.pk, "reason": ""})
    assert not PiiMark.objects.exists()
    ada.post(f"{where}pii-marks/", {"finding": finding.pk, "reason": "The help desk."})
    mark = PiiMark.objects.get()
    shown = text(ada.get(where))
    assert "The help desk." in shown
    assert "Only reviewers and administrators confirm marks." in shown
    decide = reverse("datasets:pii-mark-decide", args=[dataset.pk, mark.pk])
    assert f'action="{decide}"' in text(ben.get(where))
    ben.post(decide, {"decision": "confirm"})
    shown = text(ada.get(where))
    assert "None left" in shown
    assert "All 1 finds are confirmed" in shown
    ada.post(decide, {"decision": "undo", "reason": "It is a person."})
    dataset.refresh_from_db()
    assert dataset.pii_scan_status == "failed"
    assert page(cast.eve).post(decide, {"decision": "undo", "reason": "x"}).status_code == 404


def test_admin_site_switches_rules_and_decides_marks(cast: Cast, page: Page) -> None:
    """FR-003c: the admin's actions call the same services; four eyes hold there too."""
    dana = page(cast.dana)
    rule = PiiRuleRecord.objects.get(key="ipv4")
    text(dana.get("/admin/datasets/piirulerecord/"))
    text(dana.get(f"/admin/datasets/piirulerecord/{rule.pk}/change/"))
    chosen = {"action": "switch_off", "_selected_action": [str(rule.pk)]}
    dana.post("/admin/datasets/piirulerecord/", chosen)
    rule.refresh_from_db()
    assert (rule.enabled, rule.version) == (False, 2)
    rows = clean_rows(30)
    rows[0]["response"] += " Write to help@example.com."
    dataset = make_dataset(cast.dana, owner_team="support", rows=rows)
    mark = services.pii_mark_create(
        actor=cast.ada, dataset_id=dataset.pk, column="response", pii_type="email", reason="The help desk."
    )
    chosen = {"action": "confirm", "_selected_action": [str(mark.pk)]}
    dana.post("/admin/datasets/piimark/", chosen)
    mark.refresh_from_db()
    assert mark.status == "proposed", "she filled the dataset"
    page(cast.chen).post("/admin/datasets/piimark/", chosen)
    mark.refresh_from_db()
    assert mark.status == "confirmed"
