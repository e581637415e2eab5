"""Small programs for workloads, and waiting without sleeping for long."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from apps.integrations.ports import WorkloadSpec


def python(code: str, **fields: object) -> WorkloadSpec:
    """Return a specification that runs `code` in a bare interpreter."""
    return WorkloadSpec(command=(sys.executable, "-S", "-E", "-u", "-c", code), **fields)  # type: ignore[arg-type]


FOREVER = "import signal, time\nprint('up')\nwhile True: time.sleep(60)"
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + FOREVER


def eventually(condition: Callable[[], object], *, seconds: float = 20.0, what: str = "the condition") -> None:
    """Wait for a condition of the outside world, at most `seconds`."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"{what} did not come true within {seconds} s"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Tell whether a process exists and is no corpse."""
    try:
        raw = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return raw[raw.rindex(")") + 2] not in "ZX"
