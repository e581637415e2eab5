"""The one guard for outbound calls to addresses that people typed (providers, webhooks, hubs).

A portal that fetches what a user names can be turned against its own network: the cloud's metadata service,
the database next door, another tenant's pod. So an address is refused unless it is public, or an operator
listed it in ``LLMOPS_OUTBOUND_ALLOW``.

The check happens twice. ``check_url`` looks at the text (scheme, credentials, literal addresses) and is
right for form validation: it never connects and never resolves. ``GuardedResolver`` looks at what the name
resolves to *at the moment of connecting* and hands exactly those addresses to the connection, so a name that
changes its answer between the check and the call (DNS rebinding) gains nothing. Redirects must stay off
(``guarded_session`` does not follow them unless asked to, and never silently to another guard).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Shared address space (carrier NAT): not "private" for ``ipaddress``, yet never a public service.
_SHARED = ipaddress.ip_network("100.64.0.0/10")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class OutboundRefused(Exception):
    """The address may not be called. ``str(error)`` names it and says what an operator can do."""


@dataclass(frozen=True, slots=True)
class OutboundPolicy:
    """Which non-public addresses are allowed nevertheless.

    ``networks`` are CIDR blocks, ``hosts`` are lower-case host names (or literal addresses), each optionally
    with a port; an entry without a port allows every port.
    """

    networks: tuple[tuple[IPNetwork, int | None], ...] = ()
    hosts: frozenset[tuple[str, int | None]] = field(default_factory=frozenset)

    @classmethod
    def parse(cls, entries: Iterable[str]) -> OutboundPolicy:
        """Read ``LLMOPS_OUTBOUND_ALLOW`` entries: ``host``, ``host:port``, ``10.0.0.0/8``, ``[::1]:8080``.

        Raises ``ValueError`` naming the entry that cannot be read.
        """
        networks: list[tuple[IPNetwork, int | None]] = []
        hosts: set[tuple[str, int | None]] = set()
        for raw in entries:
            entry = raw.strip().lower()
            if not entry:
                continue
            host, port = _split_port(entry)
            try:
                networks.append((ipaddress.ip_network(host, strict=False), port))
            except ValueError:
                if "/" in host or not host or " " in host:
                    raise ValueError(
                        f"LLMOPS_OUTBOUND_ALLOW: {raw!r} is neither a host name nor an address block"
                    ) from None
                hosts.add((host.rstrip("."), port))
        return cls(tuple(networks), frozenset(hosts))

    def allows_host(self, host: str, port: int) -> bool:
        """Whether the name itself is listed: then its addresses are not looked at."""
        name = host.lower().rstrip(".")
        return (name, None) in self.hosts or (name, port) in self.hosts

    def allows_address(self, address: IPAddress, port: int) -> bool:
        """Whether ``address`` may be connected to: it is public, or lies in a listed block."""
        address = _unwrap(address)
        if is_public(address):
            return True
        return any(
            address.version == network.version and address in network and allowed_port in (None, port)
            for network, allowed_port in self.networks
        )


def _split_port(entry: str) -> tuple[str, int | None]:
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        return host, _port(rest[1:], entry) if rest.startswith(":") else None
    if entry.count(":") == 1:
        host, _, port = entry.partition(":")
        return host, _port(port, entry)
    return entry, None


def _port(text: str, entry: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise ValueError(f"LLMOPS_OUTBOUND_ALLOW: {entry!r} has no valid port")
    return int(text)


def _unwrap(address: IPAddress) -> IPAddress:
    """The IPv4 address inside a mapped, 6to4 or NAT64 one: the disguise must not decide."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_public(address: IPAddress) -> bool:
    """True for an address of the open internet: not private, loopback, link-local, multicast or reserved."""
    address = _unwrap(address)
    if address.version == 4 and address in _SHARED:
        return False
    return address.is_global and not (
        address.is_multicast
        or address.is_reserved
        or address.is_unspecified
        or address.is_loopback
        or address.is_link_local
    )


