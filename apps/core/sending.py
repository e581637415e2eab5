"""Sending large bodies outside the portal's thread pool.

The portal is WSGI in a pool of threads. A download of gigabytes by a slow reader would hold one of them for hours,
and a handful of such readers the whole portal. So a view hands the pieces of a stored object over
(``apps.core.web.objects``) and its thread is free again; the event loop sends them, reading each in a thread of a
pool of its own, only while somebody listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import close_old_connections

from apps.core.web.objects import SENDER

logger = logging.getLogger(__name__)

_END = object()


class _Handover:
    """Where one answer's pieces wait for the loop."""

    def __init__(self) -> None:
        self.pieces: Iterator[bytes] | None = None

    def take(self, pieces: Iterator[bytes]) -> None:
        """Called by the view, in its thread."""
        self.pieces = pieces


class SendingMiddleware:
    """Wraps an ASGI application (the portal); passes everything through but bodies that were handed over."""

    def __init__(self, application: Any, *, threads: int = 8) -> None:
        self._application = application
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="sending")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI entry."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        handover = _Handover()
        scope = {**scope, "extensions": {**(scope.get("extensions") or {}), SENDER: handover}}

        async def pass_on(message: Any) -> None:
            if message["type"] != "http.response.body" or handover.pieces is None:
                await send(message)

        try:
            await self._application(scope, receive, pass_on)
            if handover.pieces is not None:
                await self._send(handover.pieces, receive, send)
        finally:
            if handover.pieces is not None:
                # The pool's next free thread ends the generator, which closes the file or connection behind it.
                await asyncio.get_running_loop().run_in_executor(self._pool, _close, handover.pieces)

    async def _send(self, pieces: Iterator[bytes], receive: Any, send: Any) -> None:
        loop = asyncio.get_running_loop()
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            while not gone.done():
                piece = await loop.run_in_executor(self._pool, _next, pieces)
                if piece is _END:
                    await send({"type": "http.response.body", "body": b""})
                    return
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        finally:
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await gone


async def _disconnected(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _next(pieces: Iterator[bytes]) -> Any:
    try:
        return next(pieces, _END)
    finally:
        # A check that fails writes to the database from this thread.
        close_old_connections()


def _close(pieces: Any) -> None:
    getattr(pieces, "close", lambda: None)()
