"""Telling every gateway process that cached answers may be wrong now.

One message on one channel says "forget everything": the caches hold seconds' worth of lookups, so being coarse
costs a few queries, and being precise would cost rules that can be forgotten. If Valkey is away, the caches'
own short life is what is left.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import redis
import redis.asyncio
from django.conf import settings
from django.db import connection, transaction

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 2.0


def channel_name() -> str:
    """One channel for each database: portals that share a Valkey do not disturb each other."""
    return f"llmops:gateway:forget:{connection.settings_dict['NAME']}"


def forget_everywhere() -> None:
    """Send the message once the current transaction commits. Never fails its caller."""
    transaction.on_commit(_publish)


def _publish() -> None:
    if not settings.REDIS_URL:
        return
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=1) as client:
            client.publish(channel_name(), "1")
    except (redis.RedisError, OSError) as error:
        logger.warning("gateway.forget.not_sent", extra={"reason": str(error)})


class Listener:
    """Calls ``forget`` for every message, and after every reconnection (messages may have been missed)."""

    def __init__(self, url: str, forget: Callable[[], None]) -> None:
        self._url = url
        self._forget = forget
        self._task: asyncio.Task[None] | None = None
        self.listening = asyncio.Event()

    def start(self) -> None:
        """Listen in the background, if there is something to listen to."""
        if self._url:
            self._task = asyncio.create_task(self._run(), name="gateway-invalidation")

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while True:
            client = redis.asyncio.Redis.from_url(self._url, socket_connect_timeout=2)
            try:
                async with client, client.pubsub() as channel:
                    await channel.subscribe(channel_name())
                    async for message in channel.listen():
                        self._forget()
                        if message["type"] == "subscribe":
                            self.listening.set()
            except (redis.RedisError, OSError) as error:
                self.listening.clear()
                self._forget()
                logger.warning("gateway.forget.not_listening", extra={"reason": str(error)})
            await asyncio.sleep(_RETRY_SECONDS)
