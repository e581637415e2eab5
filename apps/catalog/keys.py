"""Which keys sign and verify the models of this installation."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from apps.integrations.signing import KeyRing


def signing_keys() -> KeyRing:
    """The keys in ``LLMOPS_SIGNING_DIR``, or below ``var``."""
    folder = Path(settings.SIGNING_DIR) if settings.SIGNING_DIR else Path(settings.VAR_DIR) / "signing"
    return KeyRing(folder, may_create=settings.SIGNING_MAKES_KEY)
