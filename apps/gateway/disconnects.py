"""A caller that goes away stops the work: nobody reads the answer, and somebody would pay for it."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from apps.gateway.http import ClientGone, Receive


class CancelOnDisconnect:
    """Within this block, a closed connection cancels the current task and surfaces as ``ClientGone``.

    Use after the body was read. Set ``answered`` before the last message of the answer: servers report the
    end of a complete answer as a disconnect too.
    """

    __slots__ = ("_gone", "_receive", "_task", "_watcher", "answered")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._gone = False
        self.answered = False
        self._task: asyncio.Task[object] | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.current_task()
        self._watcher = asyncio.create_task(self._watch())
        return self

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self.answered and self._task is not None:
            self._gone = True
            self._task.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if self._watcher is not None:
            self._watcher.cancel()
        if not self._gone or self._task is None:
            return False
        self._task.uncancel()
        if isinstance(error, asyncio.CancelledError):
            raise ClientGone from None
        # Cancelled in the very moment in which the block ended by itself: the request to cancel is still
        # pending and would hit the next await of an innocent bystander.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
        return False
