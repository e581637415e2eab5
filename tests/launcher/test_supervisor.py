"""P-7, P-8: `make run` itself, with an empty portal: starts, mends, refuses a second one, ends without leftovers."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from launcher.processes import process_alive
from tests.support.running import PATIENCE, RunningPortal

pytestmark = pytest.mark.slow


@pytest.fixture
def portals(tmp_path: Path) -> Iterator[Callable[[], RunningPortal]]:
    """Starts portals on one var folder; ends those that a failing test leaves."""
    started: list[RunningPortal] = []

    def start() -> RunningPortal:
        started.append(RunningPortal(tmp_path / "var"))
        return started[-1]

    yield start
    for portal in started:
        portal.kill_all()


def test_portal_starts_mends_and_ends_without_leftovers(portals: Callable[[], RunningPortal]) -> None:
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
    assert not third.leftovers()
