"""One call from the checked request to the booked answer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import aiohttp
import orjson

from apps.core.errors import NotFound, Unavailable, ValidationFailed
from apps.gateway import metrics
from apps.gateway.access import Access, Caller
from apps.gateway.bodies import OPENAI, PORTAL, Surface
from apps.gateway.config import GatewayConfig
from apps.gateway.disconnects import CancelOnDisconnect
from apps.gateway.http import Request, Send, send_bytes, start_stream
from apps.gateway.streams import StreamBroken, StreamMeter
from apps.gateway.upstream import UpstreamClient, read_json, translate
from apps.gateway.usage import CallUsage, UsageJournal
from apps.governance.services import usage_record_many
from apps.governance.types import UsageEntry
from apps.integrations.runtimes import Runtime, UnsupportedParameter, Upstream, runtime_get
from apps.serving.types import CallableRoute, EndpointStatus, ServingTarget

#: Rough size of a token, used only where a server did not count (the entry's key says so).
_CHARACTERS_PER_TOKEN = 4


class NotServing(Unavailable):
    """The endpoint exists and nothing of it answers now; ``retry_after`` (seconds) where waiting helps."""

    def __init__(self, message: str, *, retry_after: int | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Invoker:
    """Sends calls to model servers and books what they used."""

    def __init__(self, config: GatewayConfig, access: Access) -> None:
        self._config = config
        self._access = access
        self._client: UpstreamClient | None = None
        self._journal = UsageJournal(config.spool, self._book, period=config.flush_seconds)

    @property
    def max_body_bytes(self) -> int:
        """Largest request body."""
        return self._config.max_body_bytes

    async def start(self) -> None:
        """Open the client and start booking."""
        self._client = UpstreamClient(self._config.outbound, self._config.limits)
        self._journal.start()
        metrics.UNBOOKED.set_function(lambda: self._journal.pending)

    async def close(self) -> None:
        """Book what is left and close connections."""
        await self._journal.close()
        if self._client is not None:
            await self._client.close()

    async def flush(self) -> bool:
        """Book now (tests, shutdown)."""
        return await self._journal.flush()

    async def _book(self, entries: Sequence[UsageEntry]) -> None:
        await self._access.database.run(usage_record_many, entries)

    def bound(self, target: ServingTarget) -> int:
        """Most tokens that one answer of this endpoint may have."""
        return min(target.max_output_tokens or self._config.max_output_tokens, self._config.max_output_tokens)

    async def chat(
        self,
        request: Request,
        send: Send,
        surface: Surface,
        caller: Caller,
        target: ServingTarget,
        params: dict[str, Any],
    ) -> None:
        """Answer a chat request, as a whole or as a stream."""
        runtime = runtime_get(target.runtime)
        upstream = _require_upstream(target)
        stream = bool(params.get("stream"))
        try:
            body = runtime.dialect.chat_body(params, model=upstream.model, stream=stream)
        except UnsupportedParameter as error:
            raise ValidationFailed.field(error.name, "unsupported", error.message) from None
        call = _Call(request, send, surface, caller, target, upstream, params, self._journal)
        await self._run(call, runtime, runtime.dialect.chat_path, body, stream=stream)

    async def completion(
        self,
        request: Request,
        send: Send,
        surface: Surface,
        caller: Caller,
        target: ServingTarget,
        params: dict[str, Any],
    ) -> None:
        """Answer a legacy text completion."""
        runtime = runtime_get(target.runtime)
        upstream = _require_upstream(target)
        stream = bool(params.get("stream"))
        try:
            body = runtime.dialect.completion_body(params, model=upstream.model, stream=stream)
        except UnsupportedParameter as error:
            raise ValidationFailed.field(error.name, "unsupported", error.message) from None
        call = _Call(request, send, surface, caller, target, upstream, params, self._journal)
        await self._run(call, runtime, runtime.dialect.completion_path, body, stream=stream)

    async def _run(self, call: _Call, runtime: Runtime, path: str, body: dict[str, Any], *, stream: bool) -> None:
        if self._client is None:
            raise Unavailable("The gateway is shutting down; try again.")
        response: aiohttp.ClientResponse | None = None
        try:
            async with CancelOnDisconnect(call.request.receive) as connection:
                response = await self._client.post(
                    call.upstream,
                    path,
                    body,
                    typed=call.target.typed_address,
                    call_id=call.request.call_id,
                )
                call.reached = True
                if stream:
                    await call.stream(response, connection)
                else:
                    await call.answer(response, connection)
        finally:
            if response is not None:
                # Closing (not releasing) an unfinished answer ends the connection: the server stops working.
                response.close()
            call.book()

    async def health(self, request: Request, send: Send, target: ServingTarget) -> None:
        """What is known about an endpoint, with a fresh look at its model server."""
        trouble, latency = target.detail, None
        if target.upstream is not None and self._client is not None:
            path = runtime_get(target.runtime).dialect.health_path
            if path is not None:
                began = time.perf_counter()
                trouble = await self._client.alive(target.upstream, path, typed=target.typed_address)
                latency = round((time.perf_counter() - began) * 1000, 1)
        serving = target.upstream is not None and not (latency is not None and trouble)
        status = target.status
        if not serving and status in (EndpointStatus.HEALTHY, EndpointStatus.DEGRADED):
            status = EndpointStatus.DEGRADED.value
        data = {
            "route": f"/llm-ops/v1/serve/{target.route}",
            "environment": target.environment,
            "status": status,
            "serving": serving,
            "statusDetail": trouble,
            "modelName": target.model_name,
            "version": target.model_version,
            "revision": target.revision,
            "lastHealthCheck": target.last_health_check,
            "latencyMs": latency,
        }
        message = f"{target.route} is {status}."
        if serving:
            await send_bytes(send, 200, PORTAL.success(message, data), request_id=request.request_id)
            return
        body = orjson.dumps({"status": "fail", "message": f"{message} {trouble}".strip(), "data": data})
        await send_bytes(send, 503, body, request_id=request.request_id)

    async def models(self, request: Request, send: Send, routes: Sequence[CallableRoute]) -> None:
        """OpenAI's list of models: the routes that the caller may use."""
        seen = {route.route: _model_object(route) for route in reversed(routes)}
        body = orjson.dumps({"object": "list", "data": list(reversed(seen.values()))})
        await send_bytes(send, 200, body, request_id=request.request_id)

    async def model(self, request: Request, send: Send, name: str, routes: Sequence[CallableRoute]) -> None:
        """OpenAI's description of one model."""
        for route in routes:
            if route.route == name:
                await send_bytes(send, 200, orjson.dumps(_model_object(route)), request_id=request.request_id)
                return
        raise NotFound(f"No model named {name[:100]!r} can be called with this token.")


