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
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from launcher.guard import start_guard
from launcher.paths import ROOT
from launcher.postgres import Postgres, copy_cluster, template_dir
from launcher.processes import LauncherError
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


def _start_s3(attempts: int = 3) -> tuple[Seaweed, Path]:
    """A running server. Its ports are chosen before it binds them, so another process may be faster: try again."""
    while True:
        attempts -= 1
        folder = Path(tempfile.mkdtemp(prefix="llmops-s3-"))
        server = Seaweed(folder, folder / "s3.log")
        try:
            server.start()
            _wait_writable(server)
        except (LauncherError, BotoCoreError, ClientError):
            server.stop()
            shutil.rmtree(folder, ignore_errors=True)
            if attempts <= 0:
                raise
        else:
            return server, folder


def _wait_writable(server: Seaweed, seconds: float = 90.0) -> None:
    """Its port answers some seconds before its first volume takes a large object."""
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )
    deadline = time.monotonic() + seconds
    while True:
        try:
            if "ready" not in {row["Name"] for row in client.list_buckets()["Buckets"]}:
                client.create_bucket(Bucket="ready")
            client.put_object(Bucket="ready", Key="probe", Body=b"0" * 9_000_000)
            client.delete_object(Bucket="ready", Key="probe")
            return
        except (BotoCoreError, ClientError):
            if time.monotonic() > deadline:
                raise
            threading.Event().wait(0.5)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Seaweed]:
    """A real S3 server for this test process; `endpoint`, `access_key`, `secret_key` say how to reach it."""
    server, folder = _start_s3()
    pid = server.running_pid()
    guard = start_guard(pids={"kill": pid} if pid else {}, remove=folder)
    yield server
    server.stop()
    if guard.stdin is not None:
        guard.stdin.close()
    guard.wait(timeout=30)
    shutil.rmtree(folder, ignore_errors=True)
