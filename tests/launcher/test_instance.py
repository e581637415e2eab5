"""P-7: one portal per folder, a busy port and the log lines of what is supervised."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path

import pytest

from launcher.children import Child, backoff, exit_text, readable
from launcher.console import seconds_text
from launcher.instance import check_port, claim_instance, port_owner, running_instance
from launcher.processes import LauncherError


def test_second_portal_is_told_about_the_first(tmp_path: Path) -> None:
    """P-7: two portals on one database folder would work against each other."""
    with claim_instance(tmp_path, "http://127.0.0.1:8000"):
        with pytest.raises(LauncherError, match=rf"running already: http://127.0.0.1:8000 \(pid {os.getpid()}\)"):
            claim_instance(tmp_path, "http://127.0.0.1:8001")
        running = running_instance(tmp_path)
        assert running is not None
        assert running.pid == os.getpid()
    assert running_instance(tmp_path) is None, "a lock that nobody holds means that nobody runs"
    claim_instance(tmp_path, "http://127.0.0.1:8002").close()


def test_busy_port_names_its_owner_and_another_port() -> None:
    """P-7: a taken port is told with who has it and what to say instead."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        assert port_owner(port) == os.getpid()
        with pytest.raises(LauncherError, match=rf"Port {port} is taken by pid {os.getpid()} .*PORT={port + 1}"):
            check_port("127.0.0.1", port)
    check_port("127.0.0.1", port)


def test_pause_before_a_restart_grows_and_ends_at_half_a_minute() -> None:
    """P-7: a process that keeps crashing does not take the machine with it."""
    assert [backoff(crashes) for crashes in (1, 2, 3, 4, 5, 6, 60)] == [1, 2, 4, 8, 16, 30, 30]


def test_crashed_child_starts_again_after_its_pause(tmp_path: Path) -> None:
    """P-7: the supervisor restarts what ended, and not before its pause is over."""
    counter = tmp_path / "count"
    code = f"open({str(counter)!r}, 'a').write('x'); raise SystemExit(3)"
    child = Child("worker", [sys.executable, "-c", code], tmp_path / "worker.log", {})
    child.start()
    assert child.process is not None
    child.process.wait(30)
    now = time.monotonic()
    child.look(now)
    child.look(now + 0.5)
    assert counter.read_text() == "x"
    child.look(now + 1.1)
    child.process.wait(30)
    assert counter.read_text() == "xx"


def test_warnings_reach_the_terminal_and_chatter_only_the_log() -> None:
    """P-5, P-7: the terminal shows what needs a person; the file has everything."""
    quiet = json.dumps({"event": "request_finished", "level": "info", "code": 200})
    loud = json.dumps({"event": "scan failed", "level": "error", "dataset": "d1", "timestamp": "now"})
    assert readable(quiet, verbose=False) is None
    assert readable(loud, verbose=False) == "ERROR scan failed dataset=d1"
    refused = json.dumps({"event": "request_finished", "level": "warning", "code": 422})
    assert readable(refused, verbose=False) is None, "a refused request is the caller's trouble"
    assert readable("banner", verbose=False) is None
    assert readable("banner\n", verbose=True) == "banner"
    assert readable("{not json", verbose=False) is None


def test_ends_and_times_are_told_in_words() -> None:
    """P-7: messages for people."""
    assert exit_text(1) == "exit code 1"
    assert exit_text(-9) == "killed by SIGKILL"
    assert [seconds_text(value) for value in (0.42, 12.3, 185)] == ["0.4 s", "12 s", "3 min 05 s"]
