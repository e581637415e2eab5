"""Home, approval queue, search and health."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from apps.core import health
from apps.core.models import AuditEvent
from apps.datasets.models import Dataset
from apps.datasets.services import dataset_submit
from apps.governance.models import ApprovalRequest
from tests.factories.datasets import make_dataset
from tests.support.cast import Cast

PageOf = Callable[[Any], Client]
HTMX = {"HX-Request": "true"}


@pytest.fixture
def pending(cast: Cast) -> ApprovalRequest:
    """Ada's dataset waits for approval."""
    dataset = make_dataset(cast.ada, name="support-questions")
    dataset_submit(actor=cast.ada, dataset_id=dataset.pk, notes="Please look at the tone.")
    return ApprovalRequest.objects.get()


def _demo(var: Path, *statuses: str) -> None:
    steps = [
        {"key": f"s{place}", "title": f"Ada does step {place}", "status": status, "detail": "half way",
         "started_at": "2026-11-23T04:00:00+00:00", "finished_at": "2026-11-23T04:01:00+00:00"}
        for place, status in enumerate(statuses)
    ]  # fmt: skip
    (var / "demo.json").write_text(json.dumps({"progress": steps, "made": {}}))


def test_home_says_what_waits_for_whom(cast: Cast, page: PageOf, pending: ApprovalRequest) -> None:
    """Portal: reviewers find what they may decide; the author and outsiders do not."""
    for person, waits in (
        (cast.ben, True),
        (cast.chen, True),
        (cast.ada, False),
        (cast.eve, False),
        (cast.finn, False),
    ):
        context = page(person).get("/").context
        assert [item.title for item in context["waiting"]] == ([pending.title] if waits else []), person


def test_eve_sees_nothing_of_team_support_on_home(
    cast: Cast, page: PageOf, pending: ApprovalRequest, settings: Any
) -> None:
    """P-3: neither counts, activity, search nor the demo's progress speak of another team's things."""
    _demo(settings.VAR_DIR, "done", "running")
    for path in ("/", "/approvals/?view=all", "/search/?q=support", "/search/?q=questions"):
        body = page(cast.eve).get(path).content.decode()
        assert "support-questions" not in body, path
        assert "Ada" not in body, path
        assert "Ada does step" not in body, path
    assert page(cast.eve).get("/").context["counts"][0].value == 0
    assert page(cast.ada).get("/").context["counts"][0].value == 1


def test_ada_can_follow_the_demo_until_it_is_done(cast: Cast, page: PageOf, settings: Any) -> None:
    """The home page shows how far the demo is; its fragment asks again only while something runs."""
    ada = page(cast.ada)
    assert ada.get("/").context["demo"] is None
    _demo(settings.VAR_DIR, "done", "running", "waiting")
    body = ada.get("/").content.decode()
    assert "1 of 3 steps" in body
    assert "every 3s" in body
    part = ada.get("/", headers={**HTMX, "HX-Target": "demo"})
    assert part.content.lstrip().startswith(b'<section class="card demo"')
    _demo(settings.VAR_DIR, "done", "failed", "waiting")
    assert "every 3s" not in ada.get("/", headers={**HTMX, "HX-Target": "demo"}).content.decode()
    _demo(settings.VAR_DIR, "done", "done")
    assert "The demo is complete" in ada.get("/").content.decode()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"progress": 5}', '{"progress": [1, {"title": null}]}'])
def test_a_damaged_demo_file_does_not_break_home(cast: Cast, page: PageOf, settings: Any, content: str) -> None:
    """The home page must open whatever lies in var/."""
    (settings.VAR_DIR / "demo.json").write_text(content)
    assert page(cast.ada).get("/").status_code == 200


def test_queue_shows_each_person_their_view(cast: Cast, page: PageOf, pending: ApprovalRequest) -> None:
    """Approval queue: exact rows per person and view; filters and view stay in the address."""
    expected = {
        ("ben", "waiting"): 1, ("ben", "submitted"): 0, ("ben", "all"): 1,
        ("ada", "waiting"): 0, ("ada", "submitted"): 1, ("ada", "all"): 1,
        ("chen", "waiting"): 1, ("dana", "waiting"): 1, ("dana", "all"): 1,
        ("finn", "waiting"): 0, ("finn", "all"): 1,
        ("eve", "waiting"): 0, ("eve", "submitted"): 0, ("eve", "all"): 0,
    }  # fmt: skip
    people = cast.everyone()
    for (name, view), rows in expected.items():
        answer = page(people[name]).get(f"/approvals/?view={view}")
        assert len(answer.context["rows"]) == rows, (name, view)
    filtered = page(cast.ben).get("/approvals/?view=all&status=approved")
    assert filtered.context["rows"] == []
    assert b'value="all"' in filtered.content


