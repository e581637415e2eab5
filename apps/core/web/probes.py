"""Liveness and readiness for supervisors and clusters."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse

from apps.core import health


@login_not_required
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


@login_not_required
def readyz(request: HttpRequest) -> HttpResponse:
    """The database answers too."""
    down = [part.name for part in health.ready() if part.status == "down"]
    if down:
        return HttpResponse(f"not ready: {', '.join(down)}\n", status=503, content_type="text/plain")
    return HttpResponse("ok\n", content_type="text/plain")
