"""What every page template can rely on."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest


def portal(request: HttpRequest) -> dict[str, Any]:
    """Environment name for the badge in the page head."""
    return {"portal_environment": settings.ENVIRONMENT, "portal_public_url": settings.PUBLIC_URL}
