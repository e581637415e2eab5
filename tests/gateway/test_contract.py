"""The gateway against its part of the contract, by generated requests."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from apps.gateway.asgi import INFERENCE, OPENAI_PREFIX, SERVE
from apps.serving.models import Endpoint
from tests.gateway.conftest import RunningGateway, token_of
from tests.support.cast import Cast

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

CHECKS = [not_a_server_error, response_schema_conformance, status_code_conformance]


def test_generated_requests_find_no_crash(
    cast: Cast, gateway: RunningGateway, endpoint: Endpoint, subtests: pytest.Subtests
) -> None:
    """P-6, P-10: no 5xx, no undocumented status, no answer that breaks the schema; also where the route exists."""
    document = SchemaGenerator().get_schema(request=None, public=True)
    document["paths"] = {
        path: operations
        for path, operations in document["paths"].items()
        if path.startswith((OPENAI_PREFIX, SERVE, INFERENCE))
    }
    assert len(document["paths"]) == 7
    schema = schemathesis.openapi.from_dict(document)
    headers = {"Authorization": f"Bearer {token_of(cast.ada)}"}
    for result in schema.get_all_operations():
        operation = result.ok()  # type: ignore[union-attr]
        with subtests.test(operation.path):
            _attempts(operation, gateway.url, headers)


def _attempts(operation: Any, url: str, headers: dict[str, str]) -> None:
    """Generated requests, every other one to the route that exists."""

    @given(case=operation.as_strategy())
    @settings(
        max_examples=20,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def attempt(case: Any) -> None:
        for name, existing in (
            ("route", "support-assistant"),
            ("model", "support-assistant"),
            ("modelName", "support-base"),
        ):
            if name in (case.path_parameters or {}) and len(str(case.path_parameters[name])) % 2:
                case.path_parameters[name] = existing
        if isinstance(case.body, dict) and "model" in case.body:
            case.body["model"] = "support-assistant"
        case.call_and_validate(base_url=url, headers=headers, checks=CHECKS)

    attempt()
