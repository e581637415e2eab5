"""A process that is kept alive: its output goes to a log file and, made readable, to the terminal."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from launcher.paths import ROOT

LONGEST_PAUSE = 30.0
STEADY_SECONDS = 60.0  # who ran this long has recovered: the next crash starts counting anew
MAX_LOG_BYTES = 20_000_000
LOUD = {"warning", "error", "critical"}
COLOURS = {"web": 36, "worker": 33, "beat": 35, "reconciler": 34, "demo": 32, "portal": 1}
_printing = threading.Lock()


def say(name: str, text: str) -> None:
    """One line on the terminal, with the time and who speaks."""
    label = f"{name:<10}"
    if sys.stdout.isatty():
        label = f"\033[{COLOURS.get(name, 0)}m{label}\033[0m"
    with _printing:
        print(time.strftime("%H:%M:%S"), label, text, flush=True)


def readable(line: str, *, verbose: bool) -> str | None:
    """What of a log line belongs on the terminal: warnings and worse, everything when verbose."""
    text = line.rstrip()
    if not text.startswith("{"):
        return text if verbose else None
    try:
        record = json.loads(text)
    except ValueError:
        return text if verbose else None
    level = str(record.get("level", "info")).lower()
    if not verbose and (level not in LOUD or _callers_mistake(record)):
        return None
    details = {
        key: value
        for key, value in record.items()
        if key not in {"event", "level", "timestamp", "logger", "exception", "lineno", "func_name"}
        and value not in ("", None)
    }
    parts = [
        level.upper(),
        str(record.get("event", "")),
        *(f"{key}={value}" for key, value in details.items()),
    ]
    if record.get("exception"):
        parts.append("| " + str(record["exception"]).strip().splitlines()[-1])
    return " ".join(parts)[:400]


def _callers_mistake(record: dict[str, object]) -> bool:
    """A refused request is no trouble of the portal's: it is in the log, not on the terminal."""
    if str(record.get("level", "")).lower() != "warning":
        return False
    return record.get("event") == "request_finished" or str(record.get("logger", "")).startswith(
        ("django.request", "django.security")
    )


def backoff(crashes: int) -> float:
    """Seconds to wait before the start that follows `crashes` crashes in a row: 1, 2, 4 … at most 30."""
    return float(min(LONGEST_PAUSE, 2.0 ** max(0, crashes - 1)))


@dataclass
class Child:
    """One supervised process.

    `stop_signal` is what makes it end in good order; `grace` the seconds it gets before SIGKILL.
    """

    name: str
    command: Sequence[str]
    log_path: Path
    env: Mapping[str, str]
    stop_signal: signal.Signals = signal.SIGTERM
    grace: float = 15.0
    verbose: bool = False
    on_line: Callable[[str], None] | None = None
    process: subprocess.Popen[str] | None = None
    crashes: int = 0
    started_at: float = 0.0
    start_again_at: float = 0.0
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=15))

    def start(self) -> None:
        """Start it in a session of its own: Ctrl-C at the terminal reaches only the supervisor."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        if self.log_path.exists() and self.log_path.stat().st_size > MAX_LOG_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        self.process = subprocess.Popen(
            list(self.command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            bufsize=1,
            env={**os.environ, **self.env},
            cwd=ROOT,
            start_new_session=True,
        )
        self.started_at = time.monotonic()
        self.start_again_at = 0.0
        threading.Thread(target=self._copy_output, args=(self.process,), daemon=True).start()

    def _copy_output(self, process: subprocess.Popen[str]) -> None:
        """Log every line; show what is worth it. A full disk must not stop the reading."""
        log = None
        try:
            log = self.log_path.open("a", buffering=1)
        except OSError as error:
            say(self.name, f"cannot write {self.log_path}: {error.strerror}")
        for line in process.stdout or ():
            self.tail.append(line.rstrip())
            if log is not None:
                try:
                    log.write(line)
                except OSError as error:
                    say(self.name, f"cannot write {self.log_path}: {error.strerror}")
                    log = None
            shown = readable(line, verbose=self.verbose)
            if shown:
                say(self.name, shown)
            if self.on_line is not None:
                self.on_line(line)
        if log is not None:
            log.close()

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None and self.process.poll() is None else None

    def look(self, now: float) -> None:
        """Start it again when it has ended and its pause is over; tell when it has just ended."""
        if self.process is None or self.process.poll() is None:
            return
        if self.start_again_at == 0.0:
            self._signal_group(signal.SIGKILL)  # a killed worker leaves its pool behind
            self.crashes = 1 if now - self.started_at > STEADY_SECONDS else self.crashes + 1
            pause = backoff(self.crashes)
            self.start_again_at = now + pause
            say(
                self.name,
                f"ended ({exit_text(self.process.returncode)}); again in {pause:.0f} s. Log: {self.log_path}",
            )
            for line in list(self.tail)[-5:]:
                say(self.name, f"  {line[:300]}")
        elif now >= self.start_again_at:
            say(self.name, "starting again")
            self.start()

    def ask_to_stop(self) -> None:
        """Send the stop signal, without waiting; the process tells its own children."""
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, self.stop_signal)

    def finish(self) -> None:
        """Wait until it has ended, with SIGKILL after its grace."""
        if self.process is None:
            return
        try:
            self.process.wait(self.grace)
        except subprocess.TimeoutExpired:
            say(self.name, f"did not end within {self.grace:.0f} s: killed")
            self._signal_group(signal.SIGKILL)
            self.process.wait(5)

    def _signal_group(self, number: signal.Signals) -> None:
        """To the session that this process leads, itself included, whether it still lives or not."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)


def exit_text(code: int | None) -> str:
    """`exit code 1`, `killed by SIGKILL`."""
    if code is not None and code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"exit code {code}"
