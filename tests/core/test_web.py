"""The web kernel: fragments, filters in the address, service errors in forms, toasts, session expiry (P-1, P-2)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django import forms
from django.http import HttpRequest, HttpResponse
from django.template import Context, Template
from django.test import Client, RequestFactory

from apps.core.errors import Conflict, FieldError, GateRefused, NotFound, PermissionRefused, RateLimited
from apps.core.templatetags import portal as tags
from apps.core.web import icons, markdown_text, statuses
from apps.core.web.errors import error_response, sentence
from apps.core.web.http import came_from, go_to, safe_next, toast, trigger
from apps.core.web.views import ServiceFormView
from tests.support.cast import Cast

PageOf = Callable[[Any], Client]
HTMX = {"HX-Request": "true"}


class NameForm(forms.Form):
    """A form with one field that services complain about."""

    owner_team = forms.CharField(required=False)


def _errors_of(error: Exception) -> Any:
    form = NameForm({"owner_team": "x"})
    form.is_valid()
    ServiceFormView().add_errors(form, error)  # type: ignore[arg-type]
    return form.errors.get_json_data()


def test_service_errors_land_at_their_fields() -> None:
    """A camelCase name finds the form's field; what belongs to none is said above the form, the sentence first."""
    assert _errors_of(Conflict.field("ownerTeam", "taken", "Taken."))["owner_team"][0]["message"] == "Taken."
    assert "__all__" not in _errors_of(Conflict.field("ownerTeam", "taken", "Taken."))
    found = _errors_of(GateRefused("Not yet.", errors=[FieldError("pii", "gate_failed", "Remove the addresses.")]))
    assert [item["message"] for item in found["__all__"]] == ["Not yet.", "Remove the addresses."]
    assert _errors_of(Conflict("Closed."))["__all__"][0]["message"] == "Closed."


def test_error_pages_say_what_to_do(db: None) -> None:
    """403 names the remedy, 404 tells nothing apart, 429 says how long; HTMX gets the same sentence as a toast."""
    request = RequestFactory().get("/models/")
    refused = PermissionRefused("You may not approve this.")
    page = error_response(request, refused)
    assert page.status_code == 403
    assert b"You may not approve this." in page.content
    assert b"roles" in page.content
    assert error_response(request, NotFound("There is no such model.")).status_code == 404
    assert error_response(request, RateLimited("Wait.", retry_after=7)).headers["Retry-After"] == "7"
    fragment = error_response(RequestFactory().get("/models/", headers=HTMX), refused)
    assert fragment.status_code == 403
    assert json.loads(fragment.headers["HX-Trigger"])["toast"] == {
        "text": "You may not approve this.",
        "tone": "danger",
    }
    assert sentence(GateRefused("No.", errors=[FieldError("a", "b", "Because.")])) == "No. Because."


def test_redirects_stay_on_this_site() -> None:
    """No open redirects, neither by ?next= nor by a forged header."""
    factory = RequestFactory()
    request = factory.get("/", headers={"HX-Current-URL": "https://evil.example/x"})
    assert came_from(request, "/home/") == "/home/"
    assert (
        came_from(factory.get("/", headers={"Referer": "http://testserver/models/"}), "/")
        == "http://testserver/models/"
    )
    for bad in ("//evil.example", "https://evil.example", "javascript:alert(1)", "", None):
        assert safe_next(request, bad, "/home/") == "/home/"


def test_htmx_gets_headers_and_browsers_get_redirects() -> None:
    """One answer function for both; events add up in one header."""
    request: HttpRequest = RequestFactory().post("/", headers=HTMX)
    assert go_to(request, "/models/").headers["HX-Redirect"] == "/models/"
    assert go_to(RequestFactory().post("/"), "/models/").headers["Location"] == "/models/"
    response = trigger(toast(HttpResponse(), "Saved."), "job-changed")
    assert json.loads(response.headers["HX-Trigger"]) == {
        "toast": {"text": "Saved.", "tone": "success"},
        "job-changed": True,
    }


def test_expired_session_moves_the_window(client: Client) -> None:
    """A fragment without a session answers HX-Redirect to the sign-in page, and comes back to the page it was on."""
    answer = client.get("/approvals/", headers={**HTMX, "HX-Current-URL": "http://testserver/approvals/?view=all"})
    assert answer.status_code == 200
    assert answer.headers["HX-Redirect"].startswith("/account/sign-in/?next=")
    assert "view%3Dall" in answer.headers["HX-Redirect"]
    assert client.get("/approvals/").headers["Location"].startswith("/account/sign-in/?next=/approvals/")


def test_page_and_fragment_are_one_view(cast: Cast, page: PageOf) -> None:
    """The fragment is a part of the page, caches keep them apart, a boosted link gets the whole page."""
    ada = page(cast.ada)
    whole = ada.get("/approvals/")
    part = ada.get("/approvals/", headers={**HTMX, "HX-Target": "table"})
    assert b"<html" in whole.content
    assert part.content.lstrip().startswith(b'<div class="card" id="table"')
    assert b"<html" not in part.content
    assert "HX-Request" in whole.headers["Vary"]
    assert b"<html" in ada.get("/approvals/", headers={**HTMX, "HX-Target": "table", "HX-Boosted": "true"}).content
    assert b"<html" in ada.get("/approvals/", headers={**HTMX, "HX-Target": "unknown"}).content


