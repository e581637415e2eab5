"""The few pieces of HTTP that a raw ASGI application needs: a request, a bounded body, JSON answers."""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

import orjson

from apps.core.errors import TooLarge, UnsupportedMedia, ValidationFailed

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

_REQUEST_ID = re.compile(rb"^[A-Za-z0-9._-]{8,128}$")


class ClientGone(Exception):
    """The client closed the connection before the answer was complete."""


class Request:
    """One HTTP request. Header names are lower-case bytes, as ASGI gives them."""

    __slots__ = ("_query", "actor", "call_id", "headers", "method", "path", "receive", "request_id", "scope")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        #: Ours alone: the key of the bill. Never taken from the client, who could repeat it.
        self.call_id = uuid.uuid4().hex
        given = self.headers.get(b"x-request-id", b"")
        #: What logs and answers show; the client's own if it sent a sensible one.
        self.request_id = given.decode() if _REQUEST_ID.match(given) else self.call_id
        #: User name for the log, once it is known.
        self.actor = ""
        self._query: dict[str, str] | None = None

    @property
    def query(self) -> dict[str, str]:
        """Query parameters; the last one wins."""
        if self._query is None:
            raw = self.scope.get("query_string", b"").decode("latin-1")
            self._query = dict(parse_qsl(raw, keep_blank_values=True)) if raw else {}
        return self._query

    def header(self, name: bytes) -> str:
        """One header as text, or the empty string."""
        return self.headers.get(name, b"").decode("latin-1")

    async def body(self, limit: int) -> bytes:
        """The whole body. Raises ``TooLarge`` above ``limit`` bytes, ``ClientGone`` when it breaks off."""
        declared = self.headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > limit:
            raise _too_large(limit)
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        first: bytes = message.get("body", b"")
        if not message.get("more_body"):
            if len(first) > limit:
                raise _too_large(limit)
            return first
        parts, size = [first], len(first)
        while message.get("more_body"):
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                raise _too_large(limit)
        return b"".join(parts)

    async def json_object(self, limit: int) -> dict[str, Any]:
        """The body as a JSON object. Raises ``UnsupportedMedia``, ``TooLarge`` or ``ValidationFailed``."""
        content_type = self.header(b"content-type").partition(";")[0].strip().lower()
        if content_type and content_type != "application/json" and not content_type.endswith("+json"):
            raise UnsupportedMedia(f"The body must be JSON (Content-Type: application/json), not {content_type[:80]}.")
        raw = await self.body(limit)
        if not raw.strip():
            raise ValidationFailed("The body is empty; send a JSON object.")
        try:
            parsed = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise ValidationFailed(f"The body is not valid JSON: {error}.") from None
        if not isinstance(parsed, dict):
            raise ValidationFailed("The body must be a JSON object.")
        return parsed


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit:,} bytes; shorten the conversation.")


async def send_bytes(send: Send, status: int, body: bytes, *, request_id: str, headers: Iterable[Header] = ()) -> None:
    """Send one complete JSON answer."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"x-request-id", request_id.encode()),
                (b"cache-control", b"no-store"),
                (b"x-content-type-options", b"nosniff"),
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def start_stream(send: Send, *, request_id: str) -> None:
    """Begin a stream of server-sent events. Proxies are asked not to hold it back."""
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [
                (b"content-type", b"text/event-stream; charset=utf-8"),
                (b"cache-control", b"no-store"),
                (b"x-accel-buffering", b"no"),
                (b"x-request-id", request_id.encode()),
                (b"x-content-type-options", b"nosniff"),
            ],
        }
    )
