"""Browser sessions: sign-in with a growing wait after failures, sign-out."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth import authenticate, login, logout
from django.db import transaction
from django.http import HttpRequest

from apps.accounts.models import SignInAttempt, User
from apps.core import audit, clock
from apps.core.errors import NotAuthenticated, RateLimited
from apps.core.models import AuditResult

LONGEST_WAIT = 3600
FORGET_AFTER = timedelta(hours=24)


def _keys(request: HttpRequest, username: str) -> list[str]:
    address = request.META.get("REMOTE_ADDR", "")
    return [f"account:{username.casefold()[:150]}", f"address:{address[:45]}"]


def _wait(attempt: SignInAttempt, now: datetime, allowed: int) -> int:
    """Seconds this key still has to wait."""
    excess = attempt.failures - allowed
    if excess < 0:
        return 0
    length = min(LONGEST_WAIT, settings.SIGN_IN_WAIT_SECONDS * 2 ** min(excess, 10))
    return max(0, math.ceil((attempt.last_failed_at + timedelta(seconds=length) - now).total_seconds()))


def _allowed(key: str) -> int:
    # An address may be shared by an office; an account may not.
    return settings.SIGN_IN_MAX_FAILURES * (10 if key.startswith("address:") else 1)


@transaction.atomic
def _record_failure(keys: list[str], now: datetime) -> None:
    for key in sorted(keys):
        attempt, created = SignInAttempt.objects.select_for_update().get_or_create(
            key=key, defaults={"failures": 1, "last_failed_at": now}
        )
        if not created:
            fresh = now - attempt.last_failed_at > FORGET_AFTER
            attempt.failures = 1 if fresh else attempt.failures + 1
            attempt.last_failed_at = now
            attempt.save()


def sign_in(*, request: HttpRequest, username: str, password: str) -> User:
    """Check the password and start a session.

    Raises:
        RateLimited: too many failures for this account or address; tells how long to wait.
        NotAuthenticated: wrong name or password (never which).
    """
    now = clock.now()
    keys = _keys(request, username)
    for attempt in SignInAttempt.objects.filter(key__in=keys):
        seconds = _wait(attempt, now, _allowed(attempt.key))
        if seconds:
            raise RateLimited(f"Too many failed sign-ins. Wait {seconds} seconds and try again.", retry_after=seconds)
    user = authenticate(request, username=username, password=password)
    if not isinstance(user, User):
        _record_failure(keys, now)
        audit.record(
            actor=None,
            action="accounts.session.refused",
            resource_type="user",
            result=AuditResult.DENIED,
            metadata={"username": username[:150], "address": request.META.get("REMOTE_ADDR", "")},
        )
        raise NotAuthenticated("The user name or the password is wrong. Check both; capitals matter.")
    SignInAttempt.objects.filter(key=keys[0]).delete()
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    audit.record(actor=user, action="accounts.session.started", resource=user)
    return user


def sign_out(*, request: HttpRequest) -> None:
    """End the session."""
    if isinstance(request.user, User):
        audit.record(actor=request.user, action="accounts.session.ended", resource=request.user)
    logout(request)
