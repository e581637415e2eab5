"""An ASGI application on a real port, in a thread of its own, ended cleanly (lifespan included)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvicorn

R = TypeVar("R")


class _Announcing(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then tell."""
        await super().startup(sockets)
        self._announce()


class AsgiServer:
    """``url`` is where it answers; ``run`` executes a coroutine on its event loop."""

    def __init__(self, application: Any) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(application, log_config=None, lifespan="on", timeout_graceful_shutdown=2)
        self._server = _Announcing(config, self._announce)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _announce(self) -> None:
        self._ready.set()

    def start(self) -> AsgiServer:
        """Serve until ``stop``."""
        self._thread.start()
        if not self._ready.wait(20):
            raise RuntimeError("the server did not start")
        return self

    def stop(self) -> None:
        """As SIGTERM would: open calls end, then lifespan shutdown runs."""
        self._server.should_exit = True
        self._thread.join(20)
        if self._thread.is_alive():
            raise RuntimeError("the server did not end")

    def run(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """The result of a coroutine, executed where the application lives."""
        if self._loop is None:
            raise RuntimeError("the server is not running")
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    def _run(self) -> None:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._server.serve(sockets=[self._socket])
