"""Bytes that are compared with their registered hash while they pass."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator

from apps.core.errors import InfrastructureError

logger = logging.getLogger(__name__)


class BytesChanged(InfrastructureError):
    """What the store holds is not what was registered."""

    default_code = "file_changed"


def checked_pieces(
    pieces: Iterable[bytes], *, sha256: str, key: str, on_changed: Callable[[], None] | None = None
) -> Iterator[bytes]:
    """Yield *pieces*, the last one only when all together have the hex *sha256*; else raise ``BytesChanged``.

    Whoever reads to the end has the registered bytes; whoever is sent others never gets the end. *key* names the
    object in the log; *on_changed* is called before the error is raised.
    """
    digest = hashlib.sha256()
    held: bytes | None = None
    for piece in pieces:
        digest.update(piece)
        if held is not None:
            yield held
        held = piece
    if digest.hexdigest() != sha256:
        logger.error("stored_object_changed", extra={"key": key})
        if on_changed is not None:
            on_changed()
        raise BytesChanged("The stored file is not the one that was registered.")
    if held:
        yield held
