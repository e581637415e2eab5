"""What uploads can become part of. Apps register their kinds when Django is ready; the kernel knows none by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from apps.core.models import TeamOwnedModel
from apps.core.storage import StoredObject

Progress = Callable[[int, str], None]  # percent from 0 to 100, and what is being done


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """A file that has arrived whole: its name and where its bytes lie, hashed."""

    upload_id: UUID
    name: str
    stored: StoredObject


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of received files: a sentence for people, facts (camelCase) for programs."""

    message: str
    result: dict[str, Any] = field(default_factory=dict)


class UploadTarget(Protocol):
    """A kind of thing that takes files. ``kind`` is the thing's audit type."""

    kind: str

    def require(self, *, actor: Any, target_id: object) -> TeamOwnedModel:
        """The thing, if it exists for the actor, who may add files to it now; else the error that says why not."""

    def check_names(self, thing: Any, names: Sequence[str]) -> list[str]:
        """Names made safe; raises ``ValidationFailed`` or ``UnsupportedMedia`` for what can never be taken."""

    def work(self, thing: Any, size: int) -> int:
        """Bytes that taking ``size`` more bytes means to read: decides between the request and a worker."""

    def take(
        self,
        *,
        actor: Any,
        target_id: object,
        files: Sequence[ReceivedFile],
        settle: Callable[[], None],
        progress: Progress,
        operation_id: UUID,
    ) -> Taken:
        """Make the files part of the thing: move the bytes, write the rows, in one transaction in which ``settle()``
        is called. May run again after a crash. Raises what the caller should read; then nothing has changed and the
        bytes lie where they were."""


class UploadTargets:
    """The registered kinds."""

    def __init__(self) -> None:
        self._targets: dict[str, UploadTarget] = {}

    def register(self, target: UploadTarget) -> None:
        """Add a kind, or replace it."""
        self._targets[target.kind] = target

    def get(self, kind: str) -> UploadTarget:
        """The kind of that name; unknown ones are a fault of ours."""
        return self._targets[kind]


targets = UploadTargets()
