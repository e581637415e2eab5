"""Real PostgreSQL and Valkey for a test run, started before Django reads its settings.

The test settings call `ensure_servers()` first. The first process (pytest itself, or xdist's controller)
starts the servers and exports their addresses; xdist's workers inherit them. Addresses that are given from
outside (DATABASE_URL, REDIS_URL) are used as they are. A guard process ends the servers when the run is gone,
even by SIGKILL.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.guard import start_guard
from launcher.paths import ROOT
from launcher.postgres import Postgres, copy_cluster, template_dir
from launcher.seaweed import Seaweed
from launcher.valkey import Valkey

MARK = "LLMOPS_TEST_FOLDER"
_guards: list[subprocess.Popen[bytes]] = []


def ensure_servers() -> None:
    """Start what is missing and export DATABASE_URL, REDIS_URL and LLMOPS_VAR_DIR; later calls do nothing."""
    if os.environ.get(MARK):
        return
    folder = Path(tempfile.mkdtemp(prefix="llmops-test-"))
    folder.chmod(0o711)
    pids: dict[str, int] = {}
    if not os.environ.get("DATABASE_URL"):
        postgres = Postgres(folder / "pg", folder / "s", folder / "postgres.log", fast=True)
        copy_cluster(template_dir(ROOT / "var" / "cache"), postgres.data_dir)
        postgres.start()
        pids["interrupt"] = postgres.running_pid() or 0
        os.environ["DATABASE_URL"] = postgres.url("postgres")
    if not os.environ.get("REDIS_URL"):
        valkey = Valkey(folder / "v", folder / "valkey.log")
        valkey.start()
        pids["terminate"] = valkey.running_pid() or 0
        os.environ["REDIS_URL"] = valkey.url()
    os.environ["LLMOPS_VAR_DIR"] = str(folder / "var")
    os.environ[MARK] = str(folder)
    _guards.append(start_guard(pids=pids, remove=folder))
    atexit.register(_release)


def _release() -> None:
    """Let the guard end the servers and wait for it, so that the next run finds a quiet machine."""
    while _guards:
        guard = _guards.pop()
        if guard.stdin is not None:
            guard.stdin.close()
        guard.wait(timeout=30)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Seaweed]:
    """A real S3 server for this test process; `endpoint`, `access_key`, `secret_key` say how to reach it."""
    folder = Path(tempfile.mkdtemp(prefix="llmops-s3-"))
    server = Seaweed(folder, folder / "s3.log")
    server.start()
    server.ensure_bucket("ready")
    pid = server.running_pid()
    guard = start_guard(pids={"kill": pid} if pid else {}, remove=folder)
    yield server
    server.stop()
    if guard.stdin is not None:
        guard.stdin.close()
    guard.wait(timeout=30)
    shutil.rmtree(folder, ignore_errors=True)
