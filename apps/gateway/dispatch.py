"""The one port's dispatcher: by path to the gateway or to the portal, and the life of both."""

from __future__ import annotations

import logging
from typing import Any, Protocol

from apps.gateway.asgi import Gateway, is_gateway_path
from apps.gateway.http import Receive, Scope, Send

logger = logging.getLogger(__name__)


class AsgiApplication(Protocol):
    """Anything that speaks ASGI."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one connection."""
        ...


class Dispatcher:
    """Sends calls to models to the gateway and all else to the portal.

    The gateway starts with the server and is closed with it: the server ends open calls first (its graceful
    time), then what they used is booked.
    """

    def __init__(self, *, gateway: Gateway, portal: AsgiApplication | None = None) -> None:
        self._gateway = gateway
        self._portal = portal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry."""
        if scope["type"] == "http":
            if self._portal is None or is_gateway_path(scope["path"]):
                await self._gateway(scope, receive, send)
            else:
                await self._portal(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "websocket":
            # Nothing here speaks it; closing before accepting is answered with 403 by the server.
            await receive()
            await send({"type": "websocket.close", "code": 1000})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self._gateway.start()
                except Exception as error:
                    logger.exception("gateway.start.failed")
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                await send({"type": "lifespan.startup.complete"})
            else:
                await self._gateway.close()
                await send({"type": "lifespan.shutdown.complete"})
                return
