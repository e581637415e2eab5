"""What the gateway remembers and for how long, sessions of pages, policies, and bills across crashes."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.test import Client

from apps.accounts.models import ApiToken
from apps.accounts.services import token_revoke
from apps.core.models import AuditEvent
from apps.gateway import invocations
from apps.gateway.config import GatewayConfig
from apps.governance.models import UsageRecord
from apps.governance.services import policy_create
from apps.serving.models import Endpoint
from tests.gateway.conftest import Call, RunningGateway
from tests.gateway.test_chat import CHAT, say, used
from tests.support.cast import Cast
from tests.support.model_server import ModelServer

pytestmark = pytest.mark.django_db(transaction=True)


def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for what another thread is about to do."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def listening(gateway: RunningGateway) -> None:
    """Wait until the gateway hears invalidations."""
    until(lambda: gateway.gateway._access is not None and gateway.gateway._access._listener.listening.is_set())


def test_a_revoked_token_ends_at_once(cast: Cast, client: Call, endpoint: Endpoint, gateway: RunningGateway) -> None:
    """P-2: revoking ends a token long before the cache (a minute here) would have forgotten it."""
    listening(gateway)
    ada = client(cast.ada)
    assert ada.post(CHAT, json=say("hi")).status_code == 200
    token_revoke(actor=cast.ada, token_id=ApiToken.objects.get().pk)
    until(lambda: ada.post(CHAT, json=say("hi")).status_code == 401)


def test_a_lost_role_ends_at_once(cast: Cast, client: Call, endpoint: Endpoint, gateway: RunningGateway) -> None:
    """P-3: who leaves the team cannot call its endpoint any more, cache or not."""
    listening(gateway)
    ada = client(cast.ada)
    assert ada.post(CHAT, json=say("hi")).status_code == 200
    for membership in cast.ada.memberships.all():
        membership.delete()
    until(lambda: ada.post(CHAT, json=say("hi")).status_code == 404)


def test_a_policy_denies_and_is_named(cast: Cast, client: Call, endpoint: Endpoint, gateway: RunningGateway) -> None:
    """FR-010: an active policy on inference is honoured: 403 that names it, and an audit entry."""
    settings.POLICY_CHECK_SECONDS = 0.0
    policy_create(
        actor=cast.dana,
        name="No calls today",
        scope="inference",
        rules={"allowed_actions": ["list"]},
        status="active",
    )
    answer = client(cast.ada).post(CHAT, json=say("hi"))
    assert answer.status_code == 403
    assert "No calls today" in answer.json()["message"]
    assert AuditEvent.objects.filter(result="denied", actor=cast.ada).exists()


def test_calls_cost_no_queries_once_known(
    cast: Cast, client: Call, endpoint: Endpoint, gateway: RunningGateway
) -> None:
    """FR-006w: token and route are looked up once; further calls do not touch the database."""
    ada = client(cast.ada)
    ada.post(CHAT, json=say("hi"))
    access = gateway.gateway._access
    assert access is not None

    async def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a query on the hot path")

    access.database.run = refuse  # type: ignore[method-assign]
    try:
        for _ in range(3):
            assert ada.post(CHAT, json=say("hi")).status_code == 200
    finally:
        del access.database.run


def _browser(gateway: RunningGateway, user: Any) -> tuple[httpx.Client, str]:
    """A browser with a session and the CSRF token that a page would hold."""
    page = Client(enforce_csrf_checks=True)
    page.force_login(user)
    response = page.get("/account/tokens/")

    found = re.search(r'X-CSRFToken": "([^"]+)"', response.content.decode())
    assert found, "pages hand their CSRF token to scripts"
    cookies = {name: morsel.value for name, morsel in page.cookies.items()}
    return httpx.Client(base_url=gateway.url, cookies=cookies, timeout=10), found[1]


def test_a_page_can_call_with_session_and_csrf_token(cast: Cast, gateway: RunningGateway, endpoint: Endpoint) -> None:
    """FR-006c, P-2: the chat page's session counts only together with its CSRF token and our own origin."""
    browser, token = _browser(gateway, cast.ada)
    with browser:
        good = {"X-CSRFToken": token, "Origin": gateway.url}
        answer = browser.post(CHAT, json=say("hi"), headers=good)
        assert answer.status_code == 200, answer.text
        missing = browser.post(CHAT, json=say("hi"))
        assert (missing.status_code, missing.json()["status"]) == (403, "fail")
        forged = browser.post(CHAT, json=say("hi"), headers={**good, "Origin": "http://evil.example"})
        assert forged.status_code == 403
        openai = browser.post("/v1/chat/completions", json={"model": "support-assistant", **say("hi")})
        assert openai.status_code == 403
        browser.cookies.clear()
        assert browser.post(CHAT, json=say("hi"), headers=good).status_code == 401


