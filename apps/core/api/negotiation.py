"""Content negotiation that never fails: the contract is JSON whatever Accept says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class LenientNegotiation(BaseContentNegotiation):
    """Parsers by content type as usual; always the first renderer."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        """The first parser that reads the request's media type."""
        kind = (request.content_type or "").split(";")[0].strip().lower()
        for parser in parsers:
            if parser.media_type in {kind, "*/*"} or (not kind and parser.media_type == "application/json"):
                return parser
        return None

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """The envelope."""
        first = next(iter(renderers))
        return first, str(first.media_type)


def describe(parsers: list[Any]) -> str:
    """Media types a view reads, for the 415 message."""
    return ", ".join(sorted({str(parser.media_type) for parser in parsers}))
