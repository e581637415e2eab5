"""What the portal needs of a hub, in plain values. No vendor type appears here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol


class HubError(Exception):
    """The hub could not, or would not, do what it was asked.

    ``code`` is a stable key, ``message`` one or two sentences for the person who asked, remedy included. ``retry``:
    the same question may succeed later; ``retry_after`` is in seconds, 0 when the hub named none.
    """

    def __init__(self, code: str, message: str, *, retry: bool = False, retry_after: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry = retry
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository at one commit. Size in bytes; one of the hashes is known, the other empty.

    ``sha256``: of the content, for files kept as large objects. ``git_sha1``: of the git blob (SHA-1 over
    ``blob <size>\\0`` and the content), for files kept in git itself.
    """

    path: str
    size: int
    sha256: str = ""
    git_sha1: str = ""


@dataclass(frozen=True, slots=True)
class HubModel:
    """A model repository at one commit; ``card`` is its front matter."""

    repo_id: str
    commit: str
    files: tuple[HubFile, ...]
    card: Mapping[str, Any] = field(default_factory=dict)
    gated: bool = False
    private: bool = False


class Hub(Protocol):
    """A place to fetch models from. Every failure is a ``HubError``."""

    endpoint: str

    def model(self, repo_id: str, revision: str) -> HubModel:
        """Return what stands at *revision* (branch, tag or commit)."""
        ...

    def download(
        self, repo_id: str, commit: str, path: str, *, start: int = 0
    ) -> AbstractContextManager[tuple[int, Iterator[bytes]]]:
        """Open a file's content from byte *start* on.

        Yields ``(offset, pieces)``; the offset is 0 where the hub began at the beginning nevertheless.
        """
        ...
