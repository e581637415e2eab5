"""Calls to model servers: connections, time limits, and what a server's failure means to the caller."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp
import orjson

from apps.core.errors import (
    DomainError,
    InfrastructureError,
    RateLimited,
    Unavailable,
    ValidationFailed,
)
from apps.integrations.outbound import OutboundPolicy, OutboundRefused, check_url, guarded_session
from apps.integrations.runtimes import Upstream

logger = logging.getLogger(__name__)

#: uvicorn, which most model servers run on, closes idle connections after five seconds; a connection that we
#: give up earlier is never written to while the server is closing it.
_KEEPALIVE_SECONDS = 3.0
_MAX_ANSWER_BYTES = 32 * 1024 * 1024


class UpstreamTimeout(InfrastructureError):
    """The model server was silent for too long."""

    status_code = 504


@dataclass(frozen=True, slots=True)
class UpstreamLimits:
    """Seconds: to connect, and of silence while waiting for the (next piece of the) answer."""

    connect_seconds: float = 5.0
    silence_seconds: float = 300.0


class UpstreamClient:
    """Two pools of connections: to servers that we started, and (guarded) to those that people typed."""

    def __init__(self, policy: OutboundPolicy, limits: UpstreamLimits) -> None:
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=limits.connect_seconds, sock_read=limits.silence_seconds
        )
        self._policy = policy
        self._limits = limits
        self._own = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_SECONDS),
            timeout=timeout,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._typed = guarded_session(policy, timeout=timeout)

    async def close(self) -> None:
        """Close all connections."""
        await self._own.close()
        await self._typed.close()

    async def post(
        self, upstream: Upstream, path: str, body: dict[str, Any], *, typed: bool, call_id: str
    ) -> aiohttp.ClientResponse:
        """Send a request and return the answer once its head is there; the caller closes it.

        ``typed``: a person typed the address, so it goes through the guard. A server that closes a kept
        connection in the moment of writing is asked once more. Raises the ``DomainError`` to answer with.
        """
        url = upstream.base_url + path
        headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "X-Request-ID": call_id,
            **upstream.headers,
        }
        session = self._typed if typed else self._own
        payload = orjson.dumps(body)
        try:
            if typed:
                check_url(url, self._policy)
            try:
                response = await session.post(url, data=payload, headers=headers, allow_redirects=False)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                if isinstance(error, aiohttp.ClientConnectorError) or typed:
                    raise
                response = await session.post(url, data=payload, headers=headers, allow_redirects=False)
        except OutboundRefused as error:
            raise InfrastructureError(f"The model's address may not be called: {error}") from None
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise translate(error) from None
        if response.status != HTTPStatus.OK:
            try:
                raise await refusal(response, typed=typed, hide=upstream.model)
            finally:
                response.close()
        return response

    async def alive(self, upstream: Upstream, path: str, *, typed: bool) -> str:
        """Ask the health route; empty when it answers well, else what is wrong."""
        session = self._typed if typed else self._own
        try:
            if typed:
                check_url(upstream.base_url + path, self._policy)
            async with session.get(
                upstream.base_url + path,
                headers=dict(upstream.headers),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._limits.connect_seconds),
            ) as response:
                if response.status < HTTPStatus.BAD_REQUEST:
                    return ""
                return f"The model server's health route answers {response.status}."
        except OutboundRefused as error:
            return str(error)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            return translate(error).message


async def read_json(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """The whole answer as a JSON object. Raises ``InfrastructureError`` for anything else."""
    try:
        parts, size = [], 0
        async for part in response.content.iter_any():
            parts.append(part)
            size += len(part)
            if size > _MAX_ANSWER_BYTES:
                raise InfrastructureError("The model server's answer is larger than 32 MiB; it was dropped.")
        answer = orjson.loads(b"".join(parts))
    except orjson.JSONDecodeError:
        raise InfrastructureError("The model server answered with something that is not JSON.") from None
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise translate(error) from None
    if not isinstance(answer, dict) or not isinstance(answer.get("choices"), list) or not answer["choices"]:
        raise InfrastructureError("The model server's answer holds no choices.")
    return answer


def translate(error: Exception) -> DomainError:
    """What a failed connection means to the caller; addresses of our own network are not told."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return Unavailable("The model server cannot be reached (no connection in time); try again shortly.")
    if isinstance(error, TimeoutError):
        return UpstreamTimeout("The model server did not answer in time; ask for fewer tokens or try again.")
    if isinstance(error, aiohttp.ClientConnectorError):
        if isinstance(error.__cause__, OutboundRefused):
            return InfrastructureError(f"The model's address may not be called: {error.__cause__}")
        return Unavailable("The model server cannot be reached; it may be starting again. Try again shortly.")
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError):
        return InfrastructureError("The model server broke off in the middle of the answer.")
    return InfrastructureError("The connection to the model server failed.")


async def refusal(response: aiohttp.ClientResponse, *, typed: bool, hide: str) -> DomainError:
    """What an error status of the model server means to the caller.

    ``hide`` is the server's name for its model (with some, a path of the serving machine): it is not told.
    """
    status = response.status
    said = (await _message(response)).replace(hide, "the model")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) and typed:
        return InfrastructureError("The provider refused the key that is stored for this model; renew it.")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        retry = response.headers.get("Retry-After", "")
        return RateLimited(
            f"The model server is busy: {said}" if said else "The model server is busy; try again shortly.",
            retry_after=int(retry) if retry.isdigit() else 1,
        )
    if status in (
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ):
        return ValidationFailed(f"The model server refused the request: {said or 'no reason given'}")
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return Unavailable(f"The model server is not ready: {said or 'no reason given'}")
    logger.warning("gateway.upstream.error", extra={"upstream_status": status, "said": said})
    return InfrastructureError(f"The model server answered {status}{': ' + said if said else '.'}")


async def _message(response: aiohttp.ClientResponse) -> str:
    """The server's own words, at most 300 characters, in whichever of the usual shapes they come."""
    try:
        raw = await response.content.read(16 * 1024)
        parsed = orjson.loads(raw)
    except (orjson.JSONDecodeError, TimeoutError, aiohttp.ClientError, OSError):
        return ""
    if not isinstance(parsed, dict):
        return ""
    error = parsed.get("error", parsed.get("detail", parsed.get("message", "")))
    if isinstance(error, dict):
        error = error.get("message", "")
    if isinstance(error, list):
        error = "; ".join(str(item.get("msg", item)) if isinstance(item, dict) else str(item) for item in error)
    return " ".join(str(error).split())[:300]
