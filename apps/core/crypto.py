"""Secrets at rest: Fernet, with rotation (the first key encrypts, all decrypt)."""

from __future__ import annotations

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from apps.core.errors import InfrastructureError


def _cipher() -> MultiFernet:
    keys = list(settings.ENCRYPTION_KEYS)
    if not keys:
        digest = hashlib.sha256(b"llmops-encryption:" + settings.SECRET_KEY.encode()).digest()
        keys = [base64.urlsafe_b64encode(digest).decode()]
    return MultiFernet([Fernet(key) for key in keys])


def encrypt(text: str) -> str:
    """Ciphertext of ``text`` under the newest key."""
    return _cipher().encrypt(text.encode()).decode()


def decrypt(text: str) -> str:
    """The plain text.

    Raises:
        InfrastructureError: no configured key fits.
    """
    try:
        return _cipher().decrypt(text.encode()).decode()
    except InvalidToken as error:
        raise InfrastructureError(
            "A stored secret cannot be read with the configured keys. Restore the key it was encrypted with in "
            "LLMOPS_ENCRYPTION_KEYS, or enter the secret again."
        ) from error


def rotate(text: str) -> str:
    """The same secret, encrypted under the newest key."""
    return _cipher().rotate(text.encode()).decode()
