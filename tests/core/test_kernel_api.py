"""The envelope covers every way a request can go wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest

from tests.support.cast import ApiClient, Cast

Api = Callable[..., ApiClient]


def check(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.content
    assert response.envelope.keys() == {"status", "message", "data"}
    assert response.envelope["status"] == ("success" if status == 200 else "fail")
    if status != 200:
        assert response.envelope["message"]
    return dict(response.envelope)


@pytest.mark.parametrize("path", ["/nothing", "/catalog/nothing/at/all", "/"])
@pytest.mark.parametrize("method", ["get", "post", "delete", "patch"])
def test_anyone_gets_envelope_for_unknown_path(api: Api, cast: Cast, path: str, method: str) -> None:
    """P-1: unknown paths answer 404 in the envelope, with and without a token."""
    check(getattr(api(cast.ada), method)(path), 404)
    check(getattr(api(None), method)(path), 404)


def test_caller_cannot_use_wrong_verb(api: Api, cast: Cast) -> None:
    """P-1: 405 names the verbs that exist."""
    body = check(api(cast.ada).delete("/me"), 405)
    assert "GET" in body["message"]


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"\xff\xfe",
        b'{"name": NaN}',
        b'{"a": 1, "a": 2}',
        b'{"name": "a\\u0000b"}',
        b"[" * 200_000,
        b'{"name": "\\ud800"}',
    ],
)
def test_caller_cannot_send_bad_json(api: Api, cast: Cast, raw: bytes) -> None:
    """P-1: a body that is not JSON is a 400 that says so."""
    client = api(cast.ada)
    response = client.client.post("/llm-ops/v1/tokens", raw, content_type="application/json", headers=client.headers)
    body = json.loads(response.content)
    assert response.status_code == 400, response.content
    assert body["status"] == "fail"


@pytest.mark.parametrize("body", [[], "text", 7, None])
def test_caller_cannot_send_other_than_an_object(api: Api, cast: Cast, body: Any) -> None:
    """P-1: a JSON value that is no object is a 400."""
    check(api(cast.ada).post("/tokens", json.dumps(body)), 400)


def test_caller_cannot_send_other_media_type(api: Api, cast: Cast) -> None:
    """P-1: 415 names what is read."""
    client = api(cast.ada)
    response = client.client.post("/llm-ops/v1/tokens", "a=1", content_type="text/plain", headers=client.headers)
    assert response.status_code == 415
    assert "application/json" in json.loads(response.content)["message"]


def test_caller_cannot_send_huge_body(api: Api, cast: Cast, settings: Any) -> None:
    """P-1: 413 above the limit."""
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    check(api(cast.ada).post("/tokens", {"name": "x" * 2000}), 413)
    check(api(cast.ada).post("/tokens", {"name": "x" * 2000}, **{"Idempotency-Key": "k"}), 413)


def test_crash_shows_no_trace(api: Api, cast: Cast) -> None:
    """P-1, P-5: a crash is a 500 envelope with a request id and no stack trace."""
    with patch("apps.accounts.api.views.MeSerializer", side_effect=RuntimeError("secret detail")):
        body = check(api(cast.ada).get("/me"), 500)
    assert "secret detail" not in json.dumps(body)
    assert "request id" in body["message"]


def test_missing_and_bad_tokens_are_401(api: Api, cast: Cast) -> None:
    """P-2: 401 with a WWW-Authenticate header."""
    for headers in (
        {},
        {"Authorization": "Bearer llmops_wrong"},
        {"Authorization": "Bearer a b"},
        {"Authorization": "Basic eDp5"},
    ):
        response = api(None).get("/me", **headers)
        check(response, 401)
        assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("query", "status"),
    [("limit=0", 400), ("limit=x", 400), ("offset=-1", 400), ("limit=99999", 200), ("colour=red", 400)],
)
def test_caller_gets_strict_query_parameters(api: Api, cast: Cast, query: str, status: int) -> None:
    """P-1: nonsense in paging and unknown parameters are 400; a large limit is clamped."""
    check(api(cast.ada).get(f"/tokens?{query}"), status)


def test_list_carries_paging_headers(api: Api, cast: Cast) -> None:
    """P-1: X-Total-Count and Link."""
    client = api(cast.ada)
    for index in range(5):
        check(client.post("/tokens", {"name": f"t{index}"}), 200)
    response = client.get("/tokens?limit=2&offset=2")
    assert response.headers["X-Total-Count"] == "6"
    assert 'rel="next"' in response.headers["Link"]
    assert 'rel="prev"' in response.headers["Link"]
    assert len(response.payload) == 2


def test_both_spellings_are_read(api: Api, cast: Cast) -> None:
    """P-1: camelCase out, both in."""
    client = api(cast.ada)
    one = check(client.post("/tokens", {"name": "a", "expiresInDays": 5}), 200)["data"]
    two = check(client.post("/tokens", {"name": "a", "expires_in_days": 5}), 200)["data"]
    assert one["expiresAt"][:10] == two["expiresAt"][:10]


def test_same_idempotency_key_makes_one_thing(api: Api, cast: Cast) -> None:
    """P-1: the same key and body give the same answer; another body is a conflict."""
    client = api(cast.ada)
    first = check(client.post("/tokens", {"name": "once"}, **{"Idempotency-Key": "abc"}), 200)
    again = client.post("/tokens", {"name": "once"}, **{"Idempotency-Key": "abc"})
    assert check(again, 200) == first
    assert again.headers["Idempotency-Replayed"] == "true"
    check(client.post("/tokens", {"name": "other"}, **{"Idempotency-Key": "abc"}), 409)
    check(api(cast.ben).post("/tokens", {"name": "other"}, **{"Idempotency-Key": "abc"}), 200)
    assert cast.ada.api_tokens.filter(name="once").count() == 1


def test_failed_request_leaves_idempotency_key_free(api: Api, cast: Cast) -> None:
    """P-1: a refused request may be mended and sent again under its key."""
    client = api(cast.ada)
    check(client.post("/tokens", {"name": ""}, **{"Idempotency-Key": "k1"}), 400)
    check(client.post("/tokens", {"name": "fine"}, **{"Idempotency-Key": "k1"}), 200)


@pytest.mark.django_db
def test_health_needs_no_token(api: Api) -> None:
    """P-5: health, probes and metrics are open and say little."""
    check(api(None).get("/health"), 200)
    check(api(None).get("/health/integrations"), 401)
    for path in ("/healthz", "/readyz", "/metrics"):
        assert api(None).client.get(path).status_code == 200


def test_member_sees_integrations_health(api: Api, cast: Cast) -> None:
    """P-5: per component, latency and last error."""
    data = check(api(cast.ada).get("/health/integrations"), 200)["data"]
    names = {row["name"]: row["status"] for row in data["components"]}
    assert names["database"] == "up"
    assert names["broker"] == "up"
    assert names["objectStore"] == "up"


def test_answers_are_in_utc_whatever_the_zone_of_the_pages(api: Api, cast: Cast, settings: Any) -> None:
    """P-1: times in answers are UTC."""
    settings.TIME_ZONE = "Asia/Tokyo"
    rows = api(cast.ada).get("/tokens").payload
    assert rows[0]["expiresAt"].endswith(("Z", "+00:00"))
