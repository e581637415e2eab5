"""What a person at the terminal sees: steps with their time, what a long command is doing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from launcher.processes import LauncherError

# A line of its own every so often where the terminal cannot rewrite one (a log file, CI).
PLAIN_EVERY_SECONDS = 15.0
TAIL_LINES = 12


def seconds_text(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 05 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"


class Status:
    """One line that says what is going on; rewritten in place on a terminal, repeated elsewhere."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.started = time.monotonic()
        self.detail = ""
        self._last_plain = self.started
        self._terminal = sys.stdout.isatty()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Self:
        if self._terminal:
            self._thread.start()
        else:
            print(f"  … {self.title}", flush=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        if self._terminal:
            self._thread.join()
            sys.stdout.write("\r\033[K")
        mark = "✔" if kind is None else "✘"
        print(f"  {mark} {self.title} ({seconds_text(time.monotonic() - self.started)})", flush=True)

    def say(self, detail: str) -> None:
        """Set what is being done right now."""
        self.detail = detail
        now = time.monotonic()
        if not self._terminal and now - self._last_plain >= PLAIN_EVERY_SECONDS:
            self._last_plain = now
            print(f"    {seconds_text(now - self.started)}: {detail}", flush=True)

    def _tick(self) -> None:
        while not self._stop.wait(0.2):
            width = max(40, _terminal_width()) - 1
            line = f"  … {self.title} ({seconds_text(time.monotonic() - self.started)}) {self.detail}"
            sys.stdout.write(f"\r\033[K{line[:width]}")
            sys.stdout.flush()


def _terminal_width() -> int:
    try:
        return os.get_terminal_size().columns
    except OSError:
        return 100


@contextmanager
def step(title: str) -> Iterator[Status]:
    """A step of the start, with progress and time."""
    with Status(title) as status:
        yield status


def run_logged(
    command: Sequence[str | Path],
    *,
    log: Path,
    status: Status | None = None,
    describe: Callable[[str], str | None] = lambda line: line,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    remedy: str = "",
) -> str:
    """Run `command`, append its output to `log`, show what `describe` makes of its lines; returns the output.

    Raises LauncherError with the last lines of the output and `remedy` when it fails.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    with log.open("a") as handle:
        handle.write(f"$ {' '.join(map(str, command))}\n")
        try:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env=None if env is None else {**os.environ, **env},
                cwd=cwd,
            )
        except OSError as error:
            raise LauncherError(f"Could not run {command[0]}: {error.strerror}. {remedy}".strip()) from error
        output = process.stdout
        try:
            for line in output or ():
                handle.write(line)
                lines.append(line.rstrip())
                detail = describe(line.strip()) if status else None
                if status and detail:
                    status.say(detail)
        finally:
            if process.poll() is None and sys.exc_info()[0] is not None:
                process.terminate()
            code = process.wait()
    if code != 0:
        tail = "\n".join(f"    {line}" for line in lines[-TAIL_LINES:])
        raise LauncherError(
            f"`{Path(command[0]).name}` failed (exit code {code}):\n{tail}\n{remedy}\nLog: {log}".strip()
        )
    return "\n".join(lines)
