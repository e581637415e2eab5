"""Metrics on their way to the portal: buffered, in batches, in a thread of their own.

Training only ever appends to a list in memory. Whatever happens on the network (slow, refused, down, a token
that expired), the worst outcome is that metrics are missing in the portal; the local file has them all.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import deque
from pathlib import Path
from typing import Any, Protocol, TextIO

import httpx

from workers.contracts import MetricsSink
from workers.runtime.environment import say, timestamp

REQUEST_SECONDS = 10.0
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
BUFFER_LIMIT = 200_000
"""Metrics held while the portal is away; beyond this the oldest go. About 40 MB."""
UNITS = {
    "tokens_per_second": "tokens/s",
    "memory_bytes": "bytes",
    "gpu_memory_bytes": "bytes",
    "epoch": "epochs",
}

Metric = dict[str, Any]


class Recorder(Protocol):
    """Where the training loop leaves its figures."""

    def record(self, step: int, values: dict[str, float]) -> None:
        """Take the figures of one step; never blocks for long, never raises."""


class MetricsFile:
    """Every figure as one JSON line on disk."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle: TextIO | None = path.open("a", encoding="utf-8")

    def record(self, step: int, values: dict[str, float]) -> None:
        """Append and flush. A full disk silences the file; saving the model will say so loudly."""
        if self._handle is None:
            return
        try:
            for metric in as_metrics(step, values):
                self._handle.write(json.dumps(metric) + "\n")
            self._handle.flush()
        except OSError as error:
            say(f"warning: the metrics file cannot be written any more: {error}")
            self._handle = None

    def close(self) -> None:
        """Close the file."""
        if self._handle is not None:
            self._handle.close()


def as_metrics(step: int, values: dict[str, float]) -> list[Metric]:
    """Figures of one step in the API's form."""
    now = timestamp()
    return [
        {"name": name, "value": value, "step": step, "timestamp": now}
        | ({"unit": UNITS[name]} if name in UNITS else {})
        for name, value in values.items()
    ]


class MetricsSender:
    """Posts metrics to `sink.url` until closed."""

    def __init__(self, sink: MetricsSink, token: str) -> None:
        self._sink = sink
        # No proxy (it would see the token) and no redirects (they would carry it somewhere else).
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {token}"}, trust_env=False, follow_redirects=False
        )
        self._buffer: deque[Metric] = deque()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._deadline = float("inf")
        self._refused = ""
        self.delivered = 0
        self.lost = 0
        self._flying = 0
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def record(self, step: int, values: dict[str, float]) -> None:
        """Buffer the figures of one step."""
        with self._lock:
            self._buffer.extend(as_metrics(step, values))
            while len(self._buffer) > BUFFER_LIMIT:
                self._buffer.popleft()
                self.lost += 1
            if len(self._buffer) >= self._sink.batch_size:
                self._wake.set()

    def close(self, *, limit: float | None = None) -> None:
        """Send what is left, for `drain_seconds` (or `limit`) at most; what did not arrive counts as lost."""
        seconds = self._sink.drain_seconds if limit is None else min(limit, self._sink.drain_seconds)
        self._deadline = time.monotonic() + seconds
        self._closing.set()
        self._wake.set()
        self._thread.join(seconds + 0.5)
        with self._lock:
            self.lost += len(self._buffer) + self._flying
            self._buffer.clear()
        if self.lost:
            say(f"warning: {self.lost} metrics did not reach the portal; metrics.jsonl has them.")

    def _run(self) -> None:
        while True:
            self._wake.wait(self._sink.flush_seconds)
            self._wake.clear()
            while batch := self._take():
                self._deliver(batch)
            if self._closing.is_set():
                return

    def _take(self) -> list[Metric]:
        with self._lock:
            if self._refused:
                self.lost += len(self._buffer)
                self._buffer.clear()
            size = min(len(self._buffer), self._sink.batch_size)
            self._flying = size
            return [self._buffer.popleft() for _ in range(size)]

    def _deliver(self, batch: list[Metric]) -> None:
        """Post one batch until it is taken, refused for good, or time is up."""
        # One key per batch: an answer lost on the way back does not record the batch twice.
        key = str(uuid.uuid4())
        pause = FIRST_PAUSE
        warned = False
        while True:
            outcome, problem, wait = self._post(batch, key)
            if outcome == "taken":
                self._count(delivered=len(batch))
                return
            if outcome == "refused":
                say(f"warning: the portal refuses metrics: {problem}")
                self._count(lost=len(batch))
                return
            if not warned:
                say(f"warning: metrics cannot be delivered now: {problem}; training goes on, retrying.")
                warned = True
            pause = min(max(wait, pause), LONGEST_PAUSE)
            if time.monotonic() + min(pause, 1.0) > self._deadline:
                self._count(lost=len(batch))
                return
            if self._closing.is_set():
                time.sleep(min(pause, 1.0))
            else:
                self._closing.wait(pause)
            pause *= 2

    def _post(self, batch: list[Metric], key: str) -> tuple[str, str, float]:
        """(taken | refused | later, what happened, seconds the server asks to wait)."""
        left = max(0.2, min(REQUEST_SECONDS, self._deadline - time.monotonic()))
        try:
            response = self._client.post(
                self._sink.url, json={"metrics": batch}, headers={"Idempotency-Key": key}, timeout=left
            )
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return "later", f"{type(error).__name__}: {error}", 0.0
        problem = f"HTTP {response.status_code}"
        if response.is_success:
            return "taken", "", 0.0
        if response.status_code in (401, 403, 404, 410):
            self._refused = problem  # this token or job will not be accepted later either
            return "refused", problem, 0.0
        if response.status_code < 500 and response.status_code not in (408, 425, 429):
            return "refused", problem, 0.0
        wait = response.headers.get("Retry-After", "")
        return "later", problem, float(wait) if wait.isdigit() else 0.0

    def _count(self, *, delivered: int = 0, lost: int = 0) -> None:
        with self._lock:
            self.delivered += delivered
            self.lost += lost
            self._flying = 0
