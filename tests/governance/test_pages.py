"""P-3, FR-010, FR-011: the pages of governance and the admin, for the whole cast."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from apps.core import audit, clock
from apps.core.models import AuditEvent, Operation
from apps.governance import services
from apps.governance.models import ApprovalRequest, Policy, PriceEntry
from apps.governance.services import UsageEntry
from apps.governance.types import GateResult
from tests.governance.conftest import ThingSubject
from tests.support.cast import Cast

Page = Callable[..., Client]
HTMX = {"HX-Request": "true"}


@pytest.fixture
def approval(cast: Cast, subject: ThingSubject, thing: Operation) -> ApprovalRequest:
    """Ada asks for an approval."""
    return services.approval_request(actor=cast.ada, kind="thing", subject_id=thing.pk, notes="please have a look")


@pytest.fixture
def policy(cast: Cast) -> Policy:
    """A draft of Dana's."""
    return services.policy_create(
        actor=cast.dana, name="Quiet hours", scope="training", rules={"conditions": ["environment.hour < 22"]}
    )


def use(cast: Cast, team: Any) -> None:
    services.usage_record_many(
        [
            UsageEntry(
                kind="tokens_out",
                quantity=Decimal(3_000_000),
                resource_type="serving",
                resource_id=uuid4(),
                team_id=team.pk,
                model_id=uuid4(),
                occurred_at=clock.now(),
                key=str(uuid4()),
            )
        ]
    )


def codes(cast: Cast, page: Page, path: str) -> dict[str, int]:
    return {name: page(user).get(path).status_code for name, user in cast.everyone().items()}


# The approval page


def test_who_sees_the_approval_page(cast: Cast, page: Page, approval: ApprovalRequest) -> None:
    """P-3: members and organisation-wide roles; for Eve it does not exist."""
    expected = {"ada": 200, "ben": 200, "chen": 200, "dana": 200, "eve": 404, "finn": 200}
    assert codes(cast, page, approval.get_absolute_url()) == expected
    assert page(None).get(approval.get_absolute_url()).status_code == 302


def test_the_page_shows_what_is_asked_and_who_may_decide(
    cast: Cast, page: Page, approval: ApprovalRequest, subject: ThingSubject
) -> None:
    """FR-010: gates with reason and remedy as of now; a form for reviewers, a reason for the others."""
    subject.failing["approve"] = GateResult("pii", "PII clean", False, "3 findings.", "Make a redacted version.")
    html = page(cast.chen).get(approval.get_absolute_url()).content.decode()
    for text in ("Thing report", "please have a look", approval.digest, "3 findings.", "Make a redacted version."):
        assert text in html
    assert 'value="approve"' in html
    html = page(cast.ada).get(approval.get_absolute_url()).content.decode()
    assert "You submitted Thing report; somebody else must decide about it." in html
    assert 'value="approve"' not in html
    assert "Withdraw" in html


def test_chen_can_approve_on_the_page(cast: Cast, page: Page, approval: ApprovalRequest) -> None:
    """FR-010: the decision with its notes."""
    answer = page(cast.chen).post(approval.get_absolute_url(), {"decision": "approve", "notes": "good work"})
    assert answer.status_code == 302
    html = page(cast.ada).get(approval.get_absolute_url()).content.decode()
    assert "good work" in html
    assert "Approved" in html


def test_ada_cannot_approve_her_own_by_page(cast: Cast, page: Page, approval: ApprovalRequest) -> None:
    """FR-010: 403, recorded, nothing changed; for the administrator's own thing too."""
    assert page(cast.ada).post(approval.get_absolute_url(), {"decision": "approve"}).status_code == 403
    approval.refresh_from_db()
    assert approval.status == "open"
    assert AuditEvent.objects.filter(result="denied", actor=cast.ada).count() == 1
    assert page(cast.eve).post(approval.get_absolute_url(), {"decision": "approve"}).status_code == 404


