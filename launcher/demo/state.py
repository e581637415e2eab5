"""What the demo has done: `var/demo.json`, shared with `manage.py demo_people` and the portal's home page."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from launcher.processes import LauncherError

WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"


def utc_now() -> str:
    """Now as ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Person:
    """Somebody of the cast, with the token that speaks for them."""

    username: str
    password: str
    token: str
    roles: tuple[str, ...]
    teams: tuple[str, ...]


class DemoState:
    """The demo's file. Every change is written at once, atomically, readable by its owner only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data: dict[str, Any] = {}
        self.reload()

    def reload(self) -> None:
        """Read the file again (another program may have added people)."""
        try:
            self.data = json.loads(self.path.read_text())
        except FileNotFoundError:
            self.data = {}
        except ValueError as error:
            raise LauncherError(
                f"{self.path} is damaged ({error}). Delete it: people then get new passwords."
            ) from error

    def save(self) -> None:
        making = self.path.with_name(self.path.name + ".new")
        making.unlink(missing_ok=True)
        descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as handle:
            json.dump(self.data, handle, indent=2)
            handle.write("\n")
        making.replace(self.path)

    def person(self, name: str) -> Person:
        """Somebody of the cast by first name in lower case."""
        try:
            entry = self.data["people"][name]
            return Person(
                entry["username"],
                entry["password"],
                entry["token"],
                tuple(entry["roles"]),
                tuple(entry["teams"]),
            )
        except KeyError as error:
            raise LauncherError(f"{self.path} knows no {name} (missing {error}): manage.py demo_people") from error

    @property
    def made(self) -> dict[str, Any]:
        """Ids of what the demo has made, by name."""
        made: dict[str, Any] = self.data.setdefault("made", {})
        return made

    def remember(self, **values: Any) -> None:
        """Keep ids for the steps to come and for a later run."""
        self.made.update(values)
        self.save()

    def plan(self, steps: Sequence[tuple[str, str]]) -> None:
        """Lay out (key, title) of every step; what was done stays done, what was interrupted waits again."""
        earlier = {entry["key"]: entry for entry in self.data.get("progress", [])}
        progress = []
        for key, title in steps:
            entry = earlier.get(key, {})
            if entry.get("status") != DONE:
                entry = {"status": WAITING, "started_at": None, "finished_at": None, "detail": ""}
            progress.append({**entry, "key": key, "title": title})
        self.data["progress"] = progress
        self.save()

    def start_over(self) -> None:
        """Forget what was made and done; people stay."""
        self.data["made"], self.data["progress"] = {}, []
        self.save()

    def status(self, key: str) -> str:
        return str(self._entry(key)["status"])

    def begin(self, key: str) -> None:
        self._entry(key).update(status=RUNNING, started_at=utc_now(), finished_at=None, detail="")
        self.save()

    def tell(self, key: str, detail: str) -> None:
        """What the running step is doing, for the home page."""
        self._entry(key)["detail"] = detail
        self.save()

    def finish(self, key: str, status: str, detail: str) -> None:
        self._entry(key).update(status=status, finished_at=utc_now(), detail=detail)
        self.save()

    @property
    def complete(self) -> bool:
        """Whether every step of the last plan is done."""
        progress = self.data.get("progress", [])
        return bool(progress) and all(entry["status"] == DONE for entry in progress)

    def _entry(self, key: str) -> dict[str, Any]:
        entry: dict[str, Any] = next(entry for entry in self.data["progress"] if entry["key"] == key)
        return entry
