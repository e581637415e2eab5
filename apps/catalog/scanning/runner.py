"""Run the scanner in its own process, with limits and without the portal's environment."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from apps.catalog.scanning.directory import too_big
from apps.catalog.scanning.facts import combine
from apps.catalog.scanning.formats import classify
from apps.catalog.scanning.types import FileReport, ModelReport, Verdict

ROOT = Path(__file__).resolve().parents[3]
DEFAULT_MEMORY = 2 * 1024**3  # bytes of address space
DEFAULT_SECONDS = 300  # processor and wall time for all files together
LINE_LIMIT = 4 * 1024**2  # bytes of one report


class ScannerBroken(Exception):
    """The scanner did not start or spoke nonsense: a fault of the installation, not of the file."""


def scan_directory(
    directory: Path,
    filenames: Sequence[str],
    *,
    memory_bytes: int = DEFAULT_MEMORY,
    seconds: int = DEFAULT_SECONDS,
    on_file: Callable[[int, FileReport], None] | None = None,
) -> ModelReport:
    """Scan *filenames* in *directory*; *on_file(done, report)* is called after each.

    A file on which the scanner dies (memory, time, crash) is reported as failed, and the rest is scanned by a
    fresh process. Raises ``ScannerBroken`` when no file can be scanned for a reason of our own.
    """
    report = ModelReport()
    remaining = sorted(filenames)
    deadline = time.monotonic() + seconds
    while remaining:
        if time.monotonic() < deadline:
            order = {"filenames": remaining, "siblings": sorted(filenames), "memory_bytes": memory_bytes}
            done = _scan_until_death(directory, order, deadline)
        else:
            done = [_stopped(filename) for filename in remaining]
        for entry in done:
            report.files.append(entry)
            if on_file is not None:
                on_file(len(report.files), entry)
        remaining = remaining[len(done) :]
    report.facts = combine(report.files)
    return report


def _stopped(filename: str) -> FileReport:
    known = classify(filename)
    return FileReport(filename, known[0] if known else "unknown", Verdict.FAILED, [too_big()])


def _scan_until_death(directory: Path, order: dict[str, Any], deadline: float) -> list[FileReport]:
    """Scan until all are done or the process dies; return the reports so far, the fatal file's included."""
    seconds = max(1.0, deadline - time.monotonic())
    process = subprocess.Popen(
        [sys.executable, "-m", "apps.catalog.scanning", str(directory)],
        cwd=ROOT,
        env={"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    filenames = order["filenames"]
    if process.stdin is None or process.stdout is None:
        raise ScannerBroken("The scanner process has no pipes.")
    try:
        _send(process.stdin, json.dumps({**order, "cpu_seconds": int(seconds) + 1}).encode())
        reports, started = _read_reports(process.stdout, deadline)
    finally:
        _end(process)
        process.stdout.close()
    if started is None and len(reports) < len(filenames):
        raise ScannerBroken(f"The scanner ended with status {process.returncode} before it opened a file.")
    if len(reports) < len(filenames):  # it died in the middle of a file: that file is to blame
        reports.append(_stopped(filenames[len(reports)]))
    return reports


def _send(pipe: IO[bytes], data: bytes) -> None:
    try:
        pipe.write(data)
        pipe.close()
    except BrokenPipeError:
        pass  # it died at once; the missing reports say so


def _read_reports(pipe: IO[bytes], deadline: float) -> tuple[list[FileReport], str | None]:
    """Read lines until end of file or *deadline*; return the reports and the last file begun."""
    reports: list[FileReport] = []
    started: str | None = None
    buffer = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not selector.select(left):
                return reports, started
            chunk = os.read(pipe.fileno(), 65536)
            if not chunk:
                return reports, started
            buffer += chunk
            if len(buffer) > LINE_LIMIT:
                return reports, started
            *lines, buffer = buffer.split(b"\n")
            for line in lines:
                message = json.loads(line)
                if "start" in message:
                    started = str(message["start"])
                else:
                    reports.append(FileReport.from_json(message))


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
