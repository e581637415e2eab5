"""Calls from the portal's own pages: the session cookie, guarded against forged requests by Django's own rule.

The chat page calls the same paths as programs do. A browser would also send the cookie with a request that
another site made it send, so anything but a read needs the CSRF token in ``X-CSRFToken`` and an origin of our
own, checked by the very middleware that guards Django's forms.
"""

from __future__ import annotations

import io
from typing import Any

from django.contrib.auth import get_user
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

from apps.accounts.models import User
from apps.core.errors import NotAuthenticated, PermissionRefused


class _Refused(Exception):
    pass


class _CsrfCheck(CsrfViewMiddleware):
    """Django's check, telling its result by exception instead of a page."""

    def _reject(self, request: HttpRequest, reason: str) -> HttpResponse:
        raise _Refused(reason)


def _no_response(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


_csrf = _CsrfCheck(_no_response)
_sessions = SessionMiddleware(_no_response)


def session_user(scope: dict[str, Any]) -> User:
    """The person behind a page's call. Raises ``NotAuthenticated`` or ``PermissionRefused`` (CSRF)."""
    request = ASGIRequest(scope, io.BytesIO())
    _sessions.process_request(request)
    user = get_user(request)
    if not isinstance(user, User) or not user.is_active:
        raise NotAuthenticated("Sign in, or send an API token: 'Authorization: Bearer llmops_…'.")
    try:
        _csrf.process_request(request)
        _csrf.process_view(request, _no_response, (), {})
    except _Refused as refused:
        raise PermissionRefused(
            f"This page's security token is missing or stale ({refused}). Reload the page and try again.",
            code="csrf_failed",
        ) from None
    return user
