"""``huggingface_hub``'s HTTP client with every connection behind the outbound guard.

The library shares one client per process and lets an application say how it is made. The guard sits where a
connection is opened: what a name resolves to is checked there, and exactly the checked address is connected to, for
the hub and for whatever it redirects to.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Any

import httpcore2
import httpx2
from huggingface_hub import set_client_factory

from apps.integrations.outbound import OutboundPolicy, resolve_allowed

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 60.0


class NameUnknown(httpcore2.ConnectError):
    """The host name does not resolve."""


class GuardedBackend(httpcore2.NetworkBackend):
    """Opens TCP connections to allowed addresses only."""

    def __init__(self, policy: Callable[[], OutboundPolicy]) -> None:
        self._policy = policy
        self._inner = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """Resolve, check, connect. Raises ``OutboundRefused``, ``NameUnknown``, or what connecting raises."""
        try:
            addresses = resolve_allowed(host, port, self._policy())
        except socket.gaierror as error:
            raise NameUnknown(f"{host} has no address") from error
        failure: Exception = NameUnknown(f"{host} has no address")
        for address in addresses:
            try:
                return self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore2.ConnectError as error:
                failure = error
        raise failure

    def connect_unix_socket(self, *args: Any, **kwargs: Any) -> httpcore2.NetworkStream:
        """A hub is never behind one."""
        raise httpcore2.UnsupportedProtocol("unix sockets are not used here")


class GuardedTransport(httpx2.HTTPTransport):
    """HTTP over the guarded backend; proxies of the environment are left out, as everywhere behind the guard."""

    def __init__(self, policy: Callable[[], OutboundPolicy]) -> None:
        super().__init__(trust_env=False)
        self._pool.close()
        self._pool = httpcore2.ConnectionPool(
            ssl_context=httpx2.create_ssl_context(trust_env=False),
            network_backend=GuardedBackend(policy),
            max_connections=8,
        )


def install_guard(policy: Callable[[], OutboundPolicy]) -> None:
    """Make every synchronous request of ``huggingface_hub`` in this process pass the guard."""

    def client() -> httpx2.Client:
        return httpx2.Client(
            transport=GuardedTransport(policy),
            follow_redirects=True,
            max_redirects=5,
            trust_env=False,
            timeout=httpx2.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS),
        )

    set_client_factory(client)
