"""P-1: an unknown path is a 404 in the envelope for every verb, also for programs that send no CSRF token."""

from __future__ import annotations

import pytest
from django.test import Client


@pytest.mark.django_db
@pytest.mark.parametrize("verb", ["get", "post", "patch", "delete"])
def test_program_can_tell_an_unknown_path_from_a_refusal(verb: str) -> None:
    """P-1: a POST with a bearer token to a path that does not exist says 404, not that a CSRF token is missing."""
    client = Client(enforce_csrf_checks=True)
    response = getattr(client, verb)("/llm-ops/v1/no/such/thing", headers={"authorization": "Bearer llmops_x"})
    assert response.status_code == 404
    assert response.json()["status"] == "fail"
