"""Business errors on pages: an error page for people, a toast for HTMX, the same sentence in both."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.http import urlencode

from apps.core.errors import DomainError, NotAuthenticated, NotFound, PermissionRefused, RateLimited
from apps.core.web.http import came_from, go_to, is_htmx, toast

_TEMPLATES: dict[int, str] = {400: "400.html", 403: "403.html", 404: "404.html", 503: "503.html"}


def sentence(error: DomainError) -> str:
    """The error in one line: its message, then the fields that it names."""
    details = "; ".join(item.message for item in error.errors if item.message and item.message not in str(error))
    return f"{error} {details}".strip() if details else str(error)


def error_response(request: HttpRequest, error: DomainError) -> HttpResponse:
    """What a page answers to a business error that its view did not show in a form.

    HTMX gets the status with a toast (nothing is swapped); a browser gets a page that names the remedy.
    Recording a denial is the caller's business (see the error middleware).
    """
    if isinstance(error, NotAuthenticated):
        return sign_in_redirect(request)
    status = error.status_code
    if is_htmx(request):
        return toast(HttpResponse(status=status), sentence(error), "danger")
    template = _TEMPLATES.get(status, "error.html")
    context = {"error": error, "status": status, "request_id": getattr(request, "request_id", "")}
    response = HttpResponse(render_to_string(template, context, request=request), status=status)
    if isinstance(error, RateLimited) and error.retry_after:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def sign_in_redirect(request: HttpRequest) -> HttpResponse:
    """To the sign-in page and back afterwards; an expired session in a fragment moves the whole window."""
    back = came_from(request, "/") if is_htmx(request) else request.get_full_path()
    return go_to(request, f"{reverse('accounts:sign-in')}?{urlencode({'next': back})}")


def shown_in_form(error: DomainError) -> bool:
    """Whether a form should show the error: everything a person can mend by changing the input or waiting."""
    return not isinstance(error, NotFound | PermissionRefused | NotAuthenticated)
