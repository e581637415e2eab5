"""``limit``/``offset`` paging with ``X-Total-Count`` and ``Link`` headers."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpRequest
from rest_framework.response import Response

from apps.core.errors import ValidationFailed

DEFAULT_LIMIT = 50
MAX_LIMIT = 1000
MAX_OFFSET = 2**31


@dataclass(frozen=True)
class Window:
    """A page: ``limit`` rows from row ``offset``."""

    limit: int
    offset: int


def _number(text: str | None, name: str, default: int, least: int) -> int:
    if text is None or text == "":
        return default
    if not (text.isascii() and text.isdigit()) or int(text[:20]) < least:
        raise ValidationFailed.field(
            name, "invalid", f"{name} must be a whole number of at least {least}, not {text[:40]!r}."
        )
    return int(text[:20])


def window(request: HttpRequest, *, default: int = DEFAULT_LIMIT, maximum: int = MAX_LIMIT) -> Window:
    """The page a request asks for; a ``limit`` above the maximum is clamped.

    Raises:
        ValidationFailed: not a number, or negative.
    """
    limit = _number(request.GET.get("limit"), "limit", default, 1)
    offset = _number(request.GET.get("offset"), "offset", 0, 0)
    return Window(min(limit, maximum), min(offset, MAX_OFFSET))


def add_headers(response: Response, request: HttpRequest, page: Window, total: int) -> Response:
    """Total and links to the neighbouring pages."""

    def link(offset: int, rel: str) -> str:
        query = request.GET.copy()
        query["limit"], query["offset"] = str(page.limit), str(offset)
        pairs = [(name, value) for name, values in query.lists() for value in values]
        return f'<{request.build_absolute_uri(request.path)}?{urlencode(pairs)}>; rel="{rel}"'

    links = []
    if page.offset > 0:
        links += [link(0, "first"), link(max(0, page.offset - page.limit), "prev")]
    if page.offset + page.limit < total:
        last = (total - 1) // page.limit * page.limit
        links += [link(page.offset + page.limit, "next"), link(last, "last")]
    response["X-Total-Count"] = str(total)
    if links:
        response["Link"] = ", ".join(links)
    return response
