"""A small real model server over HTTP, with OpenAI's and TGI's routes and every bad habit of real ones.

What it does is chosen by the last message: ordinary text is answered word by word, a text that begins with
``!`` asks for a habit (see ``HABITS``). It runs in a thread of its own with its own event loop.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

ANSWER = "You can reset it in the settings."


class ModelServer:
    """``style``: ``openai`` (usage on request, [DONE]), ``transformers`` (usage unasked, no [DONE]), ``tgi``."""

    def __init__(self, model: str = "model", style: str = "openai") -> None:
        self.model = model
        self.style = style
        #: Bodies of the requests that arrived, in order.
        self.requests: list[dict[str, Any]] = []
        #: Their headers.
        self.headers: list[dict[str, str]] = []
        #: How many streams were ended by the other side.
        self.abandoned = 0
        self.healthy = True
        self.abandoned_event = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()
        self._runner: web.AppRunner | None = None
        self.port = 0

    def start(self) -> ModelServer:
        """Listen on a free port of 127.0.0.1."""
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the model server did not start")
        return self

    @property
    def url(self) -> str:
        """Base address without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Close all connections and end the thread."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._open())
        self._ready.set()
        self._loop.run_forever()

    async def _open(self) -> None:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/completions", self._completion)
        app.router.add_post("/generate", self._generate)
        app.router.add_get("/info", self._info)
        app.router.add_get("/health", self._health)
        app.router.add_get("/v1/models", self._models)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response(status=200 if self.healthy else 503)

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": self.model, "object": "model"}]})

    async def _info(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "model_id": self.model,
                "model_sha": None,
                "max_concurrent_requests": 128,
                "max_best_of": 2,
                "max_stop_sequences": 4,
                "max_input_tokens": 1024,
                "max_total_tokens": 2048,
                "validation_workers": 2,
                "router": "text-generation-router",
                "version": "3.3.5",
                "sha": None,
                "docker_label": None,
                "max_client_batch_size": 4,
            }
        )

    async def _generate(self, request: web.Request) -> web.Response:
        body = await self._note(request)
        words = ANSWER.split()[: body.get("parameters", {}).get("max_new_tokens") or 100]
        return web.json_response(
            {
                "generated_text": " ".join(words),
                "details": {
                    "finish_reason": "length",
                    "generated_tokens": len(words),
                    "seed": None,
                    "prefill": [
                        {"id": number, "text": word, "logprob": -1.0}
                        for number, word in enumerate(body["inputs"].split())
                    ],
                    "tokens": [],
                },
            }
        )

    async def _note(self, request: web.Request) -> dict[str, Any]:
        body = await request.json()
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        return dict(body)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await self._note(request)
        content = body["messages"][-1]["content"]
        if not isinstance(content, str):
            content = " ".join(part["text"] for part in content)
        return await self._respond(request, body, content, chat=True)

    async def _completion(self, request: web.Request) -> web.StreamResponse:
        body = await self._note(request)
        return await self._respond(request, body, body["prompt"], chat=False)

    async def _respond(
        self, request: web.Request, body: dict[str, Any], content: str, *, chat: bool
    ) -> web.StreamResponse:
        if content.startswith("!"):
            name, _, argument = content[1:].partition(" ")
            habit: Callable[..., Awaitable[web.StreamResponse]] = getattr(self, f"_habit_{name}")
            return await habit(request, body, argument)
        if self.style == "tgi" and (body.get("temperature") == 0 or body.get("top_p", 0.5) >= 1):
            return web.json_response(
                {
                    "error": "Input validation error: `temperature` must be strictly positive",
                    "error_type": "validation",
                },
                status=422,
            )
        words = ANSWER.split()[: body.get("max_tokens") or 500]
        usage = {
            "prompt_tokens": len(content.split()),
            "completion_tokens": len(words),
            "total_tokens": len(content.split()) + len(words),
        }
        if not body.get("stream"):
            return web.json_response(self._whole(" ".join(words), usage, chat=chat))
        response = await self._begin(request)
        for number, word in enumerate(words):
            await self._send(response, self._chunk((" " if number else "") + word, chat=chat))
        await self._finish(response, body, usage, chat=chat)
        return response

    async def _finish(
        self, response: web.StreamResponse, body: dict[str, Any], usage: dict[str, int], *, chat: bool
    ) -> None:
        last = self._chunk("", finish="stop", chat=chat)
        if self.style == "transformers":
            last["usage"] = usage
            await self._send(response, last)
            return
        await self._send(response, last)
        if (body.get("stream_options") or {}).get("include_usage"):
            await self._send(response, {**self._chunk("", chat=chat), "choices": [], "usage": usage})
        await response.write(b"data: [DONE]\n\n")

    def _whole(self, text: str, usage: dict[str, int], *, chat: bool) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
        if chat:
            choice["message"] = {"role": "assistant", "content": text}
        else:
            choice["text"] = text
        kind = "chat.completion" if chat else "text_completion"
        return {
            "id": "up-1",
            "object": kind,
            "created": 1,
            "model": self.model,
            "choices": [choice],
            "usage": usage,
        }

    def _chunk(self, text: str, *, finish: str | None = None, chat: bool = True) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": 0}
        if chat:
            choice["delta"] = {"content": text} if text else {}
        else:
            choice["text"] = text
        choice["finish_reason"] = finish
        kind = "chat.completion.chunk" if chat else "text_completion"
        chunk = {"id": "up-1", "object": kind, "created": 1, "model": self.model, "choices": [choice]}
        if self.style == "transformers" and finish is None:
            del choice["finish_reason"]
        return chunk

    @staticmethod
    async def _begin(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        return response

    @staticmethod
    async def _send(response: web.StreamResponse, chunk: dict[str, Any]) -> None:
        await response.write(b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n")

    # Habits: what the text after "!" asks for.

    async def _habit_status(self, request: web.Request, body: dict[str, Any], argument: str) -> web.Response:
        """Answer with that status and a reason that names the model as the server knows it."""
        return web.json_response(
            {"error": {"message": f"no: {self.model}"}}, status=int(argument), headers={"Retry-After": "7"}
        )

    async def _habit_html(self, request: web.Request, body: dict[str, Any], argument: str) -> web.Response:
        """Answer 200 with a page."""
        return web.Response(text="<h1>hello</h1>", content_type="text/html")

    async def _habit_empty(self, request: web.Request, body: dict[str, Any], argument: str) -> web.Response:
        """Answer 200 without choices."""
        return web.json_response({"choices": []})

    async def _habit_die(self, request: web.Request, body: dict[str, Any], argument: str) -> web.StreamResponse:
        """Drop the connection after three chunks."""
        response = await self._begin(request)
        for word in ("one", " two", " three"):
            await self._send(response, self._chunk(word))
        if request.transport is not None:
            request.transport.abort()
        return response

    async def _habit_stop(self, request: web.Request, body: dict[str, Any], argument: str) -> web.StreamResponse:
        """End the stream politely in the middle: no finish reason, no [DONE]."""
        response = await self._begin(request)
        await self._send(response, self._chunk("one"))
        return response

    async def _habit_error(self, request: web.Request, body: dict[str, Any], argument: str) -> web.StreamResponse:
        """Two chunks, then an error event, all in one write."""
        response = await self._begin(request)
        parts = [self._chunk("one"), self._chunk(" two"), {"error": "out of memory"}]
        await response.write(b"".join(b"data: " + json.dumps(part).encode() + b"\n\n" for part in parts))
        return response

    async def _habit_garbage(self, request: web.Request, body: dict[str, Any], argument: str) -> web.StreamResponse:
        """An event that says [DONE] in the middle of nonsense."""
        response = await self._begin(request)
        await response.write(b'data: {"usage":{ nonsense\n\n')
        return response

    async def _habit_huge(self, request: web.Request, body: dict[str, Any], argument: str) -> web.StreamResponse:
        """One event of two mebibytes without an end."""
        response = await self._begin(request)
        await response.write(b"data: " + b"x" * (2 * 1024 * 1024))
        return response

    async def _habit_split(self, request: web.Request, body: dict[str, Any], argument: str) -> web.StreamResponse:
        """A good stream, one byte per write, with CRLF line ends."""
        response = await self._begin(request)
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        events = [self._chunk("größe"), self._chunk(" ok", finish="stop")]
        text = b"".join(b"data: " + json.dumps(event).encode() + b"\r\n\r\n" for event in events)
        text += b"data: " + json.dumps({**self._chunk(""), "choices": [], "usage": usage}).encode() + b"\r\n\r\n"
        for byte in text + b"data: [DONE]\r\n\r\n":
            await response.write(bytes([byte]))
        return response

    async def _habit_endless(self, request: web.Request, body: dict[str, Any], argument: str) -> web.StreamResponse:
        """Chunks for ever, until the other side goes away."""
        response = await self._begin(request)
        try:
            while True:
                await self._send(response, self._chunk("word "))
                await asyncio.sleep(0.005)
        except (asyncio.CancelledError, ConnectionError):
            self.abandoned += 1
            self.abandoned_event.set()
            raise

    async def _habit_hang(self, request: web.Request, body: dict[str, Any], argument: str) -> web.StreamResponse:
        """Never answer."""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.abandoned += 1
            self.abandoned_event.set()
            raise
        return web.Response()
