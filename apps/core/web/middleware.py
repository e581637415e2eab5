"""What every page answer needs for HTMX: caches keep page and fragment apart, an expired session leaves the
page whole, and messages reach fragments as toasts."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.utils.cache import patch_vary_headers

from apps.core.web.errors import sign_in_redirect
from apps.core.web.http import TONES, is_htmx


class HtmxMiddleware:
    """Put it directly after `MessageMiddleware` and before `LoginRequiredMiddleware`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.headers.get("Content-Type", "").startswith("text/html"):
            patch_vary_headers(response, ["HX-Request"])
        if not is_htmx(request):
            return response
        if response.status_code in (301, 302, 303) and self._is_sign_in(response.headers.get("Location", "")):
            # Following the redirect would swap the sign-in page into a table.
            return sign_in_redirect(request)
        if "HX-Redirect" not in response.headers and response.status_code < 300:
            self._messages_as_toasts(request, response)
        return response

    @staticmethod
    def _is_sign_in(location: str) -> bool:
        return urlsplit(location).path == resolve_url(settings.LOGIN_URL)

    @staticmethod
    def _messages_as_toasts(request: HttpRequest, response: HttpResponse) -> None:
        if not hasattr(request, "_messages"):
            return
        waiting = [
            {"text": str(item), "tone": TONES.get(item.level_tag, item.level_tag)}
            for item in messages.get_messages(request)
        ]
        if waiting:
            triggers = json.loads(response.headers.get("HX-Trigger") or "{}")
            triggers["toasts"] = {"value": waiting}
            response.headers["HX-Trigger"] = json.dumps(triggers)
