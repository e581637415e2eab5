"""The gateway against a bare proxy: CPU per call and per chunk, and latency, alternating on the same machine.

Run: ``python -m tests.benchmarks.bench_gateway [--calls 400]``. Both stand in front of the same model server that
answers at once. The gateway checks the token, finds and authorises the route, validates, meters and books; the
proxy passes bytes. CPU is that of the server's process tree.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmops.settings.test")
os.environ.setdefault("LLMOPS_LOG_LEVEL", "ERROR")

import django

django.setup()

import aiohttp
import psutil
from django.db import connection
from django.test.utils import setup_databases, setup_test_environment, teardown_databases

from apps.accounts.services import token_issue
from apps.core import clock
from apps.governance.models import UsageRecord
from tests.benchmarks.gateway_peers import CHUNKS
from tests.catalog.support import make_model
from tests.serving.support import answering_endpoint, approve
from tests.support.cast import make_cast

PORTS = {"upstream": 25100, "gateway": 25101, "proxy": 25102}
BODY: dict[str, Any] = {"model": "bench", "messages": [{"role": "user", "content": "one two three four five"}]}


@dataclass
class Figures:
    """What one run measured; milliseconds."""

    cpu: float
    p50: float
    p99: float
    first: float


def serve(target: str, port: int, **environment: str) -> subprocess.Popen[bytes]:
    """A uvicorn of its own."""
    command = [sys.executable, "-m", "uvicorn", target, "--port", str(port), "--no-access-log"]
    return subprocess.Popen([*command, "--log-level", "error"], env={**os.environ, **environment})


async def ready(port: int) -> None:
    """Wait until something listens."""
    for _ in range(600):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
            continue
        writer.close()
        return
    raise RuntimeError(f"nothing listens on {port}")


def cpu_of(process: subprocess.Popen[bytes]) -> float:
    """CPU seconds of a process and its children so far."""
    root = psutil.Process(process.pid)
    times = [one.cpu_times() for one in (root, *root.children(recursive=True))]
    return sum(one.user + one.system for one in times)


async def drive(port: int, token: str, calls: int, at_once: int, *, stream: bool) -> tuple[list[float], list[float]]:
    """Make ``calls`` calls, ``at_once`` at a time; returns total and first-byte times in seconds."""
    totals: list[float] = []
    firsts: list[float] = []
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    body = {**BODY, "stream": True} if stream else BODY
    left = iter(range(calls))

    async def one(session: aiohttp.ClientSession) -> None:
        for _ in left:
            began = time.perf_counter()
            async with session.post(url, json=body) as answer:
                if answer.status != 200:
                    raise RuntimeError(await answer.text())
                seen = False
                async for _chunk in answer.content.iter_any():
                    if not seen:
                        firsts.append(time.perf_counter() - began)
                        seen = True
            totals.append(time.perf_counter() - began)

    connector = aiohttp.TCPConnector(limit=0)
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        await asyncio.gather(*(one(session) for _ in range(at_once)))
    return totals, firsts


def measure(
    name: str, process: subprocess.Popen[bytes], token: str, calls: int, at_once: int, *, stream: bool
) -> Figures:
    """One run."""
    before = cpu_of(process)
    totals, firsts = asyncio.run(drive(PORTS[name], token, calls, at_once, stream=stream))
    cpu = cpu_of(process) - before
    totals.sort()
    return Figures(
        cpu=cpu / calls * 1000,
        p50=statistics.median(totals) * 1000,
        p99=totals[int(len(totals) * 0.99) - 1] * 1000,
        first=statistics.median(firsts) * 1000,
    )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    setup_test_environment()
    names = setup_databases(verbosity=0, interactive=False)
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        cast = make_cast()
        upstream = f"http://127.0.0.1:{PORTS['upstream']}"
        answering_endpoint(approve(make_model(cast.ada, cast.support)), url=upstream, upstream_model="m", route="bench")
        expires = clock.now() + timedelta(hours=1)
        token = token_issue(user=cast.ada, name="bench", scopes=["inference"], expires_at=expires).value
        database = os.environ["DATABASE_URL"]
        ours = database.replace("/postgres?", f"/{connection.settings_dict['NAME']}?")
        processes["upstream"] = serve("tests.benchmarks.gateway_peers:model_server", PORTS["upstream"])
        processes["gateway"] = serve("llmops.gateway:application", PORTS["gateway"], DATABASE_URL=ours)
        processes["proxy"] = serve("tests.benchmarks.gateway_peers:bare_proxy", PORTS["proxy"], BENCH_UPSTREAM=upstream)
        for port in PORTS.values():
            asyncio.run(ready(port))
        calls = 0
        print("kind       c   server   CPU ms/call   p50 ms   p99 ms   first ms")
        for stream in (False, True):
            for at_once in (1, 16, 64):
                found: dict[str, list[Figures]] = {"gateway": [], "proxy": []}
                for repeat in range(options.repeats + 1):
                    for name, figures in found.items():
                        run = measure(name, processes[name], token, options.calls, at_once, stream=stream)
                        calls += options.calls if name == "gateway" else 0
                        if repeat:  # the first round warms up
                            figures.append(run)
                for name, figures in found.items():
                    row = [
                        statistics.median(getattr(one, key) for one in figures)
                        for key in ("cpu", "p50", "p99", "first")
                    ]
                    kind = "stream" if stream else "whole"
                    print(f"{kind:8} {at_once:3}   {name:8} {row[0]:9.3f} {row[1]:10.2f} {row[2]:8.2f} {row[3]:8.2f}")
                    if stream:
                        print(f"{'':24} {row[0] / CHUNKS * 1000:9.1f} µs CPU a chunk")
        processes["gateway"].terminate()
        processes["gateway"].wait(30)
        booked = UsageRecord.objects.filter(kind="requests").count()
        print(f"calls {calls}, booked {booked}: {'nothing lost' if booked == calls else 'LOST SOME'}")
    finally:
        for process in processes.values():
            process.terminate()
            process.wait(30)
        teardown_databases(names, verbosity=0)


if __name__ == "__main__":
    main()
