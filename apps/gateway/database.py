"""The gateway's few queries run in a small pool of threads, off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import close_old_connections, connections
from django.db.backends.base.base import BaseDatabaseWrapper

P = ParamSpec("P")
R = TypeVar("R")


class DatabaseThreads:
    """Runs functions that use the ORM. Each thread keeps its connection as long as Django's settings allow."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="gateway-db")
        self._used: dict[int, BaseDatabaseWrapper] = {}

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``function`` in a thread and wait for its result."""

        def call() -> R:
            close_old_connections()
            try:
                return function(*args, **kwargs)
            finally:
                close_old_connections()
                for connection in connections.all(initialized_only=True):
                    self._used[id(connection)] = connection

        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    async def close(self) -> None:
        """End the threads, then close the connections that they leave behind."""
        # In a thread: Django refuses to touch a connection where an event loop runs.
        await asyncio.get_running_loop().run_in_executor(None, self._end)

    def _end(self) -> None:
        self._pool.shutdown()
        for connection in self._used.values():
            # The thread that opened it is gone; Django otherwise forbids closing from another one.
            connection.inc_thread_sharing()
            connection.close()
        self._used.clear()