class _Call:
    """The state of one call: what came back, and what it used."""

    def __init__(
        self,
        request: Request,
        send: Send,
        surface: Surface,
        caller: Caller,
        target: ServingTarget,
        upstream: Upstream,
        params: dict[str, Any],
        journal: UsageJournal,
    ) -> None:
        self.request = request
        self.send = send
        self.surface = surface
        self.target = target
        self.upstream = upstream
        self.reached = False
        self._caller = caller
        self._params = params
        self._journal = journal
        self._meter: StreamMeter | None = None
        self._prompt_tokens: int | None = None
        self._completion_tokens: int | None = None
        self._began = time.perf_counter()

    async def answer(self, response: aiohttp.ClientResponse, connection: CancelOnDisconnect) -> None:
        """Pass on a whole answer in the surface's shape."""
        answer = await read_json(response)
        usage = answer.get("usage") if isinstance(answer.get("usage"), dict) else None
        if usage is not None:
            self._prompt_tokens = int(usage.get("prompt_tokens") or 0)
            self._completion_tokens = int(usage.get("completion_tokens") or 0)
        answer["model"] = self.target.route
        connection.answered = True
        if self.surface is OPENAI:
            await send_bytes(self.send, 200, orjson.dumps(answer), request_id=self.request.request_id)
            return
        data = {
            "id": answer.get("id") or self.request.call_id,
            "model": self.target.route,
            "created": answer.get("created"),
            "choices": [_portal_choice(choice) for choice in answer["choices"]],
            "usage": usage,
            "latencyMs": round((time.perf_counter() - self._began) * 1000, 1),
        }
        body = PORTAL.success(f"{self.target.route} answered.", data)
        await send_bytes(self.send, 200, body, request_id=self.request.request_id)

    async def stream(self, response: aiohttp.ClientResponse, connection: CancelOnDisconnect) -> None:
        """Pass on a stream; trouble after the start becomes an event of the stream."""
        if not response.content_type.startswith("text/event-stream"):
            raise StreamBroken("The model server did not answer with a stream.")
        options = self._params.get("stream_options") or {}
        meter = self._meter = StreamMeter(
            route=self.target.route,
            want_usage=self.surface is PORTAL or bool(options.get("include_usage")),
        )
        await start_stream(self.send, request_id=self.request.request_id)
        send, first = self.send, True
        try:
            async for chunk in response.content.iter_any():
                ready = meter.feed(chunk)
                if ready:
                    if first:
                        metrics.FIRST_CHUNK_SECONDS.observe(time.perf_counter() - self._began)
                        first = False
                    await send({"type": "http.response.body", "body": ready, "more_body": True})
            tail = meter.end()
        except StreamBroken as broken:
            tail = broken.partial + self.surface.stream_error(broken)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            tail = self.surface.stream_error(translate(error))
        connection.answered = True
        await send({"type": "http.response.body", "body": tail, "more_body": False})

    def book(self) -> None:
        """Note what the call used; a call that no server accepted used nothing."""
        if not self.reached:
            return
        meter = self._meter
        if meter is not None and meter.counted:
            self._prompt_tokens, self._completion_tokens = meter.prompt_tokens, meter.completion_tokens
        estimated = self._completion_tokens is None
        prompt = self._prompt_tokens if self._prompt_tokens is not None else self._estimate()
        completion = self._completion_tokens or 0
        if estimated:
            completion = meter.events if meter is not None else 0
        metrics.TOKENS.labels("in").inc(prompt)
        metrics.TOKENS.labels("out").inc(completion)
        self._journal.record(
            CallUsage(
                call_id=self.request.call_id,
                endpoint_id=str(self.target.endpoint_id),
                model_id=str(self.target.model_id),
                team_id=str(self.target.team_id),
                user_id=str(self._caller.user_id),
                prompt_tokens=prompt,
                completion_tokens=completion,
                estimated=estimated,
            )
        )

    def _estimate(self) -> int:
        text = self._params.get("messages") or self._params.get("prompt") or ""
        return -(-len(orjson.dumps(text)) // _CHARACTERS_PER_TOKEN)


def _require_upstream(target: ServingTarget) -> Upstream:
    if target.upstream is not None:
        return target.upstream
    raise NotServing(
        f"{target.route} is {target.status} and cannot answer now. {target.detail}".strip(),
        retry_after=5 if target.status == EndpointStatus.DEPLOYING else None,
    )


def _portal_choice(choice: Any) -> dict[str, Any]:
    if not isinstance(choice, dict):
        return {"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": None}
    message = choice.get("message")
    if not isinstance(message, dict):
        message = {"role": "assistant", "content": choice.get("text", "")}
    return {
        "index": choice.get("index", 0),
        "message": message,
        "finish_reason": choice.get("finish_reason"),
    }


def _model_object(route: CallableRoute) -> dict[str, Any]:
    return {"id": route.route, "object": "model", "created": route.created, "owned_by": route.team}
