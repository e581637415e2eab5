"""Asking a model server whether it lives and whether it answers. Used by tasks, never on the gateway's path."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import aiohttp

from apps.integrations.outbound import OutboundPolicy, OutboundRefused, check_url, guarded_session
from apps.integrations.runtimes.ports import Dialect, Upstream

_QUESTION = {"role": "user", "content": "Hello"}
_FAILURES = (TimeoutError, aiohttp.ClientError, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """``ok`` or what is wrong in one sentence; ``permanent``: asking again will not help."""

    ok: bool
    detail: str = ""
    latency_ms: float = 0.0
    permanent: bool = False


def check_health(upstream: Upstream, path: str, *, policy: OutboundPolicy | None, seconds: float) -> ProbeResult:
    """``GET`` the health route. ``policy`` is given for addresses that people typed. ``seconds`` bounds the wait."""
    return asyncio.run(_get(upstream, path, policy, seconds))


def warm_up(
    upstream: Upstream, dialect: Dialect, *, policy: OutboundPolicy | None, seconds: float, temperature: float
) -> ProbeResult:
    """Have the server produce a few tokens, so that whatever it does on its first request is done.

    A server that cannot chat (no chat template) is asked to complete a text instead; it is ready for that.
    """
    return asyncio.run(_warm_up(upstream, dialect, policy, seconds, temperature))


def _session(policy: OutboundPolicy | None, seconds: float) -> aiohttp.ClientSession:
    limits = aiohttp.ClientTimeout(total=seconds, sock_connect=min(5.0, seconds))
    if policy is not None:
        return guarded_session(policy, timeout=limits)
    return aiohttp.ClientSession(timeout=limits, trust_env=False)


async def _get(upstream: Upstream, path: str, policy: OutboundPolicy | None, seconds: float) -> ProbeResult:
    began = time.perf_counter()
    try:
        if policy is not None:
            check_url(upstream.base_url + path, policy)
        async with (
            _session(policy, seconds) as session,
            session.get(upstream.base_url + path, headers=dict(upstream.headers), allow_redirects=False) as response,
        ):
            await response.read()
            status = response.status
    except OutboundRefused as error:
        return ProbeResult(False, str(error), permanent=True)
    except _FAILURES as error:
        return ProbeResult(False, _words(error))
    latency = (time.perf_counter() - began) * 1000
    if status < 300:
        return ProbeResult(True, latency_ms=latency)
    return ProbeResult(False, _status_words(status), latency, permanent=status in (401, 403))


async def _warm_up(
    upstream: Upstream,
    dialect: Dialect,
    policy: OutboundPolicy | None,
    seconds: float,
    temperature: float,
) -> ProbeResult:
    options = {"temperature": temperature, "max_tokens": 4}
    chat = dialect.chat_body({"messages": [_QUESTION], **options}, model=upstream.model, stream=False)
    text = dialect.completion_body({"prompt": "Hello", **options}, model=upstream.model, stream=False)
    async with _session(policy, seconds) as session:
        first = await _post(session, upstream, dialect.chat_path, chat)
        if first.ok or not first.permanent:
            return first
        second = await _post(session, upstream, dialect.completion_path, text)
        if second.ok:
            return ProbeResult(True, "It has no chat template: only /v1/completions answers.", second.latency_ms)
        return first


async def _post(session: aiohttp.ClientSession, upstream: Upstream, path: str, body: dict[str, Any]) -> ProbeResult:
    began = time.perf_counter()
    try:
        async with session.post(
            upstream.base_url + path, json=body, headers=dict(upstream.headers), allow_redirects=False
        ) as response:
            answer = await response.read()
            status = response.status
    except _FAILURES as error:
        return ProbeResult(False, _words(error))
    latency = (time.perf_counter() - began) * 1000
    if status == 200 and b'"choices"' in answer:
        return ProbeResult(True, latency_ms=latency)
    return ProbeResult(False, f"Its first answer failed: {_status_words(status)}", latency, permanent=status != 503)


def _status_words(status: int) -> str:
    if status in (401, 403):
        return f"it refuses the stored key ({status})."
    return f"it answers with status {status}."


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "It did not answer in time."
    if isinstance(error, aiohttp.ClientConnectorError):
        return "It cannot be connected to."
    return f"The connection failed ({type(error).__name__})."