def test_a_held_decision_is_told_in_the_form(
    cast: Cast, page: Page, approval: ApprovalRequest, subject: ThingSubject
) -> None:
    """FR-001d: 422 with the reason, input kept; also as a fragment."""
    subject.failing["approve"] = GateResult("pii", "PII clean", False, "3 findings.", "Redact.")
    body = {"decision": "approve", "notes": "my long notes"}
    answer = page(cast.chen).post(approval.get_absolute_url(), body)
    assert answer.status_code == 422
    assert "my long notes" in answer.content.decode()
    headers = {**HTMX, "HX-Target": "decision"}
    fragment = page(cast.chen).post(approval.get_absolute_url(), body, headers=headers)
    assert fragment.status_code == 422
    assert fragment.content.decode().lstrip().startswith("<section")
    assert "3 findings" in fragment.content.decode()


def test_rejecting_needs_a_sentence(cast: Cast, page: Page, approval: ApprovalRequest) -> None:
    """FR-010: the author must know what to change."""
    answer = page(cast.chen).post(approval.get_absolute_url(), {"decision": "reject"})
    assert answer.status_code == 422
    assert "Say why" in answer.content.decode()


def test_ada_can_withdraw_on_the_page(cast: Cast, page: Page, approval: ApprovalRequest) -> None:
    """FR-001d."""
    path = f"{approval.get_absolute_url()}withdraw/"
    assert page(cast.eve).post(path).status_code == 404
    assert page(cast.ada).post(path).status_code == 302
    approval.refresh_from_db()
    assert approval.status == "withdrawn"


# Policies and prices


def test_who_sees_the_policy_pages(cast: Cast, page: Page, policy: Policy) -> None:
    """roles.md."""
    readers = {"ada": 403, "ben": 403, "chen": 403, "dana": 200, "eve": 403, "finn": 200}
    for path in ("/governance/policies/", policy.get_absolute_url(), "/governance/prices/"):
        assert codes(cast, page, path) == readers, path
    assert "New policy" not in page(cast.finn).get("/governance/policies/").content.decode()


def test_dana_writes_changes_and_activates_a_policy(cast: Cast, page: Page) -> None:
    """FR-010: the whole life on pages."""
    dana = page(cast.dana)
    body = {"name": "Exports", "scope": "dataset", "rules": '{"allowed_actions": ["get"]}', "description": "why"}
    answer = dana.post("/governance/policies/new/", body)
    assert answer.status_code == 302
    policy = Policy.objects.get()
    body["rules"] = '{"conditions": ["actor.nope == 1"]}'
    refused = dana.post(f"{policy.get_absolute_url()}change/", body)
    assert refused.status_code == 422
    html = refused.content.decode()
    assert "line 1, column 7" in html
    assert "actor.nope" in html
    body["rules"] = '{"conditions": ["actor.username == '
    assert dana.post(f"{policy.get_absolute_url()}change/", body).status_code == 422
    body["rules"] = '{"conditions": ["actor.username != \'eve\'"]}'
    assert dana.post(f"{policy.get_absolute_url()}change/", body).status_code == 302
    for status, code in (("active", 302), ("retired", 302), ("draft", 302)):
        assert dana.post(f"{policy.get_absolute_url()}status/", {"status": status}).status_code == code
        policy.refresh_from_db()
        assert policy.status == status
    assert dana.post(f"{policy.get_absolute_url()}review/").status_code == 302
    assert page(cast.finn).post(f"{policy.get_absolute_url()}status/", {"status": "active"}).status_code == 403
    assert dana.post(f"{policy.get_absolute_url()}delete/").status_code == 302
    assert not Policy.objects.exists()


def test_dana_sets_a_price_on_the_page(cast: Cast, page: Page) -> None:
    """FR-011."""
    dana = page(cast.dana)
    assert dana.get("/governance/prices/new/").status_code == 200
    assert dana.post("/governance/prices/new/", {"kind": "cpu_seconds", "amount": "-1"}).status_code == 422
    assert dana.post("/governance/prices/new/", {"kind": "cpu_seconds", "amount": "0.07"}).status_code == 302
    assert PriceEntry.objects.filter(kind="cpu_seconds").count() == 2
    html = dana.get("/governance/prices/").content.decode()
    assert html.count("counts now") == 7
    assert page(cast.finn).post("/governance/prices/new/", {"kind": "cpu_seconds", "amount": "1"}).status_code == 403


