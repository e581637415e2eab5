"""A gateway on a real port, a model server behind it, and clients with tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from apps.accounts.models import User
from apps.accounts.services import token_issue
from apps.core import clock
from apps.core.permissions import Scope
from apps.gateway.asgi import Gateway
from apps.gateway.config import GatewayConfig
from apps.gateway.dispatch import Dispatcher
from apps.gateway.upstream import UpstreamLimits
from apps.serving.models import Endpoint
from tests.catalog.support import make_model
from tests.serving.support import answering_endpoint, approve
from tests.support.asgi_server import AsgiServer
from tests.support.cast import Cast
from tests.support.model_server import ModelServer

MODEL_DIR = "/srv/models/secret-place"


@pytest.fixture
def upstream() -> Iterator[ModelServer]:
    """A model server that behaves like ``transformers serve``."""
    server = ModelServer(model=MODEL_DIR, style="transformers").start()
    yield server
    server.stop()


class RunningGateway:
    """A gateway and what tests ask of it."""

    def __init__(self, config: GatewayConfig) -> None:
        self.config = config
        self.gateway = Gateway(config)
        self.server = AsgiServer(Dispatcher(gateway=self.gateway))

    @property
    def url(self) -> str:
        """Base address."""
        return self.server.url

    def flush(self) -> bool:
        """Book what was journalled."""
        invoker = self.gateway._invoker
        assert invoker is not None
        return self.server.run(invoker.flush())


@pytest.fixture
def gateway_config(settings: Any, tmp_path: Any) -> GatewayConfig:
    """Short silences, no periodic flush: tests flush by hand."""
    return replace(
        GatewayConfig.from_settings(),
        spool=tmp_path / "spool",
        flush_seconds=3600.0,
        cache_seconds=60.0,
        limits=UpstreamLimits(connect_seconds=2.0, silence_seconds=1.0),
    )


@pytest.fixture
def gateway(transactional_db: None, gateway_config: GatewayConfig) -> Iterator[RunningGateway]:
    """The gateway alone on a port."""
    running = RunningGateway(gateway_config)
    running.server.start()
    yield running
    running.server.stop()


@pytest.fixture
def endpoint(cast: Cast, upstream: ModelServer) -> Endpoint:
    """Team support's healthy endpoint ``support-assistant`` in dev."""
    model = approve(make_model(cast.ada, cast.support))
    return answering_endpoint(model, url=upstream.url, upstream_model=MODEL_DIR)


Call = Callable[..., httpx.Client]


def token_of(user: User, *, scopes: Sequence[str] = tuple(Scope), hours: float = 1.0) -> str:
    """A fresh bearer value."""
    expires = clock.now() + timedelta(hours=hours)
    return token_issue(user=user, name="test", scopes=scopes, expires_at=expires).value


@pytest.fixture
def client(gateway: RunningGateway) -> Iterator[Call]:
    """``client(cast.ada)`` → an HTTP client with her token at the gateway."""
    opened: list[httpx.Client] = []

    def make(user: User | None, **limits: Any) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token_of(user, **limits)}"} if user is not None else {}
        opened.append(httpx.Client(base_url=gateway.url, headers=headers, timeout=20.0))
        return opened[-1]

    yield make
    for one in opened:
        one.close()
