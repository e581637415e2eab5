"""Secrets at rest: Fernet, with rotation (the first key encrypts, all decrypt).

Keys are ``LLMOPS_ENCRYPTION_KEYS``, newest first. The key derived from ``SECRET_KEY`` (and from its fallbacks) is
always the last to be tried: what was written before the first key was configured stays readable until it is rotated.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.apps import apps
from django.conf import settings
from django.db import models, transaction
from django.utils.encoding import force_bytes

from apps.core.errors import InfrastructureError

BATCH = 200
_columns: dict[str, tuple[str, str]] = {}


def _keys() -> list[Fernet]:
    derived = []
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        digest = hashlib.sha256(b"llmops-encryption:" + force_bytes(secret)).digest()
        derived.append(base64.urlsafe_b64encode(digest).decode())
    return [Fernet(key) for key in dict.fromkeys([*settings.ENCRYPTION_KEYS, *derived])]


def _cipher() -> MultiFernet:
    return MultiFernet(_keys())


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
        raise _unreadable() from error


def rotate(text: str) -> str:
    """The same secret, encrypted under the newest key.

    Raises:
        InfrastructureError: no configured key fits.
    """
    try:
        return _cipher().rotate(text.encode()).decode()
    except InvalidToken as error:
        raise _unreadable() from error


def is_current(text: str) -> bool:
    """Whether ``text`` is encrypted under the newest key already."""
    try:
        _keys()[0].decrypt(text.encode())
    except InvalidToken:
        return False
    return True


def _unreadable() -> InfrastructureError:
    return InfrastructureError(
        "A stored secret cannot be read with the configured keys. Restore the key it was encrypted with in "
        "LLMOPS_ENCRYPTION_KEYS, or enter the secret again."
    )


def register_encrypted(model: str, field: str) -> None:
    """Say that a column (``app.Model``, field) holds ciphertexts, so that rotation finds it. Empty text is none."""
    _columns[f"{model}.{field}"] = (model, field)


@dataclass(slots=True)
class Rotation:
    """What one column showed. ``unreadable`` are the keys of rows that no configured key opens."""

    column: str
    current: int
    rotated: int
    unreadable: list[str]


def secrets_rotate(*, dry_run: bool = False) -> Iterator[Rotation]:
    """Encrypt every stored secret anew under the newest key, column by column.

    In small transactions with the rows locked, so that it runs beside everything else and may be repeated after an
    interruption. With *dry_run* nothing is written and ``rotated`` counts what would be.
    """
    for column, (label, field) in sorted(_columns.items()):
        yield _rotate_column(column, apps.get_model(label), field, dry_run)


def _rotate_column(column: str, model: type[models.Model], field: str, dry_run: bool) -> Rotation:
    found = Rotation(column, 0, 0, [])
    keys = list(model._default_manager.exclude(**{field: ""}).order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(keys), BATCH):
        with transaction.atomic():
            rows = model._default_manager.select_for_update().filter(pk__in=keys[start : start + BATCH])
            for pk, text in rows.values_list("pk", field):
                if not text or is_current(text):
                    found.current += bool(text)
                    continue
                try:
                    fresh = rotate(text)
                except InfrastructureError:
                    found.unreadable.append(str(pk))
                    continue
                found.rotated += 1
                if not dry_run:
                    # Straight to the column: rotation is no change of the thing that the secret belongs to.
                    model._default_manager.filter(pk=pk).update(**{field: fresh})
    return found
