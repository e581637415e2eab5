"""The guard for addresses that people type: what it refuses, in every disguise, and what operators can allow."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from apps.integrations.outbound import (
    GuardedResolver,
    OutboundPolicy,
    OutboundRefused,
    check_url,
    guarded_session,
)
from tests.support.model_server import ModelServer

NOTHING = OutboundPolicy.parse([])


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://0.0.0.0/",
        "http://localhost/",
        "http://LOCALHOST./",
        "http://a.localhost:8080/",
        "http://10.1.2.3/",
        "http://172.16.0.1/",
        "http://192.168.1.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://100.64.0.1/",
        "http://224.0.0.1/",
        "http://[::1]/",
        "http://[::]/",
        "http://[fe80::1]/",
        "http://[fc00::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[2002:7f00:1::]/",
        "http://[64:ff9b::7f00:1]/",
        "http://user:secret@8.8.8.8/",
        "ftp://8.8.8.8/",
        "file:///etc/passwd",
        "gopher://8.8.8.8/",
        "//8.8.8.8/",
        "http:///nothing",
        "http://8.8.8.8:99999/",
        "http://8.8.8.8\\@127.0.0.1/",
        "http://8.8.8.8/\r\nHost: x",
        "",
    ],
)
def test_private_and_broken_addresses_are_refused(url: str) -> None:
    """P-2: private, local and disguised addresses and odd schemes are refused by looking at them."""
    with pytest.raises(OutboundRefused):
        check_url(url, NOTHING)


@pytest.mark.parametrize("url", ["https://api.openai.com/v1", "http://8.8.8.8:8080/x", "https://[2606:4700::1111]/"])
def test_public_addresses_pass(url: str) -> None:
    """P-2: the open internet may be named."""
    assert check_url(url, NOTHING).hostname


@pytest.mark.parametrize(
    ("allow", "url", "passes"),
    [
        ("127.0.0.0/8", "http://127.0.0.1:11434/", True),
        ("127.0.0.1:11434", "http://127.0.0.1:11434/", True),
        ("127.0.0.1:11434", "http://127.0.0.1:22/", False),
        ("localhost", "http://localhost:11434/", True),
        ("localhost:11434", "http://localhost:80/", False),
        ("10.0.0.0/8", "http://192.168.0.1/", False),
        ("[::1]:8080", "http://[::1]:8080/", True),
        ("[::1]:8080", "http://[::1]:8081/", False),
    ],
)
def test_operators_can_allow(allow: str, url: str, passes: bool) -> None:
    """P-4: LLMOPS_OUTBOUND_ALLOW takes hosts, blocks and ports."""
    policy = OutboundPolicy.parse([allow])
    if passes:
        check_url(url, policy)
    else:
        with pytest.raises(OutboundRefused, match="LLMOPS_OUTBOUND_ALLOW"):
            check_url(url, policy)


@pytest.mark.parametrize("entry", ["10.0.0.0/99", "host:port", "two words", "host:0"])
def test_a_bad_entry_is_named(entry: str) -> None:
    """P-4: a wrong value stops with a sentence that names it."""
    with pytest.raises(ValueError, match="LLMOPS_OUTBOUND_ALLOW"):
        OutboundPolicy.parse([entry])


class Lying(AbstractResolver):
    """Answers what it is told to."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The planned answers."""
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
            for address in self._addresses
        ]

    async def close(self) -> None:
        """Nothing to close."""


def resolved(policy: OutboundPolicy, name: str, *answers: str) -> list[ResolveResult]:
    """What the guard lets through of a name's answers."""
    return asyncio.run(GuardedResolver(policy, Lying(*answers)).resolve(name, 80))


def test_a_public_name_with_a_private_address_is_refused() -> None:
    """P-2: what counts is what the name resolves to at the moment of connecting; mixed answers are refused."""
    for answers in (["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], []):
        with pytest.raises(OutboundRefused):
            resolved(NOTHING, "rebinding.example", *answers)
    assert resolved(NOTHING, "good.example", "8.8.8.8")
    assert resolved(OutboundPolicy.parse(["models.internal"]), "models.internal", "10.0.0.1")


def test_a_session_never_connects_to_a_private_answer() -> None:
    """P-2: nothing is sent: the connection to the refused address is never opened."""

    async def status(policy: OutboundPolicy, url: str) -> int:
        async with guarded_session(policy) as session, session.get(url) as answer:
            return answer.status

    server = ModelServer().start()
    url = f"http://localhost:{server.port}/health"
    try:
        with pytest.raises(OutboundRefused):
            asyncio.run(status(NOTHING, url))
        assert asyncio.run(status(OutboundPolicy.parse(["127.0.0.1", "::1"]), url)) == 200
    finally:
        server.stop()
