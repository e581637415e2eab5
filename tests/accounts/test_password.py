"""One's own password: P-2."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from apps.accounts.models import SignInAttempt
from apps.core.models import AuditEvent
from tests.support.cast import PASSWORD, Cast

Page = Callable[..., Client]
NEW = "a quiet harbour at dawn"
ADDRESS = "/account/password/"


def body(current: str = PASSWORD, new: str = NEW, repeated: str | None = None) -> dict[str, str]:
    return {"current_password": current, "new_password": new, "repeated": new if repeated is None else repeated}


def test_person_can_change_their_password(page: Page, cast: Cast) -> None:
    """P-2: this browser stays signed in, the others do not, and the change is audited without either password."""
    here, elsewhere = page(cast.ada), page(cast.ada)
    assert here.get("/account/").status_code == 200
    assert "Change password" in here.get("/account/").content.decode()
    assert here.post(ADDRESS, body()).status_code == 302
    assert here.get("/account/").status_code == 200
    assert elsewhere.get("/account/").status_code == 302, "another session of hers is over"
    cast.ada.refresh_from_db()
    assert cast.ada.check_password(NEW)
    event = AuditEvent.objects.get(action="accounts.password.changed")
    assert (event.actor_id, event.result) == (cast.ada.pk, "allowed")
    assert NEW not in str(event.metadata)
    assert PASSWORD not in str(event.metadata)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (body(current="wrong"), "not your current password"),
        (body(new="short"), "too short"),
        (body(new="password123456"), "too common"),
        (body(new=PASSWORD), "another password than the current one"),
        (body(repeated="something else entirely"), "differ"),
        ({}, "required"),
    ],
)
def test_person_cannot_change_it_to_nonsense(page: Page, cast: Cast, sent: dict[str, str], words: str) -> None:
    """P-2: each mistake is told at its field, and the old password stays."""
    answer = page(cast.ada).post(ADDRESS, sent)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    cast.ada.refresh_from_db()
    assert cast.ada.check_password(PASSWORD)


def test_stolen_session_cannot_guess_the_password(page: Page, cast: Cast) -> None:
    """P-2: wrong current passwords count like failed sign-ins; after enough of them even the right one has to wait."""
    client = page(cast.ada)
    for _ in range(20):
        client.post(ADDRESS, body(current="guess"))
    assert SignInAttempt.objects.filter(key=f"account:{cast.ada.username}").exists()
    answer = client.post(ADDRESS, body())
    assert answer.status_code in (422, 429)
    assert "Too many failed" in answer.content.decode()
    cast.ada.refresh_from_db()
    assert cast.ada.check_password(PASSWORD)


def test_stranger_cannot_reach_the_form(client: Client) -> None:
    """P-2: without a session one is sent to the sign-in page."""
    assert client.get(ADDRESS).headers["Location"].startswith("/account/sign-in/")
