"""P-1: whatever is sent, the answer is an envelope with a 4xx, never a crash, and nothing is half-written."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from apps.core.models import Operation
from apps.governance import services
from apps.governance.models import Policy
from apps.governance.policy.conditions import ConditionError, compile_condition
from tests.governance.conftest import ThingSubject
from tests.support.cast import Cast

Api = Callable[..., Any]

TEXTS = [
    r'"\u0000"',
    r'"\ud800"',
    '"' + "x" * 100_000 + '"',
    "1e999",
    "[]",
    "{}",
    "null",
    "true",
    r'"\u202e\u0007"',
    '""',
]
DEEP = "[" * 200 + "]" * 200


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("field", ["name", "scope", "rules", "description", "ownerTeam", "status"])
def test_strange_values_in_a_policy_are_answered(cast: Cast, api: Api, field: str, text: str) -> None:
    """P-1: 200 or 400, by field."""
    body = {"name": '"Odd"', "scope": '"global"', "rules": "{}"} | {field: text}
    raw = "{" + ", ".join(f'"{key}": {value}' for key, value in body.items()) + "}"
    answer = api(cast.dana).post("/governance/policies", raw)
    assert answer.status_code in {200, 400}, answer.content[:300]
    assert set(answer.envelope) == {"status", "message", "data"}
    assert Policy.objects.count() == (1 if answer.status_code == 200 else 0)
    assert api(cast.dana).get("/governance/policies").status_code == 200


@pytest.mark.parametrize(
    "rules",
    [
        r'{"\u0000": 1}',
        r'{"allowed_actions": ["\ud800"]}',
        r'{"conditions": [{"expression": "true", "message": "\ud800"}]}',
        r'{"conditions": ["actor.username == \"\ud800\""]}',
        '{"conditions": ' + DEEP + "}",
        '{"required_roles": [null]}',
        '{"conditions": [{"expression": null}]}',
        '{"conditions": [{"expression": {"a": 1}}]}',
    ],
)
def test_strange_rules_are_a_400(cast: Cast, api: Api, rules: str) -> None:
    """FR-010: refused at save."""
    answer = api(cast.dana).post("/governance/policies", '{"name": "Odd", "scope": "global", "rules": ' + rules + "}")
    assert answer.status_code == 400, answer.content[:300]
    assert not Policy.objects.exists()


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("field", ["kind", "subjectId", "notes"])
def test_strange_values_in_a_request_are_answered(
    cast: Cast, api: Api, subject: ThingSubject, thing: Operation, field: str, text: str
) -> None:
    """P-1."""
    body = {"kind": '"thing"', "subjectId": f'"{thing.pk}"', "notes": '"x"'} | {field: text}
    raw = "{" + ", ".join(f'"{key}": {value}' for key, value in body.items()) + "}"
    answer = api(cast.ada).post("/governance/approvals", raw)
    assert answer.status_code in {200, 400}, answer.content[:300]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("field", ["decision", "notes"])
def test_strange_values_in_a_decision_are_answered(
    cast: Cast, api: Api, subject: ThingSubject, thing: Operation, field: str, text: str
) -> None:
    """P-1."""
    made = services.approval_request(actor=cast.ada, kind="thing", subject_id=thing.pk)
    body = {"decision": '"approve"', "notes": '"x"'} | {field: text}
    raw = "{" + ", ".join(f'"{key}": {value}' for key, value in body.items()) + "}"
    answer = api(cast.chen).post(f"/governance/approvals/{made.pk}/decision", raw)
    assert answer.status_code in {200, 400}, answer.content[:300]


@pytest.mark.parametrize("text", [*TEXTS, '"1e400"', '"NaN"', '"Infinity"', "-0", '"0x10"'])
@pytest.mark.parametrize("field", ["kind", "amount", "validFrom", "modelId", "gpuType", "note"])
def test_strange_values_in_a_price_are_answered(cast: Cast, api: Api, field: str, text: str) -> None:
    """P-1."""
    body = {"kind": '"gpu_seconds"', "amount": '"1"'} | {field: text}
    raw = "{" + ", ".join(f'"{key}": {value}' for key, value in body.items()) + "}"
    answer = api(cast.dana).post("/governance/prices", raw)
    assert answer.status_code in {200, 400}, answer.content[:300]


@pytest.mark.parametrize(
    "path",
    [
        "/governance/policies/%00",
        "/governance/policies/" + "9" * 5000,
        "/governance/policies/%ED%A0%80",
        "/governance/policies/00000000-0000-4000-8000-00000000beef",
        "/governance/approvals/..%2f..%2fme",
        "/governance/policies?name=%00",
        "/governance/policies?name=%ED%A0%80",
        "/governance/policies?limit=" + "9" * 5000,
        "/governance/policies?offset=99999999999999999999",
        "/governance/policies?orderBy=-name,-name,name",
        "/audit/logs?since=0001-01-01&until=9999-12-31T23:59:59Z",
        "/audit/logs?since=0001-01-01T00:00:00%2B23:59",
        "/audit/logs?resourceId=%00",
        "/observability/cost-profiles?timeWindow=0001-01-01/9999-12-31",
        "/observability/cost-profiles?timeWindow=%00",
        "/observability/cost-aggregate?startDate=9999-12-31",
    ],
)
def test_strange_addresses_are_answered(cast: Cast, api: Api, path: str) -> None:
    """P-1: in the envelope."""
    answer = api(cast.dana).get(path)
    assert answer.status_code in {200, 400, 404}, answer.content[:300]
    assert set(answer.envelope) == {"status", "message", "data"}


@pytest.mark.parametrize(
    "text", ["!" * 990 + "true", "-" * 900 + "1 == 1", "true" + "&&true" * 150, "[[[[[[[[1]]]]]]]]"]
)
def test_deep_expressions_do_not_hurt_the_process(text: str) -> None:
    """FR-010: sandbox limits; they compile or are refused, in a thread with a small stack too."""
    outcome: list[str] = []

    def attempt() -> None:
        try:
            compile_condition(text)
            outcome.append("kept")
        except ConditionError:
            outcome.append("refused")

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    assert outcome in (["kept"], ["refused"])