def _refusal(what: str) -> OutboundRefused:
    return OutboundRefused(f"{what} is not a public address; an operator can allow it in LLMOPS_OUTBOUND_ALLOW.")


def literal_address(host: str) -> IPAddress | None:
    """The address that ``host`` spells, in every spelling the C library takes (``127.1``, ``0x7f000001``)."""
    bare = host.strip("[]").partition("%")[0]
    try:
        return ipaddress.ip_address(bare)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(bare))
    except (OSError, ValueError):
        return None


def check_url(url: str, policy: OutboundPolicy) -> SplitResult:
    """Refuse an address that can be refused by looking at it. Does not resolve and does not connect.

    Returns the parsed URL. Raises ``OutboundRefused`` with a message fit for a form field.
    """
    if any(ord(char) <= 32 or ord(char) == 127 for char in url) or "\\" in url:
        raise OutboundRefused("The address holds blanks or control characters.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise OutboundRefused(f"The address cannot be read: {error}.") from None
    if parts.scheme not in ("http", "https"):
        raise OutboundRefused("The address must start with http:// or https://.")
    if parts.username is not None or parts.password is not None:
        raise OutboundRefused("The address must not hold a user name or password; use the key field.")
    host = parts.hostname
    if not host:
        raise OutboundRefused("The address has no host name.")
    port = port or (443 if parts.scheme == "https" else 80)
    if policy.allows_host(host, port):
        return parts
    address = literal_address(host)
    if address is not None and not policy.allows_address(address, port):
        raise _refusal(host)
    name = host.rstrip(".").lower()
    if address is None and (name == "localhost" or name.endswith(".localhost")):
        loopback = ipaddress.ip_address("127.0.0.1")
        if not policy.allows_address(loopback, port):
            raise _refusal(host)
    return parts


def resolve_allowed(host: str, port: int, policy: OutboundPolicy) -> list[str]:
    """The addresses of *host* that may be connected to, for clients that do not speak aiohttp.

    Whoever connects uses exactly these. Raises ``OutboundRefused`` and, for an unknown name, ``socket.gaierror``.
    """
    rows = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    found = list(dict.fromkeys(str(row[4][0]) for row in rows))
    if policy.allows_host(host, port):
        return found
    for address in found:
        if not policy.allows_address(ipaddress.ip_address(address.partition("%")[0]), port):
            raise _refusal(host)
    return found


class GuardedResolver(AbstractResolver):
    """An aiohttp resolver that hands out allowed addresses only; what it hands out is what is connected to."""

    def __init__(self, policy: OutboundPolicy, inner: AbstractResolver | None = None) -> None:
        self._policy = policy
        self._inner = inner or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The allowed addresses of ``host``. Raises ``OutboundRefused`` when none of them is allowed."""
        found = await self._inner.resolve(host, port, family)
        if self._policy.allows_host(host, port):
            return found
        allowed = [
            result
            for result in found
            if self._policy.allows_address(ipaddress.ip_address(result["host"].partition("%")[0]), port)
        ]
        # One refused address spoils the name: a name that mixes public and private answers is an attack or a
        # mistake, and choosing the public one would depend on the order of the answers.
        if len(allowed) != len(found) or not found:
            raise _refusal(host)
        return allowed

    async def close(self) -> None:
        """Release the resolver behind this one."""
        await self._inner.close()


def guarded_session(policy: OutboundPolicy, **options: Any) -> aiohttp.ClientSession:
    """A client session whose every connection passes the guard.

    Callers still pass each URL through ``check_url`` first: aiohttp does not ask a resolver about literal
    addresses. Environment proxies and cookies are off: neither belongs to the caller's request.
    """
    connector = aiohttp.TCPConnector(resolver=GuardedResolver(policy), use_dns_cache=False, limit=0)
    return aiohttp.ClientSession(connector=connector, trust_env=False, cookie_jar=aiohttp.DummyCookieJar(), **options)
