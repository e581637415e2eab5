"""FR-001e: bodies that were handed over leave outside the portal's threads, in order, and only while somebody reads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from a2wsgi import WSGIMiddleware

from apps.core.integrity import BytesChanged, checked_pieces
from apps.core.quantities import readable_bytes
from apps.core.sending import SendingMiddleware
from apps.core.web.objects import SENDER

SCOPE = {
    "type": "http", "http_version": "1.1", "method": "GET", "path": "/", "query_string": b"", "headers": [],
    "scheme": "http", "server": ("testserver", 80), "client": ("127.0.0.1", 1),
}  # fmt: skip


class Client:
    """An ASGI server's side of one request: collects messages; can stop reading or hang up."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.gone = asyncio.Event()
        self.started = asyncio.Event()
        self.asked = False
        self.pause: asyncio.Event | None = None
        self.hang_up_after = -1

    async def receive(self) -> dict[str, Any]:
        """The empty request, then silence until the end."""
        if not self.asked:
            self.asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        """Take a message, at the reader's pace."""
        self.sent.append(message)
        if message["type"] == "http.response.body":
            self.started.set()
            if self.pause is not None:
                await self.pause.wait()
        if len(self.sent) == self.hang_up_after:
            self.gone.set()
            await asyncio.sleep(0)

    @property
    def body(self) -> bytes:
        """Everything that arrived."""
        return b"".join(message.get("body", b"") for message in self.sent)


def application(pieces: Iterator[bytes], *, workers: int = 1) -> SendingMiddleware:
    """A WSGI application that hands *pieces* over when there is a query, and answers by itself otherwise."""

    def wsgi(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        if environ["QUERY_STRING"]:
            environ["asgi.scope"]["extensions"][SENDER].take(pieces)
            return [b""]
        return [b"small"]

    return SendingMiddleware(WSGIMiddleware(wsgi, workers=workers), threads=2)


def test_pieces_arrive_in_order_and_the_source_is_closed() -> None:
    """FR-001e: start, pieces, end; then the generator is closed."""
    closed = threading.Event()

    def pieces() -> Iterator[bytes]:
        try:
            yield from (b"a", b"b", b"c")
        finally:
            closed.set()

    async def run() -> Client:
        client = Client()
        await application(pieces())({**SCOPE, "query_string": b"x"}, client.receive, client.send)
        return client

    client = asyncio.run(run())
    assert [message["type"] for message in client.sent] == ["http.response.start", *["http.response.body"] * 4]
    assert client.body == b"abc"
    assert client.sent[-1].get("more_body", False) is False
    assert closed.is_set()


def test_answers_that_were_not_handed_over_pass_unchanged() -> None:
    """FR-001e: pages and the API are as before."""

    async def run() -> Client:
        client = Client()
        await application(iter(()))(SCOPE, client.receive, client.send)
        return client

    assert asyncio.run(run()).body == b"small"


def test_slow_reader_holds_no_thread_of_the_portal() -> None:
    """FR-001e: with a single thread, another request is answered while a reader pauses in the middle of a body."""

    async def run() -> tuple[bytes, bytes]:
        app = application(iter([b"1", b"2"]))
        slow, quick = Client(), Client()
        slow.pause = asyncio.Event()
        task = asyncio.create_task(app({**SCOPE, "query_string": b"x"}, slow.receive, slow.send))
        await asyncio.wait_for(slow.started.wait(), 20)
        await asyncio.wait_for(app(SCOPE, quick.receive, quick.send), 20)
        slow.pause.set()
        await task
        return slow.body, quick.body

    assert asyncio.run(run()) == (b"12", b"small")


def test_reading_stops_when_the_reader_is_gone() -> None:
    """FR-001e: nobody reads gigabytes for nobody."""
    read = 0

    def pieces() -> Iterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"x"

    async def run() -> None:
        client = Client()
        client.hang_up_after = 4
        await application(pieces())({**SCOPE, "query_string": b"x"}, client.receive, client.send)

    asyncio.run(run())
    assert read < 10


def test_failure_in_the_middle_breaks_the_answer_off() -> None:
    """FR-001e: no end follows, so that the client knows that it has not everything."""

    async def run() -> Client:
        client = Client()
        pieces = checked_pieces(iter([b"a", b"b"]), sha256="0" * 64, key="k")
        with pytest.raises(BytesChanged):
            await application(pieces)({**SCOPE, "query_string": b"x"}, client.receive, client.send)
        return client

    client = asyncio.run(run())
    assert client.body == b"a"
    assert all(message.get("more_body", True) for message in client.sent[1:])


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1_500, "1.5 kB"), (999_960, "1.0 MB"), (12_345_678_901, "12.3 GB")],
)
def test_sizes_are_told_for_people(count: int, text: str) -> None:
    """FR-001e: decimal units."""
    assert readable_bytes(count) == text
