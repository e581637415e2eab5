"""HTMX headers and toasts: how a page's answer tells the browser what happened."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme

TONES = {"debug": "info", "error": "danger"}


def is_htmx(request: HttpRequest) -> bool:
    """Whether HTMX sent the request (and so reads the HX-* answer headers)."""
    return request.headers.get("HX-Request") == "true"


def wants_fragment(request: HttpRequest) -> bool:
    """Whether a part of the page is enough: no boosted link and no restored history entry."""
    return (
        is_htmx(request)
        and request.headers.get("HX-Boosted") != "true"
        and request.headers.get("HX-History-Restore-Request") != "true"
    )


def toast(response: HttpResponse, text: str, tone: str = "success") -> HttpResponse:
    """Show `text` in the corner when HTMX gets this answer. tone: info | success | warning | danger."""
    triggers: dict[str, Any] = json.loads(response.headers.get("HX-Trigger") or "{}")
    triggers["toast"] = {"text": text, "tone": TONES.get(tone, tone)}
    response.headers["HX-Trigger"] = json.dumps(triggers)
    return response


def trigger(response: HttpResponse, event: str, detail: Any = True) -> HttpResponse:
    """Fire a browser event, for fragments that listen with hx-trigger="event from:body"."""
    triggers: dict[str, Any] = json.loads(response.headers.get("HX-Trigger") or "{}")
    triggers[event] = detail
    response.headers["HX-Trigger"] = json.dumps(triggers)
    return response


def go_to(request: HttpRequest, url: str, message: str = "", tone: str = "success") -> HttpResponse:
    """Redirect that works for both: HX-Redirect for HTMX and the uploader, 302 for everybody else.

    The message rides in the session and is shown as a toast by the next page.
    """
    if message:
        level = {"success": messages.SUCCESS, "warning": messages.WARNING, "danger": messages.ERROR}.get(
            tone, messages.INFO
        )
        messages.add_message(request, level, message)
    if is_htmx(request):
        return HttpResponse(status=200, headers={"HX-Redirect": url})
    return redirect(url)


def safe_next(request: HttpRequest, candidate: str | None, default: str) -> str:
    """`candidate` when it leads to this site, else `default` (no open redirects)."""
    if candidate and url_has_allowed_host_and_scheme(
        candidate, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        return candidate
    return default


def came_from(request: HttpRequest, default: str) -> str:
    """The page where the person pressed the button, when it is one of ours."""
    return safe_next(request, request.headers.get("HX-Current-URL") or request.headers.get("Referer"), default)
