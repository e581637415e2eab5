"""FR-001a: bodies reach the portal's threads in large pieces, whole and in order, also when the client goes away."""

from __future__ import annotations

import asyncio
from typing import Any

from llmops.bodies import PIECE, LargePieces


def received(messages: list[dict[str, Any]], calls: int) -> list[dict[str, Any]]:
    """What an application behind the wrapper receives in ``calls`` calls."""
    seen: list[dict[str, Any]] = []
    queue = list(messages)

    async def receive() -> Any:
        return queue.pop(0) if len(queue) > 1 else queue[0]

    async def send(message: Any) -> None:
        raise AssertionError(message)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.extend([dict(await receive()) for _ in range(calls)])

    asyncio.run(LargePieces(application)({"type": "http"}, receive, send))
    return seen


def body(content: bytes, more: bool) -> dict[str, Any]:
    """A message of the server."""
    return {"type": "http.request", "body": content, "more_body": more}


def test_pieces_are_joined_and_bounded() -> None:
    """FR-001a: forty small messages arrive as three large ones; none is lost, none is larger than needed."""
    small = [bytes([number]) * 65_536 for number in range(40)]
    messages = [body(content, number < 39) for number, content in enumerate(small)]
    seen = received(messages, 3)
    assert [len(message["body"]) for message in seen] == [PIECE, PIECE, 40 * 65_536 - 2 * PIECE]
    assert [message["more_body"] for message in seen] == [True, True, False]
    assert b"".join(message["body"] for message in seen) == b"".join(small)


def test_small_bodies_pass_unchanged() -> None:
    """FR-001a: a request that fits one message is not waited for."""
    assert received([body(b"{}", False), {"type": "http.disconnect"}], 2) == [
        body(b"{}", False),
        {"type": "http.disconnect"},
    ]


def test_gone_client_is_told_after_its_bytes() -> None:
    """FR-001a: what arrived before a connection broke is handed out, then the end."""
    seen = received([body(b"a" * 10, True), body(b"b" * 10, True), {"type": "http.disconnect"}], 2)
    assert seen == [body(b"a" * 10 + b"b" * 10, True), {"type": "http.disconnect"}]
