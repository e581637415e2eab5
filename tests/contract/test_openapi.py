"""The API against its own contract: generated requests find no crash and no answer outside the schema."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import yaml
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from apps.accounts.services import token_issue
from apps.core import clock
from apps.core.permissions import Scope
from apps.gateway.asgi import INFERENCE, OPENAI_PREFIX, SERVE
from llmops.wsgi import application
from tests.support.cast import Cast

CHECKS = [not_a_server_error, response_schema_conformance, status_code_conformance]
GATEWAY_PATHS = (OPENAI_PREFIX, SERVE, INFERENCE)
ROOT = Path(__file__).resolve().parents[2]
# Pieces of uploads are plain bytes.
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")


@pytest.fixture(scope="session")
def contract(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The schema as generated now."""
    path = tmp_path_factory.mktemp("schema") / "openapi.yaml"
    call_command("spectacular", file=str(path), validate=True, fail_on_warn=True)
    return dict(yaml.safe_load(path.read_text()))


def test_committed_contract_is_current(contract: dict[str, Any]) -> None:
    """P-10: docs/openapi.yaml is what the code says."""
    assert yaml.safe_load((ROOT / "docs/openapi.yaml").read_text()) == contract


def test_every_success_is_an_envelope_or_a_file(contract: dict[str, Any]) -> None:
    """P-1: every operation's 200 has status, message and data, or is a file or stream."""
    components = contract["components"]["schemas"]
    for path, operations in contract["paths"].items():
        if path.startswith("/v1/"):
            continue  # OpenAI's bodies
        for verb, operation in operations.items():
            for kind, media in operation["responses"]["200"].get("content", {}).items():
                if kind != "application/json":
                    continue
                schema = media["schema"]
                if "$ref" in schema:
                    schema = components[schema["$ref"].rpartition("/")[2]]
                assert {"status", "message", "data"} <= set(schema.get("properties", {})), (verb, path)


@pytest.fixture
def one_connection() -> Iterator[None]:
    """Keep the test's own connection across requests, as Django's test client does."""
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)
    yield
    request_started.connect(close_old_connections)
    request_finished.connect(close_old_connections)


@pytest.mark.slow
@pytest.mark.usefixtures("one_connection")
def test_generated_requests_find_no_crash(contract: dict[str, Any], cast: Cast) -> None:
    """P-6, P-10: schemathesis, as Ada: no 5xx, no undocumented status, no answer that breaks the schema."""
    value = token_issue(
        user=cast.ada, name="fuzz", scopes=list(Scope), expires_at=clock.now() + timedelta(hours=1)
    ).value
    headers = {"Authorization": f"Bearer {value}"}
    schema = schemathesis.openapi.from_wsgi("/api/schema/", app=application)
    failures: list[str] = []
    for result in schema.get_all_operations():
        operation = result.ok()  # type: ignore[union-attr]
        if operation.path.startswith(GATEWAY_PATHS):
            continue  # answered by the gateway, not by Django: tests/gateway/test_contract.py
        try:
            _attempts(operation, headers)
        except (Exception, BaseExceptionGroup) as error:
            failures.append(f"{operation.method.upper()} {operation.path}: {type(error).__name__} {str(error)[:900]}")
    assert not failures, f"{len(failures)} operations\n\n" + "\n\n".join(failures)


def _attempts(operation: Any, headers: dict[str, str]) -> None:
    """A few generated requests to one operation."""

    @given(case=operation.as_strategy())
    @settings(
        max_examples=8,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def attempt(case: Any) -> None:
        case.call_and_validate(headers=headers, checks=CHECKS)

    attempt()