# Audit


def test_the_audit_page_shows_what_one_may_see(cast: Cast, page: Page, approval: ApprovalRequest) -> None:
    """roles.md: auditor and admin everything, others their teams'."""
    seen = {
        name: "Approval requested" in page(user).get("/governance/audit/").content.decode()
        for name, user in cast.everyone().items()
    }
    assert seen == {"ada": True, "ben": True, "chen": True, "dana": True, "eve": False, "finn": True}
    html = page(cast.finn).get("/governance/audit/").content.decode()
    assert "Verify" in html
    assert approval.get_absolute_url() in html
    assert "Verify" not in page(cast.ada).get("/governance/audit/").content.decode()


def test_the_audit_page_filters_and_keeps_working_on_nonsense(
    cast: Cast, page: Page, approval: ApprovalRequest
) -> None:
    """P-1: filters in the address; unreadable ones show nothing and say why."""
    finn = page(cast.finn)
    assert "Approval requested" in finn.get("/governance/audit/?result=allowed&actor_name=ADA").content.decode()
    assert "Nothing matches" in finn.get("/governance/audit/?result=denied").content.decode()
    for query in ("since=yesterday", "page=999", "result=x", "order=-moon", "action=%00", "resource_type=spaceship"):
        assert finn.get(f"/governance/audit/?{query}").status_code == 200, query
    fragment = finn.get("/governance/audit/", headers={**HTMX, "HX-Target": "table"})
    assert fragment.content.decode().lstrip().startswith("<div")


def test_hostile_text_in_events_is_only_text(cast: Cast, page: Page) -> None:
    """P-3: what people type never becomes markup."""
    audit.record(
        actor=cast.ada,
        action="test.thing.<script>alert(1)</script>",
        resource_type="<b>",
        metadata={"reason": "<img src=x onerror=alert(1)>"},
    )
    html = page(cast.finn).get("/governance/audit/").content.decode()
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert "&lt;img src=x" in html


def test_the_trail_is_verified_and_exported_on_pages(cast: Cast, page: Page) -> None:
    """FR-010: for auditors; others are refused."""
    services.audit_seal_all()
    answer = page(cast.finn).post("/governance/audit/verify/")
    assert "The audit trail is intact" in answer.content.decode()
    expected = {"ada": 403, "ben": 403, "chen": 403, "dana": 200, "eve": 403, "finn": 200}
    assert codes(cast, page, "/governance/audit/verify/") == expected
    assert page(cast.ada).post("/governance/audit/verify/").status_code == 403
    assert codes(cast, page, "/governance/audit/export/?format=json") == expected
    file: Any = page(cast.finn).get("/governance/audit/export/?format=json&result=allowed")
    lines = [json.loads(line) for line in b"".join(file.streaming_content).splitlines()]
    assert "governance.audit.verified" in {line["action"] for line in lines}


# Costs


def test_the_cost_page_shows_the_teams_one_may_see(cast: Cast, page: Page) -> None:
    """roles.md: members their team's, operator, auditor and admin all; empty states say why."""
    use(cast, cast.support)
    use(cast, cast.research)
    shown = {}
    for name, user in cast.everyone().items():
        html = page(user).get("/governance/costs/").content.decode()
        shown[name] = [team for team in ("Support", "Research") if f'"cell-title">{team}' in html]
    both = ["Support", "Research"]
    assert shown == {
        "ada": ["Support"],
        "ben": ["Support"],
        "chen": [],
        "dana": both,
        "eve": ["Research"],
        "finn": both,
    }
    assert "No costs to see" in page(cast.chen).get("/governance/costs/").content.decode()
    assert "1.80 EUR" in page(cast.ada).get("/governance/costs/").content.decode()


