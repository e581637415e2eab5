"""Middleware: Content-Security-Policy, and domain errors that leave a page or the admin."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from apps.core import audit
from apps.core.errors import DomainError
from apps.core.web.handlers import answer

GetResponse = Callable[[HttpRequest], HttpResponse]


class ContentSecurityPolicyMiddleware:
    """Strict policy everywhere; the admin and the API docs run inline code of their libraries: the relaxed one."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        relaxed = request.path.startswith(settings.CSP_RELAXED_PREFIXES)
        response.headers.setdefault("Content-Security-Policy", settings.CSP_RELAXED if relaxed else settings.CSP_STRICT)
        return response


class RequestIdMiddleware:
    """Gives the request the id its log lines carry, and tells it to the caller in ``X-Request-ID``."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = str(structlog.contextvars.get_contextvars().get("request_id", ""))
        request.request_id = request_id  # type: ignore[attr-defined]
        response = self.get_response(request)
        response.headers["X-Request-ID"] = request_id
        return response


class DomainErrorMiddleware:
    """Turns a domain error that left a page or admin view into its page, after recording a denial.

    API views handle their own errors; the transaction of the service is already rolled back here.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, DomainError):
            return None
        audit.record_denial(exception)
        return answer(request, exception)
