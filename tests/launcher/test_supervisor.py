"""P-7, P-8: `make run` itself, with an empty portal: starts, mends, refuses a second one, ends without leftovers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from launcher.paths import ROOT
from launcher.processes import process_alive

pytestmark = pytest.mark.slow
PATIENCE = 120.0
# What a test run exports for itself must not reach the portal under test.
FOREIGN = (
    "DATABASE_URL",
    "REDIS_URL",
    "DJANGO_SETTINGS_MODULE",
    "LLMOPS_TEST_FOLDER",
    "LLMOPS_READ_ENV_FILES",
    "DEBUG",
)


class Portal:
    """A supervisor as a person starts it, and what it has said so far."""

    def __init__(self, var: Path, port: int) -> None:
        self.var = var
        self.url = f"http://127.0.0.1:{port}"
        env = {key: value for key, value in os.environ.items() if key not in FOREIGN and "PYTEST" not in key}
        env |= {"LLMOPS_VAR_DIR": str(var), "PORT": str(port), "DEMO": "0"}
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

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not happen:\n" + "\n".join(self.said)
            time.sleep(0.05)

    def pids(self) -> dict[str, int]:
        children = json.loads((self.var / "children.json").read_text())["children"]
        return {name: entry["pid"] for name, entry in children.items()}

    def kill_all(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def portals(tmp_path: Path) -> Iterator[Callable[[], Portal]]:
    """Starts portals on one var folder; ends those that a failing test leaves."""
    started: list[Portal] = []

    def start() -> Portal:
        started.append(Portal(tmp_path / "var", free_port()))
        return started[-1]

    yield start
    for portal in started:
        portal.kill_all()


def test_portal_starts_mends_and_ends_without_leftovers(portals: Callable[[], Portal]) -> None:
    """P-7, P-8: a killed worker comes back, a killed supervisor is cleaned up after, SIGTERM ends everything."""
    first = portals()
    first.until(lambda: first.hears("ready: "), "the start")
    with urlopen(f"{first.url}/healthz", timeout=10) as response:
        assert response.status == 200
    assert first.hears("manage.py bootstrap_admin"), "an empty portal says how the first administrator signs in"
    worker = first.pids()["worker"]
    os.kill(worker, signal.SIGKILL)
    first.until(lambda: first.pids().get("worker", worker) != worker, "the restart of the worker")
    assert first.hears("killed by SIGKILL")

    second = portals()
    assert second.process.wait(PATIENCE) == 1
    second.until(lambda: second.hears("running already"), "the refusal of a second portal")

    orphans = first.pids()
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait(10)
    third = portals()
    third.until(lambda: third.hears("ready: "), "the start after a killed supervisor")
    assert third.hears("left worker")
    assert not [name for name, pid in orphans.items() if process_alive(pid)]
    assert (third.var / "secret_key").stat().st_mode & 0o777 == 0o600

    running = third.pids()
    third.process.send_signal(signal.SIGTERM)
    assert third.process.wait(PATIENCE) == 0
    assert not [name for name, pid in running.items() if process_alive(pid)]
    assert not (third.var / "postgres" / "postmaster.pid").exists(), "the database was ended in good order"
    assert not (third.var / "run" / "valkey.sock").exists()
