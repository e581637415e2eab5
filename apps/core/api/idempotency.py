"""``Idempotency-Key``: the same request twice gives the same answer once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from rest_framework.request import Request

from apps.core import clock
from apps.core.crypto import decrypt, encrypt
from apps.core.errors import Conflict, ValidationFailed
from apps.core.models import IdempotencyKey

MAX_KEY = 200
STALE_AFTER = timedelta(minutes=5)


@dataclass(frozen=True)
class StoredAnswer:
    """A repeated request's first answer."""

    status_code: int
    body: bytes


def _fingerprint(request: Request, body: bytes) -> str:
    digest = hashlib.sha256(f"{request.method} {request.get_full_path()}\n".encode())
    digest.update(body)
    return digest.hexdigest()


def begin(request: Request, user: Any, key: str, body: bytes) -> StoredAnswer | IdempotencyKey:
    """Claim ``key`` for this request, or find its stored answer.

    Raises:
        ValidationFailed: unusable key.
        Conflict: the key was used for another request, or its first request still runs.
    """
    if len(key) > MAX_KEY or not key.isprintable():
        raise ValidationFailed.field(
            "Idempotency-Key", "invalid", f"Send a printable key of at most {MAX_KEY} characters."
        )
    fingerprint = _fingerprint(request, body)
    oldest = clock.now() - timedelta(hours=settings.IDEMPOTENCY_HOURS)
    IdempotencyKey.objects.filter(user=user, key=key, created_at__lt=oldest).delete()
    try:
        with transaction.atomic():
            return IdempotencyKey.objects.create(user=user, key=key, fingerprint=fingerprint)
    except IntegrityError:
        found = IdempotencyKey.objects.filter(user=user, key=key).first()
    if found is None:
        raise Conflict("The first request with this Idempotency-Key has just ended without an answer. Send it again.")
    if found.fingerprint != fingerprint:
        raise Conflict("This Idempotency-Key was used for a different request. Use a new key for a new request.")
    if found.status_code is None:
        if found.created_at < clock.now() - STALE_AFTER:
            found.delete()
        raise Conflict("The first request with this Idempotency-Key is still being processed. Try again in a moment.")
    return StoredAnswer(found.status_code, decrypt(found.answer).encode())


def finish(claim: IdempotencyKey, status_code: int, body: bytes) -> None:
    """Keep the answer; failures on our side, and refusals that may pass later, leave the key free."""
    if status_code >= 300:
        claim.delete()
        return
    claim.status_code = status_code
    claim.answer = encrypt(body.decode())
    claim.save(update_fields=["status_code", "answer"])
