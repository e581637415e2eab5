"""What a step is given: the people, what was made so far, and a voice."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.demo.client import Client, StepFailedError
from launcher.demo.state import DemoState

TEAM = "support"


@dataclass(frozen=True)
class Step:
    """One step of the walk: `run` does it and answers with one sentence about what came of it."""

    key: str
    title: str
    run: Callable[[Demo], str]


class Demo:
    """The walk in progress."""

    def __init__(self, state: DemoState, base_url: str, say: Callable[[str], None]) -> None:
        self.state = state
        self.base_url = base_url
        self.say = say
        self.current = ""
        self.folder = Path(tempfile.mkdtemp(prefix="llmops-demo-"))
        self._clients: dict[str, Client] = {}
        self._told: tuple[str, float] = ("", 0.0)

    def __getattr__(self, name: str) -> Client:
        """`demo.ada`, `demo.ben` …: the API as that person."""
        if name.startswith("_"):
            raise AttributeError(name)
        return self.client(name)

    def client(self, name: str) -> Client:
        if name not in self._clients:
            self._clients[name] = Client(name.title(), self.base_url, self.state.person(name).token)
        return self._clients[name]

    def made(self, name: str) -> str:
        """An id that an earlier step has made."""
        try:
            return str(self.state.made[name])
        except KeyError as error:
            raise StepFailedError(
                f"{name} is not known although an earlier step made it.",
                f"Delete {self.state.path} and run again.",
            ) from error

    def once(self, name: str, make: Callable[[], str], *, dead: Callable[[str], bool] = lambda known: False) -> str:
        """The id under `name`, made now if it was not: what lets an interrupted step go on.

        `dead` tells of a known id that it came to nothing (a failed job), so that another one is made.
        """
        known = self.state.made.get(name)
        if known is None or dead(str(known)):
            self.state.remember(**{name: make()})
        return str(self.state.made[name])

    def tell(self, detail: str) -> None:
        """Progress for terminal and home page; a repeated sentence is swallowed."""
        if detail == self._told[0]:
            return
        self._told = (detail, time.monotonic())
        detail = detail.strip()
        self.say(f"    {detail}")
        self.state.tell(self.current, detail)

    def progress(self, row: dict[str, Any], text: str) -> None:
        """As `tell`, for polling loops: at most one line every five seconds on the terminal."""
        _, when = self._told
        if time.monotonic() - when >= 5:
            self.tell(text)
