"""The gateway's bill: every call is journalled at once, and booked in batches.

A call's usage is appended to a file (one small write; it survives the death of this process) and kept in
memory; a second later, all that gathered is booked into the ledger in one statement and the file goes. If the
database is away, files wait; if this process dies, the next one finds the file without its owner and books it.
Keys are unique per call and kind, so booking twice changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import orjson

from apps.core.errors import ValidationFailed
from apps.governance.types import UsageEntry

logger = logging.getLogger(__name__)

#: Calls per statement: keeps one booking short, also after a long outage.
_BATCH = 2_000
_MAX_PAUSE_SECONDS = 30.0

Book = Callable[[Sequence[UsageEntry]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class CallUsage:
    """What one call used. ``estimated``: the server did not count (cut stream), so tokens are our own count."""

    call_id: str
    endpoint_id: str
    model_id: str
    team_id: str
    user_id: str
    prompt_tokens: int
    completion_tokens: int
    estimated: bool
    occurred_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())

    def entries(self) -> list[UsageEntry]:
        """The ledger's rows: one request, and tokens where there are any."""
        mark = ":estimated" if self.estimated else ""
        amounts = (
            ("requests", 1, ""),
            ("tokens_in", self.prompt_tokens, mark),
            ("tokens_out", self.completion_tokens, mark),
        )
        return [
            UsageEntry(
                kind=kind,
                quantity=Decimal(amount),
                resource_type="serving",
                resource_id=uuid.UUID(self.endpoint_id),
                team_id=uuid.UUID(self.team_id),
                user_id=uuid.UUID(self.user_id),
                model_id=uuid.UUID(self.model_id),
                occurred_at=datetime.fromisoformat(self.occurred_at),
                key=f"gateway:{self.call_id}:{kind}{suffix}",
            )
            for kind, amount, suffix in amounts
            if amount > 0
        ]


_FIELDS = tuple(CallUsage.__dataclass_fields__)


def _line(call: CallUsage) -> bytes:
    return orjson.dumps({name: getattr(call, name) for name in _FIELDS}) + b"\n"


class _Segment:
    """One journal file, locked by the process that writes it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def create(cls, folder: Path) -> _Segment:
        path = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex}.jsonl"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return cls(path, descriptor)

    @classmethod
    def adopt(cls, path: Path) -> _Segment | None:
        """Take over a file whose owner is gone; ``None`` while somebody holds it."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(descriptor), path.stat()):
                raise OSError("replaced meanwhile")
        except OSError:
            os.close(descriptor)
            return None
        return cls(path, descriptor)

    def append(self, line: bytes) -> None:
        os.write(self._descriptor, line)

    def calls(self) -> list[CallUsage]:
        """What the file holds; a line cut off by a crash is reported and left out."""
        found = []
        for number, line in enumerate(self.path.read_bytes().splitlines(), 1):
            if not line.strip():
                continue
            try:
                row = orjson.loads(line)
                found.append(CallUsage(**{name: row[name] for name in _FIELDS}))
            except (orjson.JSONDecodeError, KeyError, TypeError):
                logger.error("gateway.usage.line_unreadable", extra={"file": self.path.name, "line": number})
        return found

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        os.close(self._descriptor)


