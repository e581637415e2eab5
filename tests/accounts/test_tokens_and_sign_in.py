"""Tokens, sign-in, people: P-2 and P-3."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.test import RequestFactory

from apps.accounts import services
from apps.accounts.models import ApiToken, Membership
from apps.core import clock
from apps.core.errors import Conflict, NotAuthenticated, PermissionRefused, RateLimited, ValidationFailed
from apps.core.models import AuditEvent
from apps.core.permissions import Role
from tests.support.cast import PASSWORD, ApiClient, Cast

Api = Callable[..., ApiClient]


def test_token_value_is_shown_once_and_hashed(api: Api, cast: Cast) -> None:
    """P-2: the value is in the POST answer only; the database holds a digest."""
    client = api(cast.ada)
    made = client.post("/tokens", {"name": "ci", "scopes": ["read"]}).payload
    assert made["token"].startswith("llmops_")
    listed = client.get("/tokens").envelope
    assert made["token"] not in str(listed)
    row = ApiToken.objects.get(pk=made["id"])
    assert made["token"] not in (row.digest, row.prefix)
    event = AuditEvent.objects.get(action="accounts.token.created")
    assert made["token"] not in str(event.metadata)


def test_stranger_cannot_see_or_revoke_a_token(api: Api, cast: Cast) -> None:
    """P-3: other people's tokens do not exist; admins may revoke them."""
    made = api(cast.ada).post("/tokens", {"name": "mine"}).payload
    for person in (cast.eve, cast.ben, cast.finn):
        assert api(person).delete(f"/tokens/{made['id']}").status_code == 404
        assert made["id"] not in str(api(person).get("/tokens").envelope)
    assert api(cast.dana).delete(f"/tokens/{made['id']}").status_code == 200
    assert ApiClient(made["token"]).get("/me").status_code == 401


@pytest.mark.parametrize("token_id", ["nonsense", "00000000-0000-0000-0000-000000000000", "%00"])
def test_caller_cannot_revoke_nonsense(api: Api, cast: Cast, token_id: str) -> None:
    """P-1: malformed and unknown ids are 404."""
    assert api(cast.ada).delete(f"/tokens/{token_id}").status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({}, "name"),
        ({"name": "a", "scopes": ["root"]}, "scopes.0"),
        ({"name": "a", "scopes": "read"}, "scopes"),
        ({"name": "a", "expiresInDays": 0}, "expiresInDays"),
        ({"name": "a", "expiresInDays": 4000}, "expiresInDays"),
        ({"name": "a", "expiresAt": "2001-01-01T00:00:00Z"}, "expiresAt"),
        ({"name": "a", "expiresAt": "soon"}, "expiresAt"),
        ({"name": "a", "expiresInDays": 3, "expiresAt": "2099-01-01T00:00:00Z"}, "expiresAt"),
        ({"name": "a", "teamSlug": "research"}, "teamSlug"),
    ],
)
def test_caller_cannot_make_a_senseless_token(api: Api, cast: Cast, body: dict[str, Any], field: str) -> None:
    """P-1, P-2: each mistake names its field."""
    response = api(cast.ada).post("/tokens", body)
    assert response.status_code == 400
    assert [row["field"] for row in response.payload["errors"]] == [field]


def test_token_cannot_make_a_wider_token(api: Api, cast: Cast) -> None:
    """P-2: a token never exceeds itself."""
    client = api(cast.ada, scopes=["read", "write"])
    assert client.post("/tokens", {"name": "x", "scopes": ["inference"]}).status_code == 403
    assert client.post("/tokens", {"name": "x", "scopes": ["read"]}).status_code == 200
    assert api(cast.ada, scopes=["read"]).post("/tokens", {"name": "x", "scopes": ["read"]}).status_code == 403


def test_token_without_read_cannot_look(api: Api, cast: Cast) -> None:
    """P-2: scopes."""
    assert api(cast.ada, scopes=["metrics"]).get("/me").status_code == 403


