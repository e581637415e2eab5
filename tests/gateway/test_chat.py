"""Calls through the gateway against a real model server on a real port."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from apps.core.models import AuditEvent
from apps.governance.models import UsageRecord
from apps.serving.models import Endpoint, EndpointRevision
from tests.gateway.conftest import MODEL_DIR, Call, RunningGateway
from tests.serving.support import answering_endpoint
from tests.support.cast import Cast
from tests.support.model_server import ANSWER, ModelServer

pytestmark = pytest.mark.django_db(transaction=True)

CHAT = "/llm-ops/v1/serve/support-assistant/chat"


def say(text: str, **more: Any) -> dict[str, Any]:
    """A chat request with one message."""
    return {"messages": [{"role": "user", "content": text}], **more}


def events(text: str) -> list[Any]:
    """The data of server-sent events; ``[DONE]`` as text."""
    found = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    return [item if item == "[DONE]" else json.loads(item) for item in found]


def used() -> dict[str, int]:
    """The ledger's sums by kind."""
    sums: dict[str, int] = {}
    for record in UsageRecord.objects.all():
        sums[record.kind] = sums.get(record.kind, 0) + int(record.quantity)
    return sums


def test_ada_can_chat(
    cast: Cast, client: Call, endpoint: Endpoint, upstream: ModelServer, gateway: RunningGateway
) -> None:
    """FR-006l: the envelope holds choices, usage and finish reason; defaults are 0.7 and 500."""
    answer = client(cast.ada).post(CHAT, json=say("how do I reset it"))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["status"] == "success"
    assert body["message"]
    assert body["data"]["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}
    ]
    assert body["data"]["usage"] == {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    assert body["data"]["model"] == "support-assistant"
    sent = upstream.requests[0]
    assert (sent["temperature"], sent["max_tokens"], sent["model"]) == (0.7, 500, MODEL_DIR)
    assert "stream" not in sent
    assert gateway.flush()
    assert used() == {"requests": 1, "tokens_in": 5, "tokens_out": 7}
    record = UsageRecord.objects.filter(kind="tokens_out").get()
    assert (record.resource_type, str(record.resource_id)) == ("serving", str(endpoint.pk))
    assert (record.team_id, record.user_id, record.model_id) == (
        cast.support.pk,
        cast.ada.pk,
        endpoint.model_id,
    )


def test_metering_counts_exactly_once(cast: Cast, client: Call, endpoint: Endpoint, gateway: RunningGateway) -> None:
    """FR-011: repeated request ids and repeated flushes neither lose nor double a call."""
    ada = client(cast.ada)
    for _ in range(5):
        assert ada.post(CHAT, json=say("one two"), headers={"X-Request-ID": "same-id-again"}).is_success
    assert gateway.flush()
    assert gateway.flush()
    assert used() == {"requests": 5, "tokens_in": 10, "tokens_out": 35}


def test_ada_can_stream(cast: Cast, client: Call, endpoint: Endpoint, gateway: RunningGateway) -> None:
    """FR-006l: OpenAI chunks, one last chunk with usage, [DONE]; the serving machine's path is not told."""
    answer = client(cast.ada).post(CHAT, json=say("hello there", stream=True))
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = events(answer.text)
    assert found[-1] == "[DONE]"
    assert found[-2]["choices"] == []
    assert found[-2]["usage"] == {"prompt_tokens": 2, "completion_tokens": 7, "total_tokens": 9}
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in found[:-2])
    assert text == ANSWER
    assert found[-3]["choices"][0]["finish_reason"] == "stop"
    assert all(chunk["model"] == "support-assistant" for chunk in found[:-1])
    assert MODEL_DIR not in answer.text
    assert gateway.flush()
    assert used() == {"requests": 1, "tokens_in": 2, "tokens_out": 7}


def test_inference_by_model_name(cast: Cast, client: Call, endpoint: Endpoint) -> None:
    """FR-006d: /inference/{modelName} is the same call by the catalog's name."""
    answer = client(cast.ada).post("/llm-ops/v1/inference/support-base", json=say("hello"))
    assert answer.status_code == 200
    assert answer.json()["data"]["choices"][0]["message"]["content"] == ANSWER
    assert client(cast.ada).post("/llm-ops/v1/inference/other", json=say("hello")).status_code == 404


