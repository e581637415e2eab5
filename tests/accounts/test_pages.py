"""Sign-in, profile and token pages (P-2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.test import Client

from apps.accounts.models import ApiToken
from apps.core.models import AuditEvent
from tests.support.cast import PASSWORD, Cast

PageOf = Callable[[Any], Client]
SIGN_IN = "/account/sign-in/"


def test_ada_can_sign_in_and_goes_where_she_wanted(cast: Cast, client: Client) -> None:
    """P-2: session sign-in; only addresses of this site are followed."""
    answer = client.post(SIGN_IN, {"username": "ada", "password": PASSWORD, "next": "/health/"})
    assert answer.headers["Location"] == "/health/"
    client.logout()
    answer = client.post(SIGN_IN, {"username": "ada", "password": PASSWORD, "next": "https://evil.example/"})
    assert answer.headers["Location"] == "/"
    assert client.get(SIGN_IN).headers["Location"] == "/"


def test_nobody_can_guess_passwords(cast: Cast, client: Client) -> None:
    """P-2: a wrong password is a 401 that names neither; after some there is a wait, also for the right one."""
    for _ in range(5):
        answer = client.post(SIGN_IN, {"username": "ada", "password": "wrong"})
        assert answer.status_code == 401
        assert b"The user name or the password is wrong" in answer.content
    for password in ("wrong", PASSWORD):
        answer = client.post(SIGN_IN, {"username": "ada", "password": password})
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) > 0
        assert b"Wait" in answer.content
    assert client.post(SIGN_IN, {"username": "eve", "password": PASSWORD}).status_code == 302


def test_sign_in_page_never_echoes_the_password(cast: Cast, client: Client) -> None:
    """P-5: secrets are not sent back."""
    answer = client.post(SIGN_IN, {"username": "ada", "password": "hunter2-hunter2"})
    assert b"hunter2" not in answer.content
    assert "no-store" in answer.headers["Cache-Control"]


def test_empty_portal_says_how_the_first_administrator_gets_in(db: None, client: Client) -> None:
    """P-13: nobody is left before a locked door."""
    assert b"bootstrap_admin" in client.get(SIGN_IN).content


def test_ada_can_sign_out_only_by_post(cast: Cast, page: PageOf) -> None:
    """A link or an image cannot sign somebody out."""
    ada = page(cast.ada)
    assert ada.get("/account/sign-out/").status_code == 405
    assert ada.post("/account/sign-out/").headers["Location"] == SIGN_IN
    assert ada.get("/").status_code == 302


def test_ada_can_see_her_roles(cast: Cast, page: PageOf) -> None:
    """P-3: the profile says what one holds where."""
    body = page(cast.ada).get("/account/").content.decode()
    assert "Support" in body
    assert "Service developer" in body
    assert "Research" not in body.replace("Researcher", "")
    assert "Whole organisation" in page(cast.chen).get("/account/").content.decode()


def test_ada_can_make_a_token_and_sees_its_value_once(cast: Cast, page: PageOf, client: Client) -> None:
    """P-2: the value is in the answer only; it works; the list shows its beginning."""
    ada = page(cast.ada)
    answer = ada.post("/account/tokens/new/", {"name": "my-laptop", "scopes": ["read"], "expires_in_days": "7"})
    assert answer.status_code == 200
    assert "no-store" in answer.headers["Cache-Control"]
    value = answer.context["issued"].value
    assert value in answer.content.decode()
    assert client.get("/llm-ops/v1/me", headers={"Authorization": f"Bearer {value}"}).status_code == 200
    listed = ada.get("/account/tokens/").content.decode()
    assert "my-laptop" in listed
    assert value not in listed
    assert "my-laptop" not in page(cast.eve).get("/account/tokens/").content.decode()


def test_ada_cannot_make_a_token_that_lives_too_long(cast: Cast, page: PageOf) -> None:
    """The service's refusal is at the field, the input is kept, the status is 422."""
    answer = page(cast.ada).post(
        "/account/tokens/new/", {"name": "forever", "scopes": ["read"], "expires_in_days": "9999"}
    )
    assert answer.status_code == 422
    assert b"Between 1 and" in answer.content
    assert b'value="forever"' in answer.content
    assert not ApiToken.objects.exists()


def test_ada_can_revoke_her_token_and_eve_cannot(cast: Cast, page: PageOf) -> None:
    """P-2: revocable; somebody else's token does not exist for Eve."""
    ada = page(cast.ada)
    ada.post("/account/tokens/new/", {"name": "my-laptop", "scopes": ["read"], "expires_in_days": "7"})
    token = ApiToken.objects.get()
    assert page(cast.eve).post(f"/account/tokens/{token.pk}/revoke/").status_code == 404
    token.refresh_from_db()
    assert token.revoked_at is None
    assert ada.post(f"/account/tokens/{token.pk}/revoke/").status_code == 302
    assert ApiToken.objects.get().revoked_at is not None
    assert AuditEvent.objects.filter(action="accounts.token.revoked").count() == 1


def test_dana_can_see_everybodys_tokens_on_request(cast: Cast, page: PageOf) -> None:
    """Administrators manage tokens; others' ?all=1 changes nothing."""
    page(cast.ada).post("/account/tokens/new/", {"name": "my-laptop", "scopes": ["read"], "expires_in_days": "7"})
    assert "my-laptop" not in page(cast.dana).get("/account/tokens/").content.decode()
    assert "my-laptop" in page(cast.dana).get("/account/tokens/?all=1").content.decode()
    assert "my-laptop" not in page(cast.eve).get("/account/tokens/?all=1").content.decode()
