"""A small cache for lookups that must not cost a query per call, and must not be wrong for long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class TTLCache(Generic[K, V]):
    """Values by key for ``ttl`` seconds, at most ``size`` of them, loaded once however many ask.

    Errors are never cached: a refusal is decided (and recorded) anew each time. ``clear`` also voids loads
    that are under way, so that nothing read before an invalidation is stored after it.
    """

    def __init__(self, ttl: float, size: int = 4096) -> None:
        self._ttl = ttl
        self._size = size
        self._values: dict[K, tuple[float, V]] = {}
        self._loading: dict[K, asyncio.Future[V]] = {}
        self._generation = 0

    def get(self, key: K) -> V | None:
        """The value while it is fresh."""
        found = self._values.get(key)
        if found is None:
            return None
        if found[0] < time.monotonic():
            self._values.pop(key, None)
            return None
        return found[1]

    def put(self, key: K, value: V) -> None:
        """Keep a value, dropping the oldest when full."""
        if self._ttl <= 0:
            return
        if len(self._values) >= self._size:
            self._values.pop(next(iter(self._values)), None)
        self._values[key] = (time.monotonic() + self._ttl, value)

    def clear(self) -> None:
        """Forget everything, also what is being loaded right now."""
        self._generation += 1
        self._values.clear()
        self._loading.clear()

    async def get_or_load(self, key: K, load: Callable[[], Awaitable[V]]) -> V:
        """The fresh value, else ``load()``'s; callers that ask meanwhile wait for the same load."""
        found = self.get(key)
        if found is not None:
            return found
        running = self._loading.get(key)
        if running is not None:
            # Shielded: a caller that goes away must not cancel the load of the others.
            return await asyncio.shield(running)
        generation = self._generation
        future: asyncio.Future[V] = asyncio.ensure_future(load())
        self._loading[key] = future
        try:
            value = await asyncio.shield(future)
        finally:
            if self._loading.get(key) is future:
                del self._loading[key]
        if generation == self._generation:
            self.put(key, value)
        return value
