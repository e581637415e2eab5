"""Who calls, and what they may call: two cached questions, decided elsewhere.

The token's worth is decided by ``accounts``, permission and policies by ``governance`` through ``serving``'s
one service. Answers are kept for a few seconds per token and route, and dropped at once when something that
they rest on changes (see ``invalidation``). Refusals are never kept: each is decided and recorded anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from apps.accounts.models import User
from apps.accounts.services import token_authenticate
from apps.core import audit, clock
from apps.core.errors import DomainError, NotAuthenticated, ValidationFailed
from apps.gateway.caches import TTLCache
from apps.gateway.config import GatewayConfig
from apps.gateway.database import DatabaseThreads
from apps.gateway.http import Request
from apps.gateway.invalidation import Listener
from apps.gateway.sessions import session_user
from apps.serving.services import invocation_target, invocation_target_for_model, routes_callable
from apps.serving.types import CallableRoute, ServingTarget

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes the call. ``key`` tells apart everything that permission can depend on (person and token)."""

    key: str
    user: User
    user_id: UUID
    expires_at: datetime | None = None


class Access:
    """Authentication and authorisation for the gateway."""

    def __init__(self, config: GatewayConfig) -> None:
        self.database = DatabaseThreads(config.database_threads)
        self._callers: TTLCache[str, Caller] = TTLCache(config.cache_seconds)
        self._targets: TTLCache[tuple[str, str, str], ServingTarget] = TTLCache(config.cache_seconds)
        self._routes: TTLCache[str, tuple[CallableRoute, ...]] = TTLCache(config.cache_seconds)
        self._listener = Listener(config.redis_url, self.forget)

    async def start(self) -> None:
        """Begin to listen for changes."""
        self._listener.start()

    async def close(self) -> None:
        """Stop listening and end the database threads."""
        await self._listener.close()
        await self.database.close()

    def forget(self) -> None:
        """Drop every cached answer."""
        self._callers.clear()
        self._targets.clear()
        self._routes.clear()

    async def caller(self, request: Request) -> Caller:
        """Who calls. Raises ``NotAuthenticated``; ``PermissionRefused`` for a page call without its CSRF token."""
        header = request.header(b"authorization")
        if header:
            caller = await self._bearer(header)
        elif b"cookie" in request.headers:
            user = await self.database.run(session_user, dict(request.scope))
            caller = Caller(key=f"session:{user.pk}", user=user, user_id=user.pk)
        else:
            raise NotAuthenticated("Send your API token: 'Authorization: Bearer llmops_…'.")
        request.actor = caller.user.get_username()
        return caller

    async def _bearer(self, header: str) -> Caller:
        kind, _, value = header.partition(" ")
        value = value.strip()
        if kind.lower() != "bearer" or not value:
            raise NotAuthenticated("The Authorization header must be 'Bearer' and an API token.")
        # The value itself is kept nowhere, not even in this process's memory.
        digest = hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()

        async def load() -> Caller:
            user = await self.database.run(token_authenticate, value)
            token = user.token
            return Caller(
                key=f"token:{digest}",
                user=user,
                user_id=user.pk,
                expires_at=token.expires_at if token is not None else None,
            )

        caller = await self._callers.get_or_load(digest, load)
        if caller.expires_at is not None and caller.expires_at <= clock.now():
            raise NotAuthenticated("The bearer token has expired. Make a new one at /account/tokens/.")
        return caller

    async def target(self, caller: Caller, route: str, environment: str | None) -> ServingTarget:
        """The endpoint behind a route that ``caller`` may invoke. Raises ``NotFound``, ``PermissionRefused``."""

        async def load() -> ServingTarget:
            return await self._ask(invocation_target, actor=caller.user, route=route, environment=environment)

        return await self._targets.get_or_load((caller.key, f"route:{route}", environment or ""), load)

    async def target_of_model(self, caller: Caller, name: str, environment: str | None) -> ServingTarget:
        """The endpoint that serves a catalog model of that name, as ``target``."""

        async def load() -> ServingTarget:
            return await self._ask(
                invocation_target_for_model, actor=caller.user, model_name=name, environment=environment
            )

        return await self._targets.get_or_load((caller.key, f"model:{name}", environment or ""), load)

    async def target_named(self, caller: Caller, model: Any, environment: str | None) -> ServingTarget:
        """The endpoint for OpenAI's ``model`` field, which holds a route's name."""
        if not isinstance(model, str) or not model.strip():
            raise ValidationFailed.field("model", "required", "model is required: the name of a route.")
        try:
            return await self.target(caller, model, environment)
        except DomainError as error:
            if error.status_code == 404:
                error.code = "model_not_found"
            raise

    async def routes(self, caller: Caller) -> tuple[CallableRoute, ...]:
        """Everything that ``caller`` may call."""

        async def load() -> tuple[CallableRoute, ...]:
            return await self._ask(routes_callable, actor=caller.user)

        return await self._routes.get_or_load(caller.key, load)

    async def _ask(self, question: Callable[..., R], **arguments: Any) -> R:
        try:
            return await self.database.run(question, **arguments)
        except DomainError as error:
            if error.denial is not None:
                await self.database.run(audit.record_denial, error)
            raise