def test_bad_filters_show_nothing_and_say_why(cast: Cast, page: PageOf) -> None:
    """Nonsense in the address is no crash and never widens the list; unknown names, pages and orders are ignored."""
    ada = page(cast.ada)
    answer = ada.get("/approvals/?view=all&status=nonsense&page=99&order=;drop&utm=1&q=%00")
    assert answer.status_code == 200
    assert "Select a valid choice" in answer.content.decode()


def test_every_page_carries_the_strict_policy(cast: Cast, page: PageOf) -> None:
    """Content-Security-Policy: scripts and styles only from here, and the markup needs no exception."""
    for path in ("/", "/approvals/", "/health/", "/account/", "/account/tokens/new/", "/no-such-page"):
        answer = page(cast.ada).get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        body = answer.content.decode()
        assert " style=" not in body
        assert " onclick=" not in body
        assert "hx-on" not in body


def test_icons_are_inline_and_never_break_a_page() -> None:
    """Icons come from the package; a wrong or hostile name gives a plain circle."""
    assert "<path" in icons.icon_svg("database") or "<circle" in icons.icon_svg("database")
    assert "M0 0h24v24H0z" not in icons.icon_svg("database")
    for name in ("no-such-icon", "../../etc/passwd", "<script>", ""):
        assert '<circle cx="12"' in icons.icon_svg(name)
    assert "&quot;" in icons.icon_svg("database", '"onload')


def test_markdown_is_harmless() -> None:
    """Model cards are written by people: structure stays, everything that acts is dropped."""
    hostile = "**bold** <script>alert(1)</script> [x](javascript:alert(1)) ![i](http://e/x.png)\n\n| a |\n|---|\n| b |"
    html = markdown_text.render(hostile)
    assert "<strong>bold</strong>" in html
    assert "<td>b</td>" in html
    assert "<script" not in html
    assert 'href="javascript' not in html
    assert "<img" not in html
    assert 'rel="noopener noreferrer nofollow"' in markdown_text.render("[x](https://example.org)")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (tags.file_size(None), "–"),
        (tags.file_size(0), "0 B"),
        (tags.file_size(1536), "1.5 KiB"),
        (tags.file_size(5 * 1024**3), "5.0 GiB"),
        (tags.duration(0.25), "250 ms"),
        (tags.duration(5), "5.0 s"),
        (tags.duration(200), "3 min 20 s"),
        (tags.duration(timedelta(hours=2)), "2 h"),
        (tags.duration(timedelta(days=3, hours=4)), "3 d 4 h"),
        (tags.duration(-1), "–"),
        (tags.number(1234567), "1,234,567"),
        (tags.number(0.123456), "0.1235"),
        (tags.compact(135_000_000), "135 M"),
        (tags.compact(12), "12"),
        (tags.money(Decimal(0)), "0.00 USD"),
        (tags.money(Decimal("1234.5")), "1,234.50 USD"),
        (tags.money(Decimal("0.00042")), "0.00042 USD"),
        (tags.percent(0.534), "53.4 %"),
        (tags.short_id("sha256:9fe21bc0aa"), "9fe21bc0"),
        (statuses.label("pending_review"), "Pending review"),
        (statuses.label("objectStore"), "Object store"),
        (statuses.label("llm_judge"), "LLM judge"),
        (statuses.look("no such state").tone, "neutral"),
        (tags.person(None), "system"),
    ],
)
def test_values_read_well(given: str, shown: str) -> None:
    """Sizes, durations, numbers, money and states as people read them."""
    assert given == shown


def test_form_fields_are_tied_to_their_help_and_errors() -> None:
    """Assistive technology hears help and errors with the field."""

    class Sample(forms.Form):
        name = forms.CharField(help_text="Unique.")
        kinds = forms.MultipleChoiceField(choices=[("a", "A"), ("b", "B")], widget=forms.CheckboxSelectMultiple)

    form = Sample({"kinds": ["a"]})
    form.is_valid()
    html = Template("{% load portal %}{% field form.name %}{% field form.kinds %}").render(Context({"form": form}))
    assert 'aria-describedby="id_name_help id_name_error"' in html
    assert 'aria-invalid="true"' in html
    assert 'id="id_name_error"' in html
    assert html.count('type="checkbox"') == 2
    assert "<legend" in html


def test_query_string_keeps_the_rest() -> None:
    """Paging keeps filters; an empty value removes its key."""
    request = RequestFactory().get("/?status=draft&page=3")
    template = Template("{% load portal %}{% query_with page=4 %} {% query_with status='' %}")
    assert template.render(Context({"request": request})) == "?status=draft&amp;page=4 ?page=3"