def test_health(cast: Cast, client: Call, endpoint: Endpoint, upstream: ModelServer) -> None:
    """FR-006b: health tells the status with a fresh look at the model server."""
    url = "/llm-ops/v1/serve/support-assistant/health?environment=dev"
    healthy = client(cast.ada).get(url)
    assert healthy.status_code == 200
    assert healthy.json()["data"]["status"] == "healthy"
    assert healthy.json()["data"]["serving"] is True
    upstream.healthy = False
    ill = client(cast.ada).get(url)
    assert ill.status_code == 503
    assert ill.json()["status"] == "fail"
    assert "503" in ill.json()["message"]


WRONG_BODIES: list[tuple[dict[str, Any], str]] = [
    ({}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": "hi"}, "messages"),
    ({"messages": ["hi"]}, "messages[0]"),
    ({"messages": [{"role": "robot", "content": "hi"}]}, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0]"),
    (say("x", temperature=2.1), "temperature"),
    (say("x", temperature="hot"), "temperature"),
    (say("x", temperature=True), "temperature"),
    (say("x", max_tokens=0), "max_tokens"),
    (say("x", maxTokens=0), "max_tokens"),
    (say("x", max_tokens=1.5), "max_tokens"),
    (say("x", max_tokens=10**9), "max_tokens"),
    (say("x", stream="yes"), "stream"),
    (say("x", stop=[""] * 2), "stop"),
    (say("x", n=2), "n"),
    (say("x", template="greeting"), "template"),
    (say("x", logprobs=True), "logprobs"),
    (say("x", response_format={"type": "json_object"}), "response_format"),
]


def test_wrong_bodies_are_named(
    cast: Cast, client: Call, endpoint: Endpoint, upstream: ModelServer, subtests: pytest.Subtests
) -> None:
    """FR-006l: every mistake is a 400 that names its field; nothing reaches the model server."""
    ada = client(cast.ada)
    for number, (body, field) in enumerate(WRONG_BODIES):
        with subtests.test(field, number=number):
            answer = ada.post(CHAT, json=body)
            assert answer.status_code == 400, answer.text
            envelope = answer.json()
            assert envelope["status"] == "fail"
            assert [error["field"] for error in envelope["data"]["errors"]] == [field]
            assert field.partition("[")[0] in envelope["message"]
    assert upstream.requests == []


NO_OBJECTS: list[tuple[bytes, dict[str, str], int]] = [
    (b"", {}, 400),
    (b"{", {}, 400),
    (b"[1]", {}, 400),
    (b'{"messages": "\xff"}', {}, 400),
    (b"a=b", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
    (b'{"messages": "' + b"x" * 5_000_000 + b'"}', {}, 413),
]


def test_bodies_that_are_no_json_object(
    cast: Cast, client: Call, endpoint: Endpoint, subtests: pytest.Subtests
) -> None:
    """P-1: bad JSON, wrong media type and too large bodies get the envelope with their code."""
    for content, headers, status in NO_OBJECTS:
        with subtests.test(content[:20].decode("latin-1")):
            answer = client(cast.ada).post(
                CHAT, content=content, headers={"Content-Type": "application/json", **headers}
            )
            assert answer.status_code == status
            assert answer.json()["status"] == "fail"


def test_nobody_and_wrong_tokens_cannot_call(cast: Cast, client: Call, endpoint: Endpoint) -> None:
    """P-2: without, with an unknown, and with a malformed credential: 401 in the envelope."""
    stranger = client(None)
    for headers in ({}, {"Authorization": "Bearer llmops_nonsense"}, {"Authorization": "Basic YWRhOmFkYQ=="}):
        answer = stranger.post(CHAT, json=say("hi"), headers=headers)
        assert answer.status_code == 401
        assert answer.json()["status"] == "fail"
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_scope_and_role_are_needed(cast: Cast, client: Call, endpoint: Endpoint) -> None:
    """P-2, P-3: a token without 'inference' and an auditor are refused with 403, and the denial is recorded."""
    assert client(cast.ada, scopes=["read", "write"]).post(CHAT, json=say("hi")).status_code == 403
    assert client(cast.finn).post(CHAT, json=say("hi")).status_code == 403
    assert AuditEvent.objects.filter(result="denied", action__contains="invoke").count() == 2


def test_eve_cannot_see_or_call_supports_route(
    cast: Cast, client: Call, endpoint: Endpoint, upstream: ModelServer
) -> None:
    """P-3: for Eve the route does not exist, on any path, and no list names it."""
    eve = client(cast.eve)
    answers = [
        eve.post(CHAT, json=say("hi")),
        eve.get("/llm-ops/v1/serve/support-assistant/health"),
        eve.post("/llm-ops/v1/inference/support-base", json=say("hi")),
        eve.post("/v1/chat/completions", json={"model": "support-assistant", **say("hi")}),
        eve.get("/v1/models/support-assistant"),
    ]
    assert [answer.status_code for answer in answers] == [404] * 5
    unknown = eve.post("/llm-ops/v1/serve/no-such-route/chat", json=say("hi"))
    # The very same words as for a route that does not exist at all.
    assert answers[0].json()["message"] == unknown.json()["message"].replace("no-such-route", "support-assistant")
    assert eve.get("/v1/models").json()["data"] == []
    assert upstream.requests == []


def test_unknown_route_lists_what_may_be_called(cast: Cast, client: Call, endpoint: Endpoint) -> None:
    """FR-006q: a 404 for an unknown route names the healthy ones that this caller may use."""
    answer = client(cast.ada).post("/llm-ops/v1/serve/suport-asistant/chat", json=say("hi"))
    assert answer.status_code == 404
    assert "support-assistant" in answer.json()["message"].partition("Healthy")[2]


def test_paths_and_verbs(cast: Cast, client: Call, endpoint: Endpoint) -> None:
    """P-1: unknown paths are 404 and wrong verbs 405, in the shape of their surface."""
    ada = client(cast.ada)
    assert ada.get(CHAT).status_code == 405
    assert ada.get(CHAT).headers["allow"] == "POST"
    assert ada.get("/llm-ops/v1/serve/support-assistant").json()["status"] == "fail"
    assert ada.get("/v1/nothing").json()["error"]["type"] == "invalid_request_error"
    assert ada.get("/v1/chat/completions").status_code == 405


def test_prod_is_preferred_and_environment_chooses(
    cast: Cast, client: Call, endpoint: Endpoint, upstream: ModelServer
) -> None:
    """FR-006q: a call goes to prod, then stg, then dev, unless it says which."""
    answering_endpoint(
        endpoint.model, url=upstream.url, upstream_model="/srv/prod", environment="prod", route=endpoint.route
    )
    ada = client(cast.ada)
    ada.post(CHAT, json=say("hi"))
    ada.post(CHAT + "?environment=dev", json=say("hi"))
    assert [request["model"] for request in upstream.requests] == ["/srv/prod", MODEL_DIR]
    assert ada.post(CHAT + "?environment=stg", json=say("hi")).status_code == 404
    assert ada.post(CHAT + "?environment=mars", json=say("hi")).status_code == 400


TROUBLE = {
    "!status 400": 400,
    "!status 422": 400,
    "!status 429": 429,
    "!status 500": 502,
    "!status 503": 503,
    "!status 404": 502,
    "!html": 502,
    "!empty": 502,
    "!hang": 504,
}


def test_trouble_of_the_model_server_is_told(
    cast: Cast, client: Call, endpoint: Endpoint, gateway: RunningGateway, subtests: pytest.Subtests
) -> None:
    """FR-006d: each failure has its code in the envelope, without paths of ours, and costs no tokens."""
    ada = client(cast.ada)
    for habit, status in TROUBLE.items():
        with subtests.test(habit):
            answer = ada.post(CHAT, json=say(habit))
            assert answer.status_code == status, answer.text
            assert answer.json()["status"] == "fail"
            assert MODEL_DIR not in answer.text
            if status == 429:
                assert answer.headers["retry-after"] == "7"
    gateway.flush()
    assert used().get("tokens_out", 0) == 0


def test_a_dead_model_server_is_503(cast: Cast, client: Call, endpoint: Endpoint) -> None:
    """FR-006d: nothing listens: 503 with a remedy, on both surfaces."""
    EndpointRevision.objects.update(base_url="http://127.0.0.1:9")
    ada = client(cast.ada)
    answer = ada.post(CHAT, json=say("hi"))
    assert (answer.status_code, answer.json()["status"]) == (503, "fail")
    openai = ada.post("/v1/chat/completions", json={"model": "support-assistant", **say("hi")})
    assert (openai.status_code, openai.json()["error"]["type"]) == (503, "server_error")


def test_an_endpoint_that_is_not_up_says_why(cast: Cast, client: Call, endpoint: Endpoint) -> None:
    """FR-006q: calls to an endpoint that is coming up are 503 with its state, reason and a Retry-After."""
    Endpoint.objects.update(status="deploying", status_detail="Waiting for a place to run.", active=None)
    answer = client(cast.ada).post(CHAT, json=say("hi"))
    assert answer.status_code == 503
    assert "deploying" in answer.json()["message"]
    assert "Waiting for a place" in answer.json()["message"]
    assert answer.headers["retry-after"] == "5"


BROKEN_STREAMS: dict[str, list[str]] = {
    "!die": ["one", " two", " three"],
    "!stop": ["one"],
    "!error": ["one", " two"],
    "!garbage": [],
    "!huge": [],
}


def test_streams_that_break_end_with_an_error_event(
    cast: Cast, client: Call, endpoint: Endpoint, gateway: RunningGateway, subtests: pytest.Subtests
) -> None:
    """FR-006l: after the start an error is a data line, what came before stays, and no [DONE] pretends success."""
    ada = client(cast.ada)
    for habit, expected in BROKEN_STREAMS.items():
        with subtests.test(habit):
            answer = ada.post(CHAT, json=say(habit, stream=True))
            assert answer.status_code == 200
            found = events(answer.text)
            assert found[-1]["error"]["message"]
            assert "[DONE]" not in answer.text
            words = [chunk["choices"][0]["delta"]["content"] for chunk in found[:-1]]
            assert words == expected
    gateway.flush()
    assert used()["requests"] == len(BROKEN_STREAMS)
    assert used()["tokens_out"] == sum(len(words) for words in BROKEN_STREAMS.values())
    counted = UsageRecord.objects.exclude(kind="requests")
    assert all(record.key.endswith(":estimated") for record in counted)


def test_a_stream_in_single_bytes_is_put_together(
    cast: Cast, client: Call, endpoint: Endpoint, gateway: RunningGateway
) -> None:
    """FR-006l: events split anywhere, also inside a character, with CRLF line ends, arrive whole."""
    found = events(client(cast.ada).post(CHAT, json=say("!split", stream=True)).text)
    assert [chunk["choices"][0]["delta"]["content"] for chunk in found[:2]] == ["größe", " ok"]
    assert found[2]["usage"]["total_tokens"] == 5
    assert found[3] == "[DONE]"
    gateway.flush()
    assert used() == {"requests": 1, "tokens_in": 3, "tokens_out": 2}


def test_a_caller_that_goes_away_stops_the_model_server(
    cast: Cast, client: Call, endpoint: Endpoint, upstream: ModelServer, gateway: RunningGateway
) -> None:
    """FR-006w: a closed connection cancels the work upstream; what was streamed is booked as our own count."""
    ada = client(cast.ada)
    with ada.stream("POST", CHAT, json=say("!endless", stream=True)) as answer:
        assert next(answer.iter_lines()).startswith("data: ")
    assert upstream.abandoned_event.wait(5)
    assert gateway.flush()
    assert used()["tokens_out"] >= 1
    assert UsageRecord.objects.get(kind="tokens_out").key.endswith(":estimated")
    upstream.abandoned_event.clear()
    with pytest.raises(httpx.ReadTimeout):
        ada.post(CHAT, json=say("!hang"), timeout=0.3)
    assert upstream.abandoned_event.wait(5)