def test_usage_waits_for_the_database(
    cast: Cast, client: Call, endpoint: Endpoint, gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FR-011, P-8: while the ledger cannot be reached usage waits in files, and is booked once afterwards."""
    ada = client(cast.ada)
    real = invocations.usage_record_many

    def away(entries: Any) -> int:
        raise OSError("the database is away")

    monkeypatch.setattr(invocations, "usage_record_many", away)
    ada.post(CHAT, json=say("one two"))
    assert gateway.flush() is False
    ada.post(CHAT, json=say("one two three"))
    assert gateway.flush() is False
    assert len(list(gateway.config.spool.glob("*.jsonl"))) == 2
    monkeypatch.setattr(invocations, "usage_record_many", real)
    assert gateway.flush()
    assert used() == {"requests": 2, "tokens_in": 5, "tokens_out": 14}
    assert list(gateway.config.spool.glob("*.jsonl")) == []


def test_nothing_is_lost_on_shutdown(
    cast: Cast,
    client: Call,
    endpoint: Endpoint,
    gateway_config: GatewayConfig,
    gateway: RunningGateway,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """FR-011, P-8: a clean end books what is left; with the database away the next start books it."""
    client(cast.ada).post(CHAT, json=say("one two"))
    gateway.server.stop()
    assert used()["requests"] == 1

    def away(entries: Any) -> int:
        raise OSError("the database is away")

    second = RunningGateway(gateway_config)
    second.server.start()
    real = invocations.usage_record_many
    monkeypatch.setattr(invocations, "usage_record_many", away)
    token = client(cast.ada).headers["Authorization"]
    httpx.post(second.url + CHAT, json=say("one two"), headers={"Authorization": token})
    second.server.stop()
    assert used()["requests"] == 1
    assert len(list(gateway_config.spool.glob("*.jsonl"))) == 1
    monkeypatch.setattr(invocations, "usage_record_many", real)
    third = RunningGateway(gateway_config)
    third.server.start()
    until(lambda: used()["requests"] == 2)
    third.server.stop()
    assert used() == {"requests": 2, "tokens_in": 4, "tokens_out": 14}


def test_a_damaged_line_and_an_impossible_entry_hold_up_nobody(
    cast: Cast, endpoint: Endpoint, gateway_config: GatewayConfig
) -> None:
    """P-8: what a crash cut off is reported; what the ledger refuses is set aside; the rest is booked."""
    gateway_config.spool.mkdir(parents=True)
    good = {
        "call_id": "a1",
        "endpoint_id": str(endpoint.pk),
        "model_id": str(endpoint.model_id),
        "team_id": str(cast.support.pk),
        "user_id": str(cast.ada.pk),
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "estimated": False,
        "occurred_at": "2026-11-23T10:00:00+00:00",
    }
    orphan = {**good, "call_id": "a2", "team_id": "00000000-0000-0000-0000-000000000001"}
    lines = [json.dumps(good), json.dumps(orphan), '{"call_id": "a3", "endp']
    (gateway_config.spool / "left.jsonl").write_text("\n".join(lines))
    running = RunningGateway(gateway_config)
    running.server.start()
    until(lambda: UsageRecord.objects.count() == 3)
    running.server.stop()
    assert used() == {"requests": 1, "tokens_in": 3, "tokens_out": 4}
    assert "a2" in (gateway_config.spool / "refused.log").read_text()


def test_a_shared_endpoint_can_be_called_by_others(
    cast: Cast, client: Call, endpoint: Endpoint, upstream: ModelServer, gateway: RunningGateway
) -> None:
    """P-3: shared with the organisation, Eve may call it; it is booked on the owning team, in her name."""
    endpoint.visibility = "organisation"
    endpoint.save()
    assert client(cast.eve).post(CHAT, json=say("hi")).status_code == 200
    gateway.flush()
    record = UsageRecord.objects.filter(kind="requests").get()
    assert (record.team_id, record.user_id) == (cast.support.pk, cast.eve.pk)