def test_expired_and_revoked_tokens_are_worthless(cast: Cast) -> None:
    """P-2: expiry and revocation count at once."""
    issued = services.token_issue(user=cast.ada, name="t", scopes=["read"], expires_at=clock.now() + timedelta(hours=1))
    assert services.token_authenticate(issued.value) == cast.ada
    with clock.frozen(datetime.now(UTC) + timedelta(hours=2)), pytest.raises(NotAuthenticated):
        services.token_authenticate(issued.value)
    services.token_revoke(actor=cast.ada, token_id=issued.token.pk)
    with pytest.raises(NotAuthenticated):
        services.token_authenticate(issued.value)


def test_last_use_is_recorded(api: Api, cast: Cast) -> None:
    """P-2: last used."""
    api(cast.ada).get("/me")
    assert ApiToken.objects.get(user=cast.ada, name="test").last_used_at is not None


def _request(address: str = "10.0.0.1") -> Any:
    request: Any = RequestFactory().post("/account/sign-in/", REMOTE_ADDR=address)
    request.session = SessionStore()
    return request


def test_only_failed_sign_ins_are_throttled(cast: Cast, settings: Any) -> None:
    """P-2: by account and address, with the waiting time; success resets the account."""
    for _ in range(20):
        services.sign_in(request=_request(), username="ada", password=PASSWORD)
    for _ in range(settings.SIGN_IN_MAX_FAILURES):
        with pytest.raises(NotAuthenticated):
            services.sign_in(request=_request(), username="Ada", password="wrong")
    with pytest.raises(RateLimited) as caught:
        services.sign_in(request=_request("10.9.9.9"), username="ada", password=PASSWORD)
    assert 0 < caught.value.retry_after <= settings.SIGN_IN_WAIT_SECONDS
    services.sign_in(request=_request(), username="ben", password=PASSWORD)
    with clock.frozen(datetime.now(UTC) + timedelta(seconds=settings.SIGN_IN_WAIT_SECONDS + 1)):
        services.sign_in(request=_request(), username="ada", password=PASSWORD)


def test_unknown_name_reads_like_wrong_password(cast: Cast) -> None:
    """P-2: which of the two was wrong is not told, and both are recorded."""
    messages = set()
    for username in ("ada", "nobody"):
        with pytest.raises(NotAuthenticated) as caught:
            services.sign_in(request=_request(), username=username, password="wrong")
        messages.add(caught.value.message)
    assert len(messages) == 1
    assert AuditEvent.objects.filter(action="accounts.session.refused", result="denied").count() == 2


def test_only_admin_can_manage_people(cast: Cast) -> None:
    """P-3: roles are given by organisation admins."""
    for person in (cast.ada, cast.ben, cast.chen, cast.eve, cast.finn):
        with pytest.raises(PermissionRefused):
            services.membership_grant(actor=person, user=cast.eve, role=Role.ADMIN)
        with pytest.raises(PermissionRefused):
            services.user_create(actor=person, username="mallory", password="long-enough-phrase")
    services.membership_grant(actor=cast.dana, user=cast.eve, role=Role.VIEWER, team=cast.support)
    assert cast.support.pk in cast.eve.role_map()


def test_admin_cannot_remove_the_last_admin(cast: Cast) -> None:
    """P-3: the organisation is never without an admin."""
    row = Membership.objects.get(user=cast.dana, role=Role.ADMIN)
    with pytest.raises(Conflict):
        services.membership_revoke(actor=cast.dana, membership=row)
    with pytest.raises(Conflict):
        services.user_deactivate(actor=cast.dana, user=cast.dana)


def test_admin_cannot_set_a_weak_password(cast: Cast) -> None:
    """P-2: passwords are checked."""
    with pytest.raises(ValidationFailed) as caught:
        services.user_create(actor=cast.dana, username="new", password="12345")
    assert {row.field for row in caught.value.errors} == {"password"}


def test_deactivated_person_is_shut_out(api: Api, cast: Cast) -> None:
    """P-2: no sign-in, no token."""
    client = api(cast.eve)
    services.user_deactivate(actor=cast.dana, user=cast.eve)
    assert client.get("/me").status_code == 401
    with pytest.raises(NotAuthenticated):
        services.sign_in(request=_request(), username="eve", password=PASSWORD)
