"""SIGTERM and SIGINT as a flag that the work looks at, so that it can end in good order."""

from __future__ import annotations

import signal
from types import FrameType

from workers.runtime.environment import say
from workers.runtime.errors import Interrupted


class StopFlag:
    """Set by the first SIGTERM or SIGINT; the second one kills the process as usual."""

    def __init__(self) -> None:
        self.requested = False

    def install(self) -> None:
        """Start listening. Main thread only."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        signal.signal(number, signal.SIG_DFL)
        say(f"{signal.Signals(number).name} received: stopping at the next safe point.")

    def check(self) -> None:
        """Raise `Interrupted` if a stop was asked for."""
        if self.requested:
            raise Interrupted("Stopped on request.")
