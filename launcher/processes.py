"""Small facts about processes, read from /proc: is it alive, what is it, end it."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path


class LauncherError(Exception):
    """Something a person can act on: the message says what happened and what to do."""


def process_alive(pid: int) -> bool:
    """Whether `pid` runs (a zombie does not)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[:1] != ["Z"]


def process_command(pid: int) -> str:
    """The command line of `pid`, arguments joined by spaces; empty when it cannot be read."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return raw.replace(b"\0", b" ").decode(errors="replace").strip()


def wait_gone(pid: int, seconds: float) -> bool:
    """Wait until `pid` has ended; reaps it when it is our child. False when it still runs after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(ChildProcessError):  # not our child: somebody else reaps it
            os.waitpid(pid, os.WNOHANG)
        if not process_alive(pid):
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)


def end_process(pid: int, signals: Sequence[tuple[signal.Signals, float]]) -> bool:
    """Send each signal in turn and give it its seconds; stops at the first that works."""
    for number, seconds in signals:
        try:
            os.kill(pid, number)
        except OSError as error:
            if error.errno == errno.ESRCH:
                return True
            raise
        if wait_gone(pid, seconds):
            return True
    return False


def read_pid(path: Path) -> int | None:
    """The pid on the first line of a pid file; None when there is no file or it holds no positive number."""
    try:
        first = path.read_text().split("\n", 1)[0].strip()
        pid = int(first)
    except (OSError, ValueError):
        return None
    return pid if pid > 0 else None
