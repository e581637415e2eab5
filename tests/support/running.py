"""A portal as a person starts it with `make run`, in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from launcher.paths import ROOT
from launcher.processes import process_command

PATIENCE = 240.0
# What a test run exports for itself must not reach the portal under test.
FOREIGN = (
    "DATABASE_URL",
    "REDIS_URL",
    "DJANGO_SETTINGS_MODULE",
    "LLMOPS_TEST_FOLDER",
    "LLMOPS_READ_ENV_FILES",
    "DEBUG",
)


class RunningPortal:
    """A supervisor as a person starts it, and what it has said so far."""

    def __init__(self, var: Path, *, demo: bool = False) -> None:
        self.var = var
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        env = {key: value for key, value in os.environ.items() if key not in FOREIGN and "PYTEST" not in key}
        env |= {"LLMOPS_VAR_DIR": str(var), "PORT": str(port), "DEMO": "1" if demo else "0"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "launcher.verbs", "run"],
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.said: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self.process.stdout or ():
            self.said.append(line.rstrip())

    def hears(self, text: str) -> bool:
        return any(text in line for line in self.said)

    def until(self, condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not happen:\n" + "\n".join(self.said)
            time.sleep(0.05)

    def pids(self) -> dict[str, int]:
        children = json.loads((self.var / "children.json").read_text())["children"]
        return {name: entry["pid"] for name, entry in children.items()}

    def leftovers(self) -> list[str]:
        """Command lines of processes that still work on our folder."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                command = process_command(int(folder.name))
                if str(self.var) in command:
                    found.append(command)
        return found

    def kill_all(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
