"""The gateway: a raw ASGI application beside Django's request cycle.

It answers calls to models on two surfaces, the portal's (``/llm-ops/v1/serve``, ``/llm-ops/v1/inference``) and
OpenAI's (``/v1``). Per call it costs two cached lookups, one connection to the model server, and one line in
the usage journal; bytes of a stream are passed on as they come.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

import structlog

from apps.core.errors import DomainError, InfrastructureError, NotFound
from apps.gateway import metrics
from apps.gateway.access import Access
from apps.gateway.bodies import OPENAI, PORTAL, Surface
from apps.gateway.config import GatewayConfig
from apps.gateway.http import ClientGone, Message, Receive, Request, Scope, Send, send_bytes
from apps.gateway.invocations import Invoker
from apps.gateway.parameters import chat_parameters, completion_parameters

logger = structlog.get_logger(__name__)

SERVE = "/llm-ops/v1/serve/"
INFERENCE = "/llm-ops/v1/inference/"
OPENAI_PREFIX = "/v1/"

Handler = Callable[[Request, Send], Awaitable[None]]


class MethodNotAllowed(DomainError):
    """The path exists, the verb does not."""

    status_code = 405


class Crashed(DomainError):
    """An error of ours. What happened is in the log, under the request id that the answer carries."""

    status_code = 500
    default_code = "internal_error"

    def __init__(self) -> None:
        super().__init__("Something went wrong on our side; the request id helps to find it.")


def is_gateway_path(path: str) -> bool:
    """Whether a request belongs to the gateway rather than to Django."""
    return path.startswith((OPENAI_PREFIX, SERVE, INFERENCE))


class Gateway:
    """One instance per process. ``start`` and ``close`` frame its life (ASGI lifespan)."""

    def __init__(self, config: GatewayConfig | None = None) -> None:
        self._config = config
        self._starting = asyncio.Lock()
        self._access: Access | None = None
        self._invoker: Invoker | None = None

    async def start(self) -> None:
        """Open connections and take over what an earlier process left unbooked. Idempotent."""
        async with self._starting:
            if self._access is not None:
                return
            config = self._config or GatewayConfig.from_settings()
            self._config = config
            access = Access(config)
            await access.start()
            self._invoker = Invoker(config, access)
            await self._invoker.start()
            self._access = access

    async def close(self) -> None:
        """Book all usage, then close connections."""
        async with self._starting:
            if self._invoker is not None:
                await self._invoker.close()
            if self._access is not None:
                await self._access.close()
            self._access = self._invoker = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Whatever happens, the answer has the shape of its surface."""
        if self._access is None:
            await self.start()
        started = time.perf_counter()
        request = Request(scope, receive)
        surface: Surface = OPENAI if request.path.startswith(OPENAI_PREFIX) else PORTAL
        watched = _Watched(send)
        metrics.IN_FLIGHT.inc()
        try:
            await self._handler(request)(request, watched)
        except ClientGone:
            metrics.ABANDONED.inc()
            watched.status = 499
        except DomainError as error:
            await _refuse(watched, surface, error, request)
        except Exception:  # the last line of defence: a crash is logged and answered, never shown
            logger.exception("gateway.request.crashed", request_id=request.request_id, path=request.path)
            await _refuse(watched, surface, Crashed(), request)
        finally:
            metrics.IN_FLIGHT.dec()
            elapsed = time.perf_counter() - started
            metrics.REQUESTS.labels(surface.name, str(watched.status)).inc()
            metrics.SECONDS.labels(surface.name).observe(elapsed)
            logger.info(
                "gateway.request.answered",
                request_id=request.request_id,
                method=request.method,
                path=request.path,
                status=watched.status,
                milliseconds=round(elapsed * 1000, 2),
                actor=request.actor,
            )

    def _handler(self, request: Request) -> Handler:
        path, method = request.path, request.method
        if path.startswith(SERVE):
            route, _, action = unquote(path[len(SERVE) :]).partition("/")
            if action == "chat":
                return _only("POST", method, self._serve_chat)
            if action == "health":
                return _only("GET", method, self._serve_health)
            raise NotFound(f"Nothing is at {SERVE}{route[:100]}/{action[:100]}; use …/chat or …/health.")
        if path.startswith(INFERENCE) and len(path) > len(INFERENCE):
            return _only("POST", method, self._inference)
        if path == "/v1/chat/completions":
            return _only("POST", method, self._openai_chat)
        if path == "/v1/completions":
            return _only("POST", method, self._openai_completion)
        if path == "/v1/models":
            return _only("GET", method, self._openai_models)
        if path.startswith("/v1/models/"):
            return _only("GET", method, self._openai_model)
        raise NotFound(f"Nothing is at {path[:200]}.")

    async def _serve_chat(self, request: Request, send: Send) -> None:
        access, invoker = self._parts()
        caller = await access.caller(request)
        route = unquote(request.path[len(SERVE) :]).partition("/")[0]
        target = await access.target(caller, route, request.query.get("environment"))
        body = await request.json_object(invoker.max_body_bytes)
        params = chat_parameters(body, max_output_tokens=invoker.bound(target), portal=True)
        await invoker.chat(request, send, PORTAL, caller, target, params)

    async def _inference(self, request: Request, send: Send) -> None:
        access, invoker = self._parts()
        caller = await access.caller(request)
        name = unquote(request.path[len(INFERENCE) :])
        target = await access.target_of_model(caller, name, request.query.get("environment"))
        body = await request.json_object(invoker.max_body_bytes)
        params = chat_parameters(body, max_output_tokens=invoker.bound(target), portal=True)
        await invoker.chat(request, send, PORTAL, caller, target, params)

    async def _serve_health(self, request: Request, send: Send) -> None:
        access, invoker = self._parts()
        caller = await access.caller(request)
        route = unquote(request.path[len(SERVE) :]).partition("/")[0]
        target = await access.target(caller, route, request.query.get("environment"))
        await invoker.health(request, send, target)

    async def _openai_chat(self, request: Request, send: Send) -> None:
        access, invoker = self._parts()
        caller = await access.caller(request)
        body = await request.json_object(invoker.max_body_bytes)
        target = await access.target_named(caller, body.get("model"), request.query.get("environment"))
        params = chat_parameters(body, max_output_tokens=invoker.bound(target), portal=False)
        await invoker.chat(request, send, OPENAI, caller, target, params)

    async def _openai_completion(self, request: Request, send: Send) -> None:
        access, invoker = self._parts()
        caller = await access.caller(request)
        body = await request.json_object(invoker.max_body_bytes)
        target = await access.target_named(caller, body.get("model"), request.query.get("environment"))
        params = completion_parameters(body, max_output_tokens=invoker.bound(target))
        await invoker.completion(request, send, OPENAI, caller, target, params)

    async def _openai_models(self, request: Request, send: Send) -> None:
        access, invoker = self._parts()
        caller = await access.caller(request)
        await invoker.models(request, send, await access.routes(caller))

    async def _openai_model(self, request: Request, send: Send) -> None:
        access, invoker = self._parts()
        caller = await access.caller(request)
        name = unquote(request.path[len("/v1/models/") :])
        await invoker.model(request, send, name, await access.routes(caller))

    def _parts(self) -> tuple[Access, Invoker]:
        if self._access is None or self._invoker is None:
            raise InfrastructureError("The gateway is shutting down; try again.")
        return self._access, self._invoker


class _Watched:
    """``send``, remembering what was answered: an error after the start cannot change the status any more."""

    __slots__ = ("_send", "started", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.status = int(str(message["status"]))
        await self._send(message)


def _only(wanted: str, method: str, handler: Handler) -> Handler:
    if method != wanted:
        raise MethodNotAllowed(f"Use {wanted} here, not {method[:20]}.")
    return handler


async def _refuse(send: _Watched, surface: Surface, error: DomainError, request: Request) -> None:
    if send.started:
        # The status is gone; the invoker has put the error into the stream where it could.
        logger.warning("gateway.request.broken", request_id=request.request_id, reason=error.message)
        return
    headers = []
    retry_after = getattr(error, "retry_after", None)
    if retry_after:
        headers.append((b"retry-after", str(int(retry_after)).encode()))
    if error.status_code == 401:
        headers.append((b"www-authenticate", b'Bearer realm="llm-ops"'))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", error.message.split()[1].encode()))
    await send_bytes(
        send,
        error.status_code,
        surface.error(error, request.request_id),
        request_id=request.request_id,
        headers=headers,
    )
