"""FR-001c: what the connection test says about a provider, for every way in which one can be out of reach."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from apps.integrations.outbound import OutboundPolicy
from apps.integrations.runtimes import Upstream, external_upstream
from apps.integrations.runtimes.connection import Outcome, connection_probe
from tests.support.model_server import ModelServer

LOCAL = OutboundPolicy.parse(["127.0.0.0/8"])
Answer = Callable[[BaseHTTPRequestHandler], None]


class _Server:
    """One answer for every request, in a thread."""

    def __init__(self, answer: Answer, context: ssl.SSLContext | None = None) -> None:
        self.headers: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.headers.append(dict(self.headers))
                answer(self)

            def log_message(self, *args: Any) -> None:
                """Quiet."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)


@pytest.fixture
def serve() -> Iterator[Callable[..., _Server]]:
    """``serve(answer)`` → a running server."""
    running: list[_Server] = []

    def start(answer: Answer, context: ssl.SSLContext | None = None) -> _Server:
        running.append(_Server(answer, context))
        return running[-1]

    yield start
    for server in running:
        server.stop()


def says(status: int, body: bytes = b"{}", **headers: str) -> Answer:
    """An answer with this status."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def probe(port: int, *, model: str = "m", scheme: str = "http", host: str = "127.0.0.1", **options: Any) -> Any:
    """Test a connection there."""
    upstream = Upstream(f"{scheme}://{host}:{port}", model, {"Authorization": "Bearer sk-test"})
    return connection_probe(upstream, **{"policy": LOCAL, "seconds": 5.0, **options})


def test_provider_that_knows_the_model_is_fine() -> None:
    """FR-001c: against a real server with OpenAI's routes; the latency is told."""
    server = ModelServer(model="small").start()
    try:
        upstream = external_upstream(
            provider="openai_compatible", model_name="small", base_url=f"{server.url}/v1", api_key="sk-1"
        )
        report = connection_probe(upstream, policy=LOCAL, seconds=5.0)
        assert (report.ok, report.outcome) == (True, Outcome.OK)
        assert report.latency_ms > 0
        other = connection_probe(Upstream(server.url, "large"), policy=LOCAL, seconds=5.0)
        assert (other.ok, other.outcome) == (False, Outcome.MODEL_UNKNOWN)
        assert "It has small." in other.detail
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (says(401), Outcome.KEY_REFUSED),
        (says(403), Outcome.FORBIDDEN),
        (says(404), Outcome.NO_ROUTE),
        (says(405), Outcome.NO_ROUTE),
        (says(302, Location="http://169.254.169.254/"), Outcome.NO_ROUTE),
        (says(429), Outcome.RATE_LIMITED),
        (says(500), Outcome.PROVIDER_ERROR),
        (says(503), Outcome.PROVIDER_ERROR),
        (says(418), Outcome.PROVIDER_ERROR),
        (says(200, b"<html>"), Outcome.UNREADABLE),
        (says(200, b"[]"), Outcome.UNREADABLE),
        (says(200, b'{"data": 3}'), Outcome.UNREADABLE),
        (says(200, b'{"data": [{}]}'), Outcome.UNREADABLE),
        (says(200, b"[" * 100_000), Outcome.UNREADABLE),
        (says(200, b" " * 5_000_000), Outcome.UNREADABLE),
        (says(200, b'{"data": []}'), Outcome.MODEL_UNKNOWN),
        (says(200, b'{"data": [{"id": "m:latest"}]}'), Outcome.OK),
        (lambda handler: handler.wfile.write(b"nonsense\r\n\r\n"), Outcome.BROKEN),
    ],
)
def test_answers_are_told_apart(serve: Any, answer: Answer, outcome: Outcome) -> None:
    """FR-001c: each its own outcome and sentence; the key is in none of them."""
    server = serve(answer)
    report = probe(server.port)
    assert report.outcome is outcome
    assert report.detail
    assert "sk-test" not in report.detail
    assert server.headers[0]["Authorization"] == "Bearer sk-test"


def test_silence_is_a_timeout(serve: Any) -> None:
    """FR-001c: the wait is bounded."""
    over = threading.Event()
    server = serve(lambda handler: over.wait(10) and None)
    report = probe(server.port, seconds=0.3)
    over.set()
    assert report.outcome is Outcome.TIMEOUT


def test_nobody_listening_is_refused() -> None:
    """FR-001c: a closed port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    assert probe(port).outcome is Outcome.REFUSED


def test_unknown_name_is_named() -> None:
    """FR-001c: DNS."""
    assert probe(80, host="nowhere.invalid").outcome is Outcome.NAME_UNKNOWN


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "169.254.169.254", "10.0.0.1", "[::1]"])
def test_private_addresses_do_not_pass_the_guard(host: str) -> None:
    """FR-001c: refused before anything is connected, unless an operator lists it."""
    report = probe(80, host=host, policy=OutboundPolicy())
    assert report.outcome is Outcome.ADDRESS_REFUSED
    assert "LLMOPS_OUTBOUND_ALLOW" in report.detail


def test_plain_server_behind_https_is_tls(serve: Any) -> None:
    """FR-001c: no secure connection."""
    assert probe(serve(says(200)).port, scheme="https").outcome is Outcome.TLS


def test_certificate_that_nobody_vouches_for_is_tls(serve: Any, tmp_path: Path) -> None:
    """FR-001c: self-signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    report = probe(serve(says(200), context).port, scheme="https")
    assert report.outcome is Outcome.TLS
    assert "not trusted" in report.detail
