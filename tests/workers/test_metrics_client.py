"""Metrics on their way (FR-005f): whatever the portal does, training neither waits nor fails."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from workers.contracts import MetricsSink
from workers.trainer import metrics_client
from workers.trainer.metrics_client import MetricsSender


class Portal(ThreadingHTTPServer):
    """A metrics endpoint that answers as scripted: one status per request, then 200."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[int] = []
        self.seen: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.gate = threading.Event()
        self.gate.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/metrics"


class Handler(BaseHTTPRequestHandler):
    server: Portal

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.gate.wait(5)
        self.server.seen.append((dict(self.headers), body))
        status = self.server.script.pop(0) if self.server.script else 200
        self.send_response(status)
        if status == 302:
            self.send_header("Location", self.server.url)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_request(self, code: object = "-", size: object = "-") -> None:
        return


@pytest.fixture
def portal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Portal]:
    """The endpoint, and retries without long pauses."""
    monkeypatch.setattr(metrics_client, "FIRST_PAUSE", 0.01)
    server = Portal()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.gate.set()
    server.shutdown()
    server.server_close()


def sender(url: str, **changes: Any) -> MetricsSender:
    """A sender with short times."""
    values: dict[str, Any] = {"url": url, "flush_seconds": 0.01, "drain_seconds": 2.0}
    return MetricsSender(MetricsSink(**(values | changes)), "secret-token")


def test_trainer_can_send_metrics_in_batches(portal: Portal) -> None:
    """FR-005f: everything arrives once, in order, in batches, with the job's token and an idempotency key."""
    client = sender(portal.url, batch_size=4)
    for step in range(5):
        client.record(step, {"loss": 1.0 / (step + 1), "tokens_per_second": 10.0})
    client.close()
    sent = [metric for _, body in portal.seen for metric in body["metrics"]]
    assert [(metric["name"], metric["step"]) for metric in sent] == [
        (name, step) for step in range(5) for name in ("loss", "tokens_per_second")
    ]
    assert sent[1]["unit"] == "tokens/s"
    assert all(len(body["metrics"]) <= 4 for _, body in portal.seen)
    assert {headers["Authorization"] for headers, _ in portal.seen} == {"Bearer secret-token"}
    keys = [headers["Idempotency-Key"] for headers, _ in portal.seen]
    assert len(set(keys)) == len(keys)
    assert (client.delivered, client.lost) == (10, 0)


def test_trainer_can_retry_with_the_same_key(portal: Portal) -> None:
    """FR-005f: server errors and rate limits are retried; the key stays, so nothing is recorded twice."""
    portal.script = [500, 503, 429]
    client = sender(portal.url)
    client.record(1, {"loss": 1.0})
    client.close()
    keys = [headers["Idempotency-Key"] for headers, _ in portal.seen]
    assert len(keys) == 4
    assert len(set(keys)) == 1
    assert (client.delivered, client.lost) == (1, 0)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_trainer_cannot_flood_a_portal_that_refuses_its_token(portal: Portal, status: int) -> None:
    """FR-005f: a refused token ends sending; the rest is counted as lost."""
    portal.script = [status]
    client = sender(portal.url)
    client.record(1, {"loss": 1.0})
    while not portal.seen:
        time.sleep(0.005)
    client.record(2, {"loss": 1.0})
    client.close()
    assert len(portal.seen) == 1
    assert (client.delivered, client.lost) == (0, 2)


def test_trainer_cannot_be_redirected_with_its_token(portal: Portal) -> None:
    """FR-005f: a redirect is not followed; the token stays where it belongs."""
    portal.script = [302]
    client = sender(portal.url)
    client.record(1, {"loss": 1.0})
    client.close()
    assert len(portal.seen) == 1
    assert client.lost == 1


def test_trainer_cannot_be_held_up_by_a_slow_portal(portal: Portal) -> None:
    """FR-005f: recording returns at once and closing is bounded, even while the portal hangs."""
    portal.gate.clear()
    client = sender(portal.url, drain_seconds=0.1)
    started = time.monotonic()
    for step in range(1000):
        client.record(step, {"loss": 1.0})
    recording = time.monotonic() - started
    client.close()
    whole = time.monotonic() - started
    assert recording < 1.0
    assert whole < 3.0
    assert client.lost == 1000


def test_trainer_cannot_fail_on_a_portal_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """FR-005f: refused connections are retried until time is up, then counted."""
    monkeypatch.setattr(metrics_client, "FIRST_PAUSE", 0.01)
    client = sender("http://127.0.0.1:1/metrics", drain_seconds=0.05)
    client.record(1, {"loss": 1.0})
    client.close()
    assert (client.delivered, client.lost) == (0, 1)


def test_trainer_cannot_fill_memory_with_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """FR-005f: the buffer is bounded; the oldest metrics go and are counted."""
    monkeypatch.setattr(metrics_client, "BUFFER_LIMIT", 10)
    client = sender("http://127.0.0.1:1/metrics", flush_seconds=60, drain_seconds=0)
    for step in range(50):
        client.record(step, {"loss": 1.0})
    client.close()
    assert client.lost == 50
