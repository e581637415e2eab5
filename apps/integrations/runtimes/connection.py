"""Would this provider answer? One request without cost, and what it showed in a closed set of outcomes."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import aiohttp

from apps.integrations.outbound import OutboundPolicy, OutboundRefused, check_url, guarded_session
from apps.integrations.runtimes.ports import Upstream

ANSWER_LIMIT = 4_194_304  # bytes of a list of models that are read
NAMES_SHOWN = 5
ROUTE = "/v1/models"


class Outcome(StrEnum):
    """What became of the request, from the nearest obstacle to the farthest."""

    OK = "ok"
    ADDRESS_REFUSED = "address_refused"  # the outbound guard does not let it out
    NAME_UNKNOWN = "name_unknown"  # DNS has no address
    REFUSED = "refused"  # nobody listens there
    TLS = "tls"  # no secure connection, or a certificate nobody vouches for
    TIMEOUT = "timeout"
    BROKEN = "broken"  # the connection ended before the answer
    KEY_REFUSED = "key_refused"  # 401
    FORBIDDEN = "forbidden"  # 403
    NO_ROUTE = "no_route"  # something answers, not with OpenAI's routes
    RATE_LIMITED = "rate_limited"  # 429
    PROVIDER_ERROR = "provider_error"  # 5xx and whatever else
    UNREADABLE = "unreadable"  # an answer that is no list of models
    MODEL_UNKNOWN = "model_unknown"  # all well, but no model of that name


@dataclass(frozen=True, slots=True)
class ConnectionReport:
    """``detail`` is one or two sentences with the remedy; latency in milliseconds, 0 where nothing answered."""

    outcome: Outcome
    detail: str
    latency_ms: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether a call would probably work."""
        return self.outcome is Outcome.OK


def connection_probe(upstream: Upstream, *, policy: OutboundPolicy, seconds: float) -> ConnectionReport:
    """Ask *upstream* for its models, through the guard, within *seconds*. Never raises for what a provider does."""
    return asyncio.run(_probe(upstream, policy, seconds))


async def _probe(upstream: Upstream, policy: OutboundPolicy, seconds: float) -> ConnectionReport:
    began = time.perf_counter()
    limits = aiohttp.ClientTimeout(total=seconds, sock_connect=min(5.0, seconds))
    url = upstream.base_url + ROUTE
    try:
        check_url(url, policy)
        async with (
            guarded_session(policy, timeout=limits) as session,
            session.get(url, headers=dict(upstream.headers), allow_redirects=False) as response,
        ):
            raw = await response.content.read(ANSWER_LIMIT + 1)
            while len(raw) <= ANSWER_LIMIT and (more := await response.content.read(ANSWER_LIMIT + 1 - len(raw))):
                raw += more
            status = response.status
    except OutboundRefused as error:
        return ConnectionReport(Outcome.ADDRESS_REFUSED, str(error))
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        return _failure(error, seconds)
    latency = round((time.perf_counter() - began) * 1000, 1)
    if status != 200:
        return _status(status, latency, bool(upstream.headers))
    return _models(raw, upstream.model, latency)


def _failure(error: Exception, seconds: float) -> ConnectionReport:
    if isinstance(error, TimeoutError):
        return ConnectionReport(Outcome.TIMEOUT, f"It did not answer within {seconds:g} seconds.")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return ConnectionReport(Outcome.NAME_UNKNOWN, "The host name has no address. Check base_url.")
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        return ConnectionReport(Outcome.TLS, "Its certificate is not trusted by this portal, or is for another name.")
    if isinstance(error, aiohttp.ClientConnectorSSLError | ssl.SSLError):
        return ConnectionReport(Outcome.TLS, "No secure connection comes about. Does it speak https?")
    if isinstance(error, aiohttp.ClientConnectorError):
        return ConnectionReport(Outcome.REFUSED, "Nothing accepts connections there. Check host and port.")
    return ConnectionReport(Outcome.BROKEN, f"The connection ended before the answer ({type(error).__name__}).")


def _status(status: int, latency: float, key_sent: bool) -> ConnectionReport:
    if status == 401:
        words = "It refuses the API key. Enter a new one." if key_sent else "It wants an API key. Enter one."
        return ConnectionReport(Outcome.KEY_REFUSED, words, latency)
    if status == 403:
        return ConnectionReport(Outcome.FORBIDDEN, "The API key may not list models there (403).", latency)
    if status == 429:
        return ConnectionReport(Outcome.RATE_LIMITED, "It answers, but its quota is used up (429).", latency)
    if status in (404, 405) or 300 <= status < 400:
        words = f"Something answers there, but not {ROUTE} (status {status}). Check the path in base_url."
        return ConnectionReport(Outcome.NO_ROUTE, words, latency)
    return ConnectionReport(Outcome.PROVIDER_ERROR, f"It answers with status {status}.", latency)


def _models(raw: bytes, wanted: str, latency: float) -> ConnectionReport:
    try:
        rows: Any = json.loads(raw)["data"] if len(raw) <= ANSWER_LIMIT else None
        names = [str(row["id"]) for row in rows]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ConnectionReport(Outcome.UNREADABLE, "Its answer is no list of models as OpenAI's API has it.", latency)
    if wanted in names or f"{wanted}:latest" in names:
        return ConnectionReport(Outcome.OK, f"It answers and knows {wanted}.", latency)
    return ConnectionReport(Outcome.MODEL_UNKNOWN, f"It answers, but has no model {wanted}. {_known(names)}", latency)


def _known(names: Sequence[str]) -> str:
    if not names:
        return "It has none at all."
    shown = ", ".join(name[:80] for name in names[:NAMES_SHOWN])
    return f"It has {shown}{' and others' if len(names) > NAMES_SHOWN else ''}."