def test_chen_can_approve_in_the_queue(cast: Cast, page: PageOf, pending: ApprovalRequest) -> None:
    """The decision form comes as a fragment, the decision goes to the service, the answer moves the window."""
    chen = page(cast.chen)
    url = f"/approvals/{pending.pk}/decide/"
    part = chen.get(url, headers={**HTMX, "HX-Target": "decision"}).content.decode()
    assert 'id="decision"' in part
    assert "<html" not in part
    assert "Please look at the tone." in part
    answer = chen.post(url, {"decision": "approve", "notes": "Fine."}, headers={**HTMX, "HX-Target": "decision"})
    assert answer.headers["HX-Redirect"] == "/approvals/"
    pending.refresh_from_db()
    assert pending.status == "approved"
    assert Dataset.objects.get(pk=pending.subject_id).status == "approved"
    again = chen.post(url, {"decision": "reject", "notes": ""}, headers={**HTMX, "HX-Target": "decision"})
    assert again.status_code == 422
    assert "does not wait for a decision" in again.content.decode()


def test_ben_can_request_changes_without_scripts(cast: Cast, page: PageOf, pending: ApprovalRequest) -> None:
    """The same form works as a page; the note is kept."""
    ben = page(cast.ben)
    answer = ben.post(f"/approvals/{pending.pk}/decide/", {"decision": "request_changes", "notes": "Row 3 is rude."})
    assert answer.headers["Location"] == "/approvals/"
    pending.refresh_from_db()
    assert (pending.status, pending.closed_reason) == ("changes_requested", "Row 3 is rude.")


def test_ada_cannot_decide_about_her_own(cast: Cast, page: PageOf, pending: ApprovalRequest) -> None:
    """FR-010, four eyes: the page says why, a forged POST is refused and recorded."""
    ada = page(cast.ada)
    url = f"/approvals/{pending.pk}/decide/"
    shown = ada.get(url).content.decode()
    assert "You submitted" in shown
    assert 'value="approve"' not in shown
    refused = ada.post(url, {"decision": "approve", "notes": ""})
    assert refused.status_code == 403
    assert "You may not do this" in refused.content.decode()
    pending.refresh_from_db()
    assert pending.status == "open"
    assert AuditEvent.objects.filter(result="denied", actor=cast.ada).exists()


def test_eve_cannot_find_the_request(cast: Cast, page: PageOf, pending: ApprovalRequest) -> None:
    """P-3: what one may not see does not exist."""
    url = f"/approvals/{pending.pk}/decide/"
    assert page(cast.eve).get(url).status_code == 404
    assert page(cast.eve).post(url, {"decision": "approve"}).status_code == 404
    assert page(None).get(url).status_code == 302


def test_a_decision_must_be_one(cast: Cast, page: PageOf, pending: ApprovalRequest) -> None:
    """Nonsense is a 422 with the form, nothing is decided."""
    answer = page(cast.chen).post(f"/approvals/{pending.pk}/decide/", {"decision": "maybe", "notes": "x" * 20})
    assert answer.status_code == 422
    pending.refresh_from_db()
    assert pending.status == "open"


def test_search_finds_what_one_sees(cast: Cast, page: PageOf, pending: ApprovalRequest) -> None:
    """Every word must occur; hostile text finds nothing and breaks nothing."""
    ada = page(cast.ada)
    for text, hits in (
        ("questions", 1),
        ("QUESTIONS support", 1),
        ("questions zebra", 0),
        ("%", 0),
        ("", 0),
        ("\x00", 0),
        ("a" * 5000, 0),
    ):
        groups = ada.get("/search/", {"q": text}).context["groups"]
        assert sum(len(group["hits"]) for group in groups) == hits, text[:20]


def test_health_page_names_what_is_down(cast: Cast, page: PageOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """P-5: integrations health in the portal, with the last error."""

    def broken() -> str:
        raise ConnectionError("no route to the moon")

    monkeypatch.setitem(health._probes, "moon", broken)
    body = page(cast.ada).get("/health/").content.decode()
    assert "PostgreSQL" in body
    assert "no route to the moon" in body
    assert "not answer" in body


def test_home_and_queue_ask_few_queries(
    cast: Cast, page: PageOf, pending: ApprovalRequest, django_assert_max_num_queries: Any
) -> None:
    """Lists stay cheap however many rows there are."""
    chen = page(cast.chen)
    for name in ("two", "three", "four"):
        dataset = make_dataset(cast.ada, name=name)
        dataset_submit(actor=cast.ada, dataset_id=dataset.pk)
    with django_assert_max_num_queries(14):
        chen.get("/approvals/")
    with django_assert_max_num_queries(40):
        chen.get("/")
