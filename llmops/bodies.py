"""Request bodies handed from the event loop to the portal's threads in large pieces.

The server gives bodies out in pieces of 64 KiB, and each one costs a trip between the loop and a thread. A gigabyte is
16,000 such trips, or 1,000 when sixteen pieces travel together.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Receive, Send], Awaitable[None]]

PIECE = 1024 * 1024


class LargePieces:
    """Wraps an ASGI application; holds at most one piece (plus one message) of each body."""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Pass the request on with a ``receive`` that joins messages."""
        await self.application(scope, _joined(receive), send)


def _joined(receive: Receive) -> Receive:
    waiting: list[Message] = []

    async def joined() -> Message:
        message = waiting.pop() if waiting else await receive()
        if message["type"] != "http.request" or not message.get("more_body"):
            return message
        parts = [message.get("body", b"")]
        size = len(parts[0])
        while size < PIECE:
            message = await receive()
            if message["type"] != "http.request":
                # The client is gone: what came is handed out first.
                waiting.append(message)
                return {"type": "http.request", "body": b"".join(parts), "more_body": True}
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if not message.get("more_body"):
                return {"type": "http.request", "body": b"".join(parts), "more_body": False}
        return {"type": "http.request", "body": b"".join(parts), "more_body": True}

    return joined