class UsageJournal:
    """Collects usage of this process and books it through ``book``.

    ``record`` never waits and never fails a call: when the disk refuses, the entry stays in memory and is
    booked with the next flush. ``close`` books what is left, or leaves it in files for the next start.
    """

    def __init__(self, folder: Path, book: Book, *, period: float = 1.0) -> None:
        self._folder = folder
        self._book = book
        self._period = period
        self._segment: _Segment | None = None
        self._pending: list[CallUsage] = []
        #: Those of ``_pending`` that the journal could not take: memory is the only place they are in.
        self._unwritten: list[CallUsage] = []
        self._stop = asyncio.Event()
        self._waiting: list[_Segment] = []
        self._flushing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._failures = 0

    def start(self) -> None:
        """Begin to flush in the background and take over what earlier processes left."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._task = asyncio.create_task(self._run(), name="gateway-usage")

    @property
    def pending(self) -> int:
        """Calls in memory that are not booked yet."""
        return len(self._pending)

    def record(self, call: CallUsage) -> None:
        """Note one call."""
        self._pending.append(call)
        try:
            if self._segment is None:
                self._segment = _Segment.create(self._folder)
            self._segment.append(_line(call))
        except OSError as error:
            self._unwritten.append(call)
            logger.error("gateway.usage.journal_refused", extra={"reason": str(error)})

    async def flush(self) -> bool:
        """Book everything. ``False`` when the ledger could not be reached; nothing is lost then."""
        async with self._flushing:
            calls, self._pending = self._pending, []
            unwritten, self._unwritten = self._unwritten, []
            segment, self._segment = self._segment, None
            try:
                await self._book_all(calls)
            except Exception as error:  # noqa: BLE001 - whatever the ledger's trouble is, the bill must survive it
                return self._keep(unwritten, segment, error)
            if segment is not None:
                segment.remove()
            self._failures = 0
            return await self._flush_waiting()

    def _keep(self, unwritten: list[CallUsage], segment: _Segment | None, error: Exception) -> bool:
        self._failures += 1
        logger.error("gateway.usage.booking_failed", extra={"reason": str(error)[:300]})
        self._pending = unwritten + self._pending
        self._unwritten = unwritten + self._unwritten
        if segment is not None:
            self._waiting.append(segment)
        return False

    async def _flush_waiting(self) -> bool:
        for segment in list(self._waiting):
            try:
                await self._book_all(segment.calls())
            except Exception as error:  # noqa: BLE001 - as above
                self._failures += 1
                logger.error("gateway.usage.booking_failed", extra={"reason": str(error)[:300]})
                return False
            segment.remove()
            self._waiting.remove(segment)
        return True

    async def _book_all(self, calls: Sequence[CallUsage]) -> None:
        for start in range(0, len(calls), _BATCH):
            batch = calls[start : start + _BATCH]
            try:
                await self._book([entry for call in batch for entry in call.entries()])
            except ValidationFailed:
                await self._book_singly(batch)

    async def _book_singly(self, calls: Iterable[CallUsage]) -> None:
        """The ledger refuses a whole batch for one impossible entry; that one must not hold up the others."""
        for call in calls:
            try:
                await self._book(call.entries())
            except ValidationFailed as error:
                logger.critical("gateway.usage.refused", extra={"call": call.call_id, "reason": error.message[:300]})
                with (self._folder / "refused.log").open("ab") as file:
                    file.write(_line(call))

    def _adopt(self) -> None:
        held = {segment.path for segment in self._waiting}
        if self._segment is not None:
            held.add(self._segment.path)
        for path in sorted(self._folder.glob("*.jsonl")):
            if path not in held and (segment := _Segment.adopt(path)) is not None:
                self._waiting.append(segment)

    async def _run(self) -> None:
        self._adopt()
        while not self._stop.is_set():
            if self._pending or self._waiting:
                await self.flush()
            pause = min(self._period * 2 ** min(self._failures, 10), _MAX_PAUSE_SECONDS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause)

    async def close(self) -> None:
        """Stop the background task, book what is left, release the files."""
        self._stop.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self.flush()
        self._spill(self._unwritten)
        for segment in (*self._waiting, *([self._segment] if self._segment else [])):
            segment.release()
        self._waiting.clear()
        self._segment = None

    def _spill(self, calls: Iterable[CallUsage]) -> None:
        """Last attempt for entries whose journal line could not be written when they arose."""
        for call in calls:
            try:
                if self._segment is None:
                    self._segment = _Segment.create(self._folder)
                self._segment.append(_line(call))
            except OSError as error:
                logger.critical("gateway.usage.lost", extra={"call": call.call_id, "reason": str(error)})
