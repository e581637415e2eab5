"""P-1, FR-010, FR-010a, FR-011: the HTTP contract of governance, for the whole cast."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from apps.core import audit, clock
from apps.core.models import AuditEvent, Operation
from apps.governance import services
from apps.governance.models import ApprovalRequest, Policy
from apps.governance.services import UsageEntry
from apps.governance.types import GateResult
from tests.governance.conftest import ThingSubject
from tests.support.cast import Cast

Api = Callable[..., Any]
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
ENDPOINT = "22222222-2222-4222-8222-222222222222"


def statuses(cast: Cast, call: Callable[[Any], Any]) -> dict[str, int]:
    return {name: call(user).status_code for name, user in cast.everyone().items()}


# Policies


def test_a_policy_lives_through_the_api(cast: Cast, api: Api) -> None:
    """FR-010: create, read, change, activate, delete; rules come back exactly as sent."""
    dana = api(cast.dana)
    rules = {"allowed_actions": ["list", "get"], "conditions": [{"expression": "true", "message": "x"}]}
    made = dana.post("/governance/policies", {"name": "Quiet", "scope": "training", "rules": rules})
    assert made.status_code == 200
    assert made.envelope["status"] == "success"
    assert (made.data["status"], made.data["rules"], made.data["ownerTeam"]) == ("draft", rules, None)
    path = f"/governance/policies/{made.data['id']}"
    assert dana.get(path).data == made.data
    changed = dana.put(path, {"status": "active", "owner_team": "support"})
    assert (changed.data["status"], changed.data["ownerTeam"], changed.data["rules"]) == ("active", "support", rules)
    assert [row["name"] for row in dana.get("/governance/policies?scope=training&status=active").data] == ["Quiet"]
    assert dana.get("/governance/policies?ownerTeam=research").data == []
    assert dana.delete(path).status_code == 200
    assert dana.get(path).status_code == 404


def test_an_active_policy_denies_by_api_and_the_denial_is_in_the_trail(
    cast: Cast, api: Api, subject: ThingSubject, thing: Operation
) -> None:
    """FR-010: 403 that names the policy; an audit entry with result denied."""
    policy = api(cast.dana).post(
        "/governance/policies",
        {"name": "No submissions", "scope": "dataset", "rules": {"allowed_actions": ["get"]}, "status": "active"},
    )
    refused = api(cast.ada).post("/governance/approvals", {"kind": "thing", "subjectId": str(thing.pk)})
    assert refused.status_code == 403
    assert "No submissions" in refused.envelope["message"]
    denied = api(cast.finn).get("/audit/logs?result=denied").data
    assert [(row["actorName"], row["metadata"]["policy_id"]) for row in denied] == [("ada", policy.data["id"])]


def test_who_may_read_and_write_policies(cast: Cast, api: Api) -> None:
    """roles.md: written by admin, read by admin, operator and auditor."""
    body = {"name": "x", "scope": "global", "rules": {}}
    reads = statuses(cast, lambda user: api(user).get("/governance/policies"))
    assert reads == {"ada": 403, "ben": 403, "chen": 403, "dana": 200, "eve": 403, "finn": 200}
    writes = statuses(cast, lambda user: api(user).post("/governance/policies", body))
    assert writes == {"ada": 403, "ben": 403, "chen": 403, "dana": 200, "eve": 403, "finn": 403}
    assert api(None).get("/governance/policies").status_code == 401
    assert api(cast.dana, scopes=["read", "write"]).post("/governance/policies", body).status_code == 403


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scope": "global"}, "name"),
        ({"name": "x"}, "scope"),
        ({"name": "x", "scope": "moon"}, "scope"),
        ({"name": "x", "scope": "global", "rules": []}, "rules"),
        ({"name": "x", "scope": "global", "rules": {"conditions": ["1 +"]}}, "rules.conditions[0]"),
        ({"name": "x", "scope": "global", "status": "gone"}, "status"),
        ({"name": "x", "scope": "global", "ownerTeam": "moon"}, "ownerTeam"),
        ({"name": "x" * 201, "scope": "global"}, "name"),
    ],
)
def test_a_bad_policy_is_a_400_on_its_field(cast: Cast, api: Api, body: dict[str, Any], field: str) -> None:
    """P-1: field, code, message; nothing is written."""
    answer = api(cast.dana).post("/governance/policies", body)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.data["errors"]] == [field]
    assert not Policy.objects.exists()


def test_a_policy_can_be_tried_before_it_counts(cast: Cast, api: Api) -> None:
    """FR-010: simulate explains itself and changes nothing."""
    policy = services.policy_create(
        actor=cast.dana,
        name="Small only",
        scope="dataset",
        rules={"conditions": ["action.parameters.rows < 100 && resource.status == 'draft' && actor.username == 'eve'"]},
    )
    path = f"/governance/policies/{policy.pk}/simulate"
    body = {"action": "dataset.upload", "username": "eve", "resource": {"status": "draft"}, "parameters": {"rows": 5}}
    dana = api(cast.dana)
    assert dana.post(path, body).data == {
        "allowed": True,
        "explanation": "1 active policy applies; none denies.",
    }
    assert dana.post(path, {**body, "parameters": {"rows": 500}}).data["allowed"] is False
    assert dana.post(path, {**body, "action": "fly"}).status_code == 400
    assert dana.post(path, {**body, "username": "nobody"}).status_code == 400
    assert dana.post(path, {**body, "resource": {"colour": 1}}).status_code == 400
    assert api(cast.ada).post(path, body).status_code == 403


# Approvals


def test_an_approval_lives_through_the_api(cast: Cast, api: Api, subject: ThingSubject, thing: Operation) -> None:
    """FR-010: asked by Ada, refused to herself, approved by Chen."""
    ada, chen = api(cast.ada), api(cast.chen)
    asked = ada.post("/governance/approvals", {"kind": "thing", "subject_id": str(thing.pk), "notes": "please"})
    assert asked.status_code == 200
    assert asked.data["status"] == "open"
    assert asked.data["gates"][0]["label"] == "Card complete"
    assert (asked.data["submittedBy"], asked.data["mayDecide"]) == ("ada", False)
    path = f"/governance/approvals/{asked.data['id']}"
    assert chen.get(path).data["mayDecide"] is True
    assert [row["id"] for row in chen.get("/governance/approvals?waiting=true").data] == [asked.data["id"]]
    assert ada.get("/governance/approvals?waiting=true").data == []
    assert ada.post(f"{path}/decision", {"decision": "approve"}).status_code == 403
    decided = chen.post(f"{path}/decision", {"decision": "approve", "notes": "good"})
    assert decided.status_code == 200
    assert decided.data["status"] == "approved"
    assert decided.data["decisions"][0]["actor"] == "chen"
    again = chen.post(f"{path}/decision", {"decision": "reject"})
    assert again.status_code == 409
    assert "approved" in again.envelope["message"]


def test_gates_answer_422_with_the_reasons(cast: Cast, api: Api, subject: ThingSubject, thing: Operation) -> None:
    """P-1: a gate refuses with its errors; the request stays open."""
    subject.failing["submit"] = GateResult("pii", "PII clean", False, "3 findings.", "Redact.")
    body = {"kind": "thing", "subjectId": str(thing.pk)}
    refused = api(cast.ada).post("/governance/approvals", body)
    assert refused.status_code == 422
    assert refused.data["errors"] == [{"field": "pii", "code": "gate_failed", "message": "3 findings. Redact."}]
    del subject.failing["submit"]
    asked = api(cast.ada).post("/governance/approvals", body)
    subject.failing["approve"] = GateResult("eval", "Evaluated", False, "No evaluation.", "Run one.")
    path = f"/governance/approvals/{asked.data['id']}"
    assert api(cast.chen).post(f"{path}/decision", {"decision": "approve"}).status_code == 422
    shown = api(cast.chen).get(path).data
    assert (shown["status"], shown["decisionGates"][1]["passed"]) == ("open", False)


def test_eve_sees_no_approval_of_team_support(cast: Cast, api: Api, subject: ThingSubject, thing: Operation) -> None:
    """P-3: 404 and absence on every path."""
    made = services.approval_request(actor=cast.ada, kind="thing", subject_id=thing.pk)
    eve = api(cast.eve)
    assert eve.get("/governance/approvals").data == []
    assert eve.get("/governance/approvals").headers["X-Total-Count"] == "0"
    for path in (f"/governance/approvals/{made.pk}", "/governance/approvals/nonsense"):
        assert eve.get(path).status_code == 404
        assert eve.post(f"{path}/decision", {"decision": "approve"}).status_code == 404
        assert eve.post(f"{path}/withdraw").status_code == 404
    answer = eve.post("/governance/approvals", {"kind": "thing", "subjectId": str(thing.pk)})
    assert answer.status_code == 400
    assert [error["field"] for error in answer.data["errors"]] == ["subjectId"]


def test_four_eyes_holds_for_the_administrator_by_api(
    cast: Cast, api: Api, subject: ThingSubject, make_thing: Callable[..., Operation]
) -> None:
    """FR-010: and the denial is recorded."""
    thing = make_thing(created_by=cast.dana)
    made = services.approval_request(actor=cast.ada, kind="thing", subject_id=thing.pk)
    answer = api(cast.dana).post(f"/governance/approvals/{made.pk}/decision", {"decision": "approve"})
    assert answer.status_code == 403
    assert "author" in answer.envelope["message"]
    event = AuditEvent.objects.get(result="denied")
    assert (event.actor, event.resource_id) == (cast.dana, str(made.pk))
    assert ApprovalRequest.objects.get().status == "open"


def test_the_submitter_can_withdraw_by_api(cast: Cast, api: Api, subject: ThingSubject, thing: Operation) -> None:
    """FR-001d."""
    made = services.approval_request(actor=cast.ada, kind="thing", subject_id=thing.pk)
    assert api(cast.ben).post(f"/governance/approvals/{made.pk}/withdraw").status_code == 403
    assert api(cast.ada).post(f"/governance/approvals/{made.pk}/withdraw").data["status"] == "withdrawn"


@pytest.mark.parametrize(
    "query",
    ["status=gone", "kind=spaceship", "subjectId=nonsense", "waiting=maybe", "colour=red", "limit=-1", "orderBy=moon"],
)
def test_nonsense_in_the_query_is_a_400(cast: Cast, api: Api, subject: ThingSubject, query: str) -> None:
    """P-1: strict parameters."""
    answer = api(cast.chen).get(f"/governance/approvals?{query}")
    assert answer.status_code == 400
    assert answer.data["errors"]


# Audit


def test_who_sees_which_events(cast: Cast, api: Api, make_thing: Callable[..., Operation]) -> None:
    """roles.md: the trail for auditor and admin; others what concerns teams they see, and their own."""
    audit.record(actor=cast.ada, action="test.support", resource=make_thing())
    audit.record(actor=cast.eve, action="test.research", resource=make_thing(team=cast.research))
    audit.record(actor=cast.eve, action="test.eve_only", resource_type="token", resource_id="1")

    def actions(user: Any, path: str = "/audit/logs") -> set[str]:
        return {row["action"] for row in api(user).get(path).data} & {"test.support", "test.research", "test.eve_only"}

    everything = {"test.support", "test.research", "test.eve_only"}
    assert actions(cast.finn) == actions(cast.dana) == actions(cast.finn, "/governance/audit/logs") == everything
    assert actions(cast.ada) == actions(cast.ben) == {"test.support"}
    assert actions(cast.eve) == {"test.research", "test.eve_only"}
    assert actions(cast.chen) == {"test.support", "test.research"}


def test_events_are_filtered_in_both_spellings(cast: Cast, api: Api, make_thing: Callable[..., Operation]) -> None:
    """FR-010a: person, thing, action, outcome, time."""
    with clock.frozen(NOON):
        event = audit.record(actor=cast.ada, action="test.thing.changed", resource=make_thing())
    finn = api(cast.finn)

    def count(query: str) -> int:
        return len(finn.get(f"/audit/logs?{query}").data)

    ours = f"resourceId={event.resource_id}"
    assert count(ours) == count(f"resource_id={event.resource_id}") == 1
    assert count(f"{ours}&actorId={cast.ada.pk}") == 1
    assert count(f"{ours}&actor_id={cast.ben.pk}") == 0
    assert count(f"{ours}&action=test.thing") == 1
    assert count(f"{ours}&resourceType=dataset") == 0
    assert count(f"{ours}&result=denied") == 0
    assert count(f"{ours}&since=2026-03-10&until=2026-03-11") == 1
    assert count(f"{ours}&since=2026-03-10T12:00:00Z") == 1
    assert count(f"{ours}&since=2026-03-10T12:00:01") == 0
    assert count(f"{ours}&until=2026-03-10T12:00:00%2B00:00") == 0
    row = finn.get(f"/audit/logs?{ours}").data[0]
    assert (row["actorId"], row["occurredAt"]) == (str(cast.ada.pk), "2026-03-10T12:00:00Z")
    for bad in ("actorId=x", "since=yesterday", "since=2026-13-45", "result=maybe", "resourceType=x", "nope=1"):
        assert finn.get(f"/audit/logs?{bad}").status_code == 400, bad


def test_the_trail_is_exported_for_auditors(cast: Cast, api: Api) -> None:
    """FR-010: CSV and JSON lines; harmless in a spreadsheet; the export itself is recorded."""
    audit.record(actor=cast.ada, action="test.thing", resource_type="model", resource_id='=HYPERLINK("x")')
    finn = api(cast.finn)
    answer = finn.get("/governance/audit/export?format=csv&action=test.thing")
    assert answer.status_code == 200
    assert "attachment" in answer.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert [(row["actorName"], row["resourceId"]) for row in rows] == [("ada", '\'=HYPERLINK("x")')]
    answer = finn.get("/governance/audit/export?format=json&action=test.thing")
    lines = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
    assert [line["action"] for line in lines] == ["test.thing"]
    assert AuditEvent.objects.filter(action="governance.audit.exported").count() == 2
    assert finn.get("/governance/audit/export?format=xml").status_code == 400
    assert api(cast.ada).get("/governance/audit/export").status_code == 403


def test_the_chain_is_verified_by_auditors(cast: Cast, api: Api) -> None:
    """FR-010: tamper-evident, on request."""
    audit.record(actor=cast.ada, action="test.thing", resource_type="model", resource_id="1")
    services.audit_seal_all()
    answer = api(cast.finn).get("/governance/audit/verify")
    assert (answer.data["isIntact"], answer.data["problemCount"]) == (True, 0)
    answers = statuses(cast, lambda user: api(user).get("/governance/audit/verify"))
    assert answers == {"ada": 403, "ben": 403, "chen": 403, "dana": 200, "eve": 403, "finn": 200}


# Costs


def use(cast: Cast, **fields: Any) -> None:
    defaults: dict[str, Any] = {
        "kind": "tokens_out",
        "quantity": Decimal(1_000_000),
        "resource_type": "serving",
        "resource_id": ENDPOINT,
        "team_id": cast.support.pk,
        "occurred_at": NOON,
        "key": str(uuid4()),
    }
    services.usage_record_many([UsageEntry(**{**defaults, **fields})])


def test_cost_profiles_and_totals(cast: Cast, api: Api) -> None:
    """FR-010a: the shapes of the contract, on both paths."""
    use(cast)
    use(cast, kind="gpu_seconds", quantity=Decimal(5400), resource_type="training", resource_id=uuid4())
    use(cast, occurred_at=NOON - timedelta(days=20))
    with clock.frozen(NOON):
        dana = api(cast.dana)
        for path in ("/governance/observability/cost-profiles", "/observability/cost-profiles"):
            found = dana.get(f"{path}?resourceType=serving&resourceId={ENDPOINT}&timeWindow=7d").data
            assert found == [
                {
                    "resourceType": "serving",
                    "resourceId": ENDPOINT,
                    "timeWindow": "7d",
                    "gpuHours": 0.0,
                    "tokenCount": 1_000_000,
                    "costAmount": 0.6,
                    "costCurrency": "EUR",
                    "budgetVariance": None,
                }
            ]
        assert len(dana.get("/observability/cost-profiles").data) == 2
        total = dana.get("/governance/observability/cost-aggregate?startDate=2026-03-10&end_date=2026-03-10").data
        assert total == {
            "totalGpuHours": 1.5,
            "totalTokens": 1_000_000,
            "totalCost": 4.35,
            "currency": "EUR",
            "resourceCount": 2,
        }
        whole = dana.get("/governance/observability/cost-aggregate?resourceType=serving").data
        assert (whole["totalTokens"], whole["resourceCount"]) == (2_000_000, 1)
        assert api(cast.eve).get("/observability/cost-profiles").data == []
        assert api(cast.ada).get("/observability/cost-profiles?limit=1").headers["X-Total-Count"] == "2"


@pytest.mark.parametrize(
    "query",
    [
        "cost-profiles?timeWindow=soon",
        "cost-profiles?timeWindow=0d",
        "cost-profiles?timeWindow=9999m",
        "cost-profiles?timeWindow=2026-03-09/2026-03-01",
        "cost-profiles?resourceId=x",
        "cost-profiles?resourceType=car",
        "cost-profiles?colour=red",
        "cost-aggregate?startDate=yesterday",
        "cost-aggregate?startDate=2026-03-09&endDate=2026-03-01",
        "cost-aggregate?limit=1",
    ],
)
def test_nonsense_about_costs_is_a_400(cast: Cast, api: Api, query: str) -> None:
    """P-1."""
    answer = api(cast.dana).get(f"/governance/observability/{query}")
    assert answer.status_code == 400
    assert answer.data["errors"]


@pytest.mark.parametrize(
    "query", ["startDate=0001-01-01", "endDate=9999-12-31", "startDate=0001-01-01&endDate=9999-12-31"]
)
def test_extreme_days_are_answered(cast: Cast, api: Api, query: str) -> None:
    """P-1: no crash at the ends of the calendar."""
    assert api(cast.dana).get(f"/governance/observability/cost-aggregate?{query}").status_code == 200


def test_prices_are_set_and_read_by_api(cast: Cast, api: Api) -> None:
    """FR-011: operators and administrators; the history stays."""
    dana = api(cast.dana)
    made = dana.post("/governance/prices", {"kind": "cpu_seconds", "amount": "0.05", "note": "new racks"})
    assert made.status_code == 200
    assert (made.data["amount"], made.data["unit"]) == ("0.05000000", "CPU hour")
    rows = dana.get("/governance/prices?limit=100").data
    assert [row["amount"] for row in rows if row["kind"] == "cpu_seconds"] == ["0.05000000", "0.04000000"]
    writes = statuses(cast, lambda user: api(user).post("/governance/prices", {"kind": "requests", "amount": "1"}))
    assert writes == {"ada": 403, "ben": 403, "chen": 403, "dana": 200, "eve": 403, "finn": 403}
    assert dana.post("/governance/prices", {"kind": "requests", "amount": "-1"}).status_code == 400


def test_lists_need_the_same_queries_for_one_row_and_for_many(
    cast: Cast,
    api: Api,
    subject: ThingSubject,
    make_thing: Callable[..., Operation],
    django_assert_max_num_queries: Callable[[int], Any],
) -> None:
    """Performance: no query per row."""
    for index in range(6):
        services.approval_request(actor=cast.ada, kind="thing", subject_id=make_thing(kind=f"r{index}").pk)
    chen, finn = api(cast.chen), api(cast.finn)
    with django_assert_max_num_queries(8):
        assert len(chen.get("/governance/approvals").data) == 6
    with django_assert_max_num_queries(8):
        assert len(finn.get("/audit/logs").data) >= 6
