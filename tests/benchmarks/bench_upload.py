"""Uploads of many gigabytes through the portal's own server, beside copying and hashing the same file.

Run: ``python -m tests.benchmarks.bench_upload [--gib 5] [--repeats 2]``. A real portal process (uvicorn, as
`make run` starts it) with a database of its own; this process is the client and sends pieces of 64 MiB. "Copy +
SHA-256" reads the same file once, writes it elsewhere and hashes it. The two alternate. Memory is the growth of the
portal process's peak (VmHWM) over the run; CPU is that of the portal process.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmops.settings.test")
os.environ.setdefault("LLMOPS_LOG_LEVEL", "ERROR")

import django

django.setup()

from django.conf import settings
from django.db import connection
from django.test.utils import setup_databases, setup_test_environment, teardown_databases

from apps.accounts.services import token_issue
from apps.catalog import services as catalog
from apps.core import clock
from apps.core.permissions import Scope
from launcher.paths import ROOT
from tests.support.cast import make_cast

MIB = 1024 * 1024
PIECE = 64 * MIB


def portal_environment(var: Path) -> dict[str, str]:
    """The portal's environment: the test database, a store under ``var``."""
    server = urlsplit(os.environ["DATABASE_URL"])
    address = urlunsplit(server._replace(path=f"/{connection.settings_dict['NAME']}"))
    return {
        **os.environ,
        "DATABASE_URL": address,
        "LLMOPS_VAR_DIR": str(var),
        "LLMOPS_READ_ENV_FILES": "false",
        "DJANGO_SETTINGS_MODULE": "llmops.settings.test",
    }


@contextmanager
def portal(var: Path) -> Iterator[tuple[str, int]]:
    """A running portal: its address and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "llmops.asgi:application",
        "--port",
        str(port),
        "--log-level",
        "warning",
    ]
    process = subprocess.Popen(command, cwd=ROOT, env=portal_environment(var))
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{url}/healthz", timeout=2)
                break
            except OSError:
                time.sleep(0.2)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(timeout=20)


def peak_mib(pid: int) -> float:
    """Peak resident memory so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def cpu_seconds(pid: int) -> float:
    """CPU time used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def call(url: str, token: str, body: Any = None) -> Any:
    """A JSON call."""
    request = urllib.request.Request(
        url,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=600) as answer:
        return json.load(answer)["data"]


def upload(url: str, token: str, model_id: str, source: Path, name: str) -> tuple[float, float]:
    """Send ``source`` in pieces and take it; returns seconds until all bytes are kept, and until it is taken."""
    base = f"{url}/llm-ops/v1/catalog/models/{model_id}/uploads"
    began = time.perf_counter()
    size = source.stat().st_size
    upload_id = call(base, token, {"filename": name, "size": size})["id"]
    link = http.client.HTTPConnection(url.removeprefix("http://"), blocksize=MIB)
    with source.open("rb") as handle:
        for start in range(0, size, PIECE):
            length = min(PIECE, size - start)
            headers = {
                "Authorization": f"Bearer {token}",
                "Content-Type": "application/offset+octet-stream",
                "Upload-Offset": str(start),
                "Content-Length": str(length),
            }
            blocks = (handle.read(MIB) for _ in range(-(-length // MIB)))
            link.request("PATCH", f"{base.removeprefix(url)}/{upload_id}", blocks, headers)
            answer = link.getresponse()
            told = answer.read()
            assert answer.status == 200, told
    link.close()
    kept = time.perf_counter() - began
    # The settings of tests run tasks within the request, so the answer comes when all is hashed and in place.
    operation = call(f"{base}/complete", token, {"uploadIds": [upload_id]})
    state = call(f"{url}/llm-ops/v1/operations/{operation['id']}", token)
    assert state["status"] == "succeeded", state
    return kept, time.perf_counter() - began


def copy_and_hash(source: Path, target: Path) -> tuple[float, str]:
    """The floor: read, hash, write, in one pass."""
    began = time.perf_counter()
    digest = hashlib.sha256()
    with source.open("rb") as read, target.open("wb") as write:
        while chunk := read.read(MIB):
            digest.update(chunk)
            write.write(chunk)
        os.fsync(write.fileno())
    return time.perf_counter() - began, digest.hexdigest()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--gib", type=float, default=5)
    parser.add_argument("--repeats", type=int, default=2)
    asked = parser.parse_args()
    setup_test_environment()
    names = setup_databases(verbosity=0, interactive=False)
    work = Path(tempfile.mkdtemp(prefix="bench-upload-", dir=settings.VAR_DIR))
    try:
        cast = make_cast()
        model = catalog.model_create(
            actor=cast.ada, name="big", version="1", type="base", owner_team=cast.support, metadata={}
        )
        expires = clock.now() + timedelta(hours=2)
        token = token_issue(user=cast.ada, name="bench", scopes=list(Scope), expires_at=expires).value
        source = work / "source.bin"
        block = os.urandom(64 * MIB)
        with source.open("wb") as handle:
            for _ in range(int(asked.gib * 16)):
                handle.write(block)
        floors, keeps, takes, floor_cpu = [], [], [], 0.0
        (work / "var").mkdir()
        with portal(work / "var") as (url, pid):
            call(f"{url}/llm-ops/v1/me", token)
            before, cpu = peak_mib(pid), cpu_seconds(pid)
            for number in range(asked.repeats):
                own = time.process_time()
                floor, _ = copy_and_hash(source, work / "copy.bin")
                floor_cpu += (time.process_time() - own) / asked.repeats
                (work / "copy.bin").unlink()
                floors.append(floor)
                kept, taken = upload(url, token, str(model.pk), source, f"weights-{number}.bin")
                keeps.append(kept)
                takes.append(taken)
            growth, used = peak_mib(pid) - before, (cpu_seconds(pid) - cpu) / asked.repeats
        floor, kept, taken = (statistics.median(rows) for rows in (floors, keeps, takes))
        print(f"{asked.gib:g} GiB, {asked.repeats} repeats, medians of wall seconds")
        print(f"copy + SHA-256        {floor:8.1f}")
        print(f"upload, bytes kept    {kept:8.1f}   {kept / floor:.2f}x")
        print(f"upload, taken         {taken:8.1f}   {taken / floor:.2f}x  (hashed, moved, registered)")
        print(f"portal: memory grew {growth:.0f} MiB, {used:.1f} s CPU per upload (copy + SHA-256: {floor_cpu:.1f} s)")
    finally:
        teardown_databases(names, verbosity=0)
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
