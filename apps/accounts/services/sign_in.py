"""Browser sessions: sign-in with a growing wait after failures, sign-out, one's own password."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth import authenticate, login, logout, update_session_auth_hash
from django.db import transaction
from django.http import HttpRequest

from apps.accounts.models import SignInAttempt, User
from apps.accounts.services.passwords import password_check
from apps.core import audit, clock
from apps.core.errors import NotAuthenticated, RateLimited, ValidationFailed
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


def _refuse_while_waiting(keys: list[str], now: datetime) -> None:
    for attempt in SignInAttempt.objects.filter(key__in=keys):
        seconds = _wait(attempt, now, _allowed(attempt.key))
        if seconds:
            raise RateLimited(f"Too many failed sign-ins. Wait {seconds} seconds and try again.", retry_after=seconds)


def sign_in(*, request: HttpRequest, username: str, password: str) -> User:
    """Check the password and start a session.

    Raises:
        RateLimited: too many failures for this account or address; tells how long to wait.
        NotAuthenticated: wrong name or password (never which).
    """
    now = clock.now()
    keys = _keys(request, username)
    _refuse_while_waiting(keys, now)
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


def password_change(*, request: HttpRequest, current_password: str, new_password: str) -> User:
    """Give the signed-in person another password; this session goes on, all their others end.

    API tokens stay: they are revoked one by one, by name.

    Raises:
        RateLimited: too many wrong current passwords (counted together with failed sign-ins).
        ValidationFailed: the current password is wrong (`current_password`), or the new one is too weak or the
            same (`new_password`).
        NotAuthenticated: nobody is signed in.
    """
    if not isinstance(request.user, User):
        raise NotAuthenticated("Sign in first.")
    now = clock.now()
    keys = _keys(request, request.user.username)
    _refuse_while_waiting(keys, now)
    if not request.user.check_password(current_password):
        _record_failure(keys, now)
        audit.record(
            actor=request.user,
            action="accounts.password.changed",
            resource=request.user,
            result=AuditResult.DENIED,
        )
        raise ValidationFailed.field("current_password", "wrong", "This is not your current password.")
    if new_password == current_password:
        raise ValidationFailed.field("new_password", "same", "Choose another password than the current one.")
    with transaction.atomic():
        user = User.objects.select_for_update().get(pk=request.user.pk)
        password_check(new_password, user, field="new_password")
        user.set_password(new_password)
        user.save(update_fields=["password"])
        SignInAttempt.objects.filter(key=keys[0]).delete()
        audit.record(actor=user, action="accounts.password.changed", resource=user)
    update_session_auth_hash(request, user)
    return user