@pytest.mark.parametrize(
    "query",
    [
        "by=model",
        "by=resource",
        "by=day&window=all",
        "window=7d&resource_type=serving",
        "window=x&by=y&resource_type=z",
    ],
)
def test_the_cost_page_groups_and_survives_nonsense(cast: Cast, page: Page, query: str) -> None:
    """FR-011: by team, model, resource, day."""
    use(cast, cast.support)
    ada = page(cast.ada)
    assert ada.get(f"/governance/costs/?{query}").status_code == 200
    fragment = ada.get(f"/governance/costs/?{query}", headers={**HTMX, "HX-Target": "costs"})
    assert fragment.content.decode().lstrip().startswith('<div id="costs"')
    chart = ada.get(f"/governance/costs/chart/?{query}").json()
    assert chart["series"][0]["values"] == [1.8]
    assert page(cast.eve).get("/governance/costs/chart/").json()["series"] == []


def test_pages_hold_to_the_strict_policy(cast: Cast, page: Page, approval: ApprovalRequest, policy: Policy) -> None:
    """P-3: nothing inline on any page."""
    use(cast, cast.support)
    paths = [approval.get_absolute_url(), policy.get_absolute_url(), "/governance/policies/", "/governance/audit/"]
    paths += ["/governance/policies/new/", "/governance/audit/verify/", "/governance/costs/", "/governance/prices/"]
    for path in paths:
        answer = page(cast.dana).get(path)
        assert answer.status_code == 200, path
        html = answer.content.decode()
        for forbidden in ("<script>", " style=", " onclick=", " onload=", "javascript:"):
            assert forbidden not in html, (path, forbidden)


# Admin


def admin_action(client: Client, model: str, action: str, pk: Any) -> Any:
    return client.post(f"/admin/governance/{model}/", {"action": action, "_selected_action": [str(pk)]}, follow=True)


def test_dana_decides_in_the_admin_but_not_about_her_own(
    cast: Cast, page: Page, subject: ThingSubject, make_thing: Callable[..., Operation]
) -> None:
    """FR-010: the admin goes through the services; four eyes holds and the denial is recorded."""
    theirs = services.approval_request(actor=cast.ada, kind="thing", subject_id=make_thing().pk)
    own = services.approval_request(
        actor=cast.dana, kind="thing", subject_id=make_thing(created_by=cast.dana, kind="own").pk
    )
    dana = page(cast.dana)
    for request in (theirs, own):
        assert admin_action(dana, "approvalrequest", "approve", request.pk).status_code == 200
        request.refresh_from_db()
    assert (theirs.status, own.status) == ("approved", "open")
    assert AuditEvent.objects.filter(result="denied", actor=cast.dana).count() == 1


def test_finn_reads_the_admin_and_changes_nothing(
    cast: Cast, page: Page, approval: ApprovalRequest, policy: Policy
) -> None:
    """roles.md: auditors never change anything."""
    finn = page(cast.finn)
    models = ("approvalrequest", "policy", "priceentry", "usagerecord", "costdaily", "auditseal")
    for model in models:
        assert finn.get(f"/admin/governance/{model}/").status_code == 200, model
        assert finn.get(f"/admin/governance/{model}/add/").status_code == 403, model
    assert finn.get(f"/admin/governance/approvalrequest/{approval.pk}/change/").status_code == 200
    admin_action(finn, "approvalrequest", "approve", approval.pk)
    admin_action(finn, "policy", "activate", policy.pk)
    approval.refresh_from_db()
    policy.refresh_from_db()
    assert (approval.status, policy.status) == ("open", "draft")
    assert page(cast.ada).get("/admin/governance/policy/").status_code == 302


def test_dana_switches_policies_in_the_admin(cast: Cast, page: Page, policy: Policy) -> None:
    """FR-010."""
    admin_action(page(cast.dana), "policy", "activate", policy.pk)
    policy.refresh_from_db()
    assert policy.status == "active"


@pytest.mark.parametrize(
    ("path", "most"),
    [("/governance/audit/", 12), ("/governance/costs/", 12), ("/governance/policies/", 10)],
)
def test_pages_need_few_queries(
    cast: Cast,
    page: Page,
    approval: ApprovalRequest,
    policy: Policy,
    path: str,
    most: int,
    django_assert_max_num_queries: Callable[[int], Any],
) -> None:
    """Performance: bounded, whatever the number of rows."""
    use(cast, cast.support)
    dana = page(cast.dana)
    dana.get(path)
    with django_assert_max_num_queries(most):
        dana.get(path)
