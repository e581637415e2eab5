"""Ends servers when the process that started them is gone, however it went.

Started with a pipe as standard input, which closes when the parent dies (also by SIGKILL):
    python -m launcher.guard --interrupt PID --terminate PID --kill PID --remove FOLDER
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from launcher.paths import ROOT
from launcher.processes import end_process


def start_guard(*, pids: Mapping[str, int], remove: Path | None = None) -> subprocess.Popen[bytes]:
    """Watch `pids` ({"interrupt" | "terminate" | "kill": pid}); keep the result as long as they shall live"""
    command = [sys.executable, "-m", "launcher.guard"]
    for how, pid in pids.items():
        command += [f"--{how}", str(pid)]
    if remove is not None:
        command += ["--remove", str(remove)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, cwd=ROOT)


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("interrupt", "terminate", "kill"):
        parser.add_argument(f"--{name}", type=int, action="append", default=[])
    parser.add_argument("--remove", type=Path)
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    for pid in options.kill:
        end_process(pid, [(signal.SIGKILL, 5.0)])
    for pid in options.terminate:
        end_process(pid, [(signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)])
    for pid in options.interrupt:
        end_process(pid, [(signal.SIGINT, 5.0), (signal.SIGKILL, 5.0)])
    if options.remove is not None:
        shutil.rmtree(options.remove, ignore_errors=True)


if __name__ == "__main__":
    main()
