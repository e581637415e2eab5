"""The house keeps its shape: imports point down, tasks exist, no page forgets the sign-in."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.apps import apps as django_apps
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from apps.core.permissions import ACTIONS
from llmops.celery import APPS_WITH_TASKS, collect_schedule
from llmops.env import VARIABLES
from tests.support.cast import ApiClient, Cast

ROOT = Path(__file__).resolve().parents[2]
OPEN_PATHS = {"healthz", "readyz", "metrics", "api/schema/", "api/docs/", "account/sign-in/", "llm-ops/v1/health"}
SAMPLE = {
    "uuid": "00000000-0000-4000-8000-000000000000",
    "str": "00000000-0000-4000-8000-000000000000",
    "int": "1",
    "slug": "x",
    "path": "x",
}


def urls(resolver: Any = None, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    """Every concrete address of the project outside the admin, with ids that do not exist."""
    for entry in (resolver or get_resolver()).url_patterns:
        text = str(entry.pattern)
        if isinstance(entry, URLResolver):
            if not text.startswith("admin/"):
                yield from urls(entry, prefix + text)
        elif text != "^.*$":
            path = prefix + text
            for name, converter in entry.pattern.converters.items():
                kind = type(converter).__name__.removesuffix("Converter").lower().replace("string", "str")
                for shape in (f"<{kind}:{name}>", f"<{name}>"):
                    path = path.replace(shape, SAMPLE.get(kind, "x"))
            yield path, entry


def test_imports_point_down() -> None:
    """Architecture: the import contracts hold."""
    tool = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([str(tool), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


def test_every_scheduled_task_exists() -> None:
    """P-8: beat names only tasks that workers know."""
    for name in APPS_WITH_TASKS:
        if importlib.util.find_spec(f"apps.{name}.tasks"):
            importlib.import_module(f"apps.{name}.tasks")
    for key, entry in collect_schedule().items():
        assert entry["task"] in current_app.tasks, key
    for name in current_app.tasks:
        if name.startswith("apps."):
            module, _, function = name.rpartition(".")
            assert hasattr(importlib.import_module(module), function), name


def test_every_model_with_a_team_names_its_audit_type() -> None:
    """FR-010: things of teams appear in the audit trail under a known type."""
    for model in django_apps.get_models():
        if model.__module__.startswith("apps.") and hasattr(model, "SHARED_STATUSES"):
            assert getattr(model, "AUDIT_TYPE", ""), model


def test_every_action_names_somebody() -> None:
    """P-3: an action nobody may do is a mistake."""
    assert [name for name, rule in ACTIONS.items() if not (rule.team or rule.organisation)] == []


def test_every_variable_says_what_it_is_for() -> None:
    """P-4: name, help and a default that parses."""
    for var in VARIABLES.values():
        assert len(var.help) > 10, var.name
    text = (ROOT / "env.example").read_text()
    assert all(f"\n{name}=" in text for name in VARIABLES)


@pytest.mark.django_db
def test_stranger_cannot_open_any_address() -> None:
    """P-2: without a session or token, every address but the listed ones sends to sign-in or answers 401."""
    client = Client(raise_request_exception=False)
    for path, _ in urls():
        for headers in ({}, {"HX-Request": "true"}):
            response = client.get(f"/{path}", headers=headers)
            if path in OPEN_PATHS:
                assert response.status_code in {200, 503}, path
            elif path.startswith(("llm-ops/", "hf/")):
                assert response.status_code in {401, 405}, (path, response.status_code)
            else:
                gone = response.headers.get("HX-Redirect") or response.headers.get("Location", "")
                assert "/account/sign-in/" in gone, (path, response.status_code)


def test_member_gets_no_crash_at_any_address(cast: Cast, page: Any, api: Any) -> None:
    """P-1: no address crashes on ids that do not exist, as page, fragment or API."""
    browser, caller = page(cast.ada), api(cast.ada)
    assert isinstance(caller, ApiClient)
    for path, _ in urls():
        if path == "account/sign-out/":
            continue
        if path.startswith("llm-ops/"):
            response = caller.get(f"/{path}")
        else:
            response = browser.get(f"/{path}")
            fragment = browser.get(f"/{path}", headers={"HX-Request": "true"})
            assert fragment.status_code < 500, (path, fragment.status_code)
        assert response.status_code < 500 or path.startswith("llm-ops/v1/health"), (path, response.status_code)
