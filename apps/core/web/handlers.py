"""Django's error handlers: pages for people, envelopes for programs, never a stack trace."""

from __future__ import annotations

import logging

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string

from apps.core.errors import DomainError, NotFound, PermissionRefused, ValidationFailed
from apps.core.web.errors import error_response

logger = logging.getLogger(__name__)

API_PREFIXES = ("/llm-ops/",)


def is_api(request: HttpRequest) -> bool:
    """Whether the caller expects the envelope."""
    return request.path.startswith(API_PREFIXES)


def envelope(message: str, status: int, errors: list[dict[str, str]] | None = None) -> JsonResponse:
    """A failure in the contract's shape."""
    data = {"errors": errors} if errors else None
    return JsonResponse({"status": "fail", "message": message, "data": data}, status=status)


def answer(request: HttpRequest, error: DomainError) -> HttpResponse:
    """The page or envelope of a domain error."""
    if is_api(request):
        return envelope(error.message, error.status_code, [item.as_dict() for item in error.errors])
    return error_response(request, error)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400 outside any view."""
    return answer(request, ValidationFailed("The request could not be read. Check its address, headers and form."))


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404 for unknown paths."""
    return answer(request, NotFound(f"There is nothing at {request.path}."))


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403 outside any service."""
    return answer(request, PermissionRefused("You may not do that. Ask an administrator for the role it needs."))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form without a valid token: usually a page that was open across a sign-in."""
    if is_api(request):
        return envelope("The CSRF token is missing or wrong. Send X-CSRFToken, or use a bearer token.", 403)
    return HttpResponse(render_to_string("403_csrf.html", request=request), status=403)


def server_error(request: HttpRequest) -> HttpResponse:
    """500: the request id finds the log lines."""
    request_id = getattr(request, "request_id", "")
    message = f"Something broke on our side. Tell the operators this request id: {request_id or 'unknown'}."
    if is_api(request):
        return envelope(message, 500)
    try:
        return HttpResponse(render_to_string("500.html", {"request_id": request_id}), status=500)
    except Exception:
        logger.exception("error_page_failed")
        return HttpResponse(message, status=500, content_type="text/plain")
