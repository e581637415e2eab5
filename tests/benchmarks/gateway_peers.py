"""The other ends of the gateway's benchmark: a model server that answers at once, and a bare proxy to compare with."""

from __future__ import annotations

import os
from typing import Any

import aiohttp

_CHUNK = (
    b'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
    b'{"content":"word "},"finish_reason":null}]}\n\n'
)
_LAST = (
    b'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":64,"total_tokens":69}}\n\n'
)
_WHOLE = (
    b'{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":'
    b'"assistant","content":"' + b"word " * 64 + b'"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,'
    b'"completion_tokens":64,"total_tokens":69}}'
)
CHUNKS = 64


async def _body(receive: Any) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def model_server(scope: Any, receive: Any, send: Any) -> None:
    """64 chunks or one answer, without any thinking."""
    if scope["type"] != "http":
        return
    body = await _body(receive)
    stream = b'"stream":true' in body
    kind = b"text/event-stream" if stream else b"application/json"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    if not stream:
        await send({"type": "http.response.body", "body": _WHOLE})
        return
    for _ in range(CHUNKS):
        await send({"type": "http.response.body", "body": _CHUNK, "more_body": True})
    await send({"type": "http.response.body", "body": _LAST})


class BareProxy:
    """Raw ASGI and aiohttp, nothing else: no token, no route, no metering. The floor."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass everything on."""
        if scope["type"] != "http":
            return
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        body = await _body(receive)
        async with self._session.post(
            os.environ["BENCH_UPSTREAM"] + "/v1/chat/completions",
            data=body,
            headers={"Content-Type": "application/json"},
        ) as answer:
            kind = answer.headers["Content-Type"].encode()
            await send({"type": "http.response.start", "status": answer.status, "headers": [(b"content-type", kind)]})
            async for chunk in answer.content.iter_any():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


bare_proxy = BareProxy()
