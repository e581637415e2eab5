"""One whole governed life of a real, tiny model over HTTP: the demo's own walk, against the whole application.

The portal and the gateway answer on a real port in this process, tasks run when their transaction commits, a thread
reconciles; trainer, evaluator and model server are real processes of the local backend.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from django.core.management import call_command
from django.db import close_old_connections, connection

from apps.compute.services import reconcile_once
from apps.core.models import AuditEvent
from apps.governance.services import audit_seal_all, audit_verify
from apps.integrations import registry
from apps.integrations.local.backend import LocalBackend
from launcher.demo.__main__ import walk
from launcher.demo.context import Demo
from launcher.demo.state import DemoState
from launcher.demo.steps import base_model
from llmops.asgi import application
from tests.support.asgi_server import AsgiServer

STRANGER_PATHS = (
    "/catalog/datasets/{dataset_id}",
    "/catalog/datasets/{dataset_id}/preview",
    "/catalog/models/{base_model_id}",
    "/catalog/models/{tuned_model_id}",
    "/catalog/models/{tuned_model_id}/lineage",
    "/training/jobs/{job_id}",
    "/training/jobs/{job_id}/logs",
    "/training/experiments/{job_id}",
    "/evaluation/runs/{evaluation_run_id}",
    "/serving/endpoints/{endpoint_id}",
)
LISTS = (
    "/catalog/datasets",
    "/catalog/models",
    "/training/jobs",
    "/evaluation/runs",
    "/serving/endpoints",
    "/governance/approvals",
)


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[LocalBackend]:
    """The local backend in a folder of this test; nothing outlives it."""
    local = LocalBackend(root=tmp_path / "compute", max_jobs=1, max_endpoints=1, port_range=(25000, 25999))
    registry.backend_register("local", lambda: local)
    yield local
    registry.backend_register("local", registry.local_backend)
    for name in local.running_names():
        local.stop(name)
    assert local.wait_ended(local.running_names(), 40) == []


@pytest.fixture
def portal(committed_db: str, backend: LocalBackend, settings: Any) -> Iterator[AsgiServer]:
    """The whole application on a port, with a reconciler beside it."""
    server = AsgiServer(application)
    settings.PUBLIC_URL = settings.API_BASE_URL = server.url
    ended = threading.Event()

    def reconcile() -> None:
        while not ended.wait(0.5):
            reconcile_once()
            audit_seal_all()
            close_old_connections()
        connection.close()

    reconciler = threading.Thread(target=reconcile, daemon=True)
    server.start()
    reconciler.start()
    yield server
    ended.set()
    reconciler.join(30)
    server.stop()


@pytest.mark.slow
def test_a_model_lives_its_whole_governed_life(
    portal: AsgiServer, committed_db: str, settings: Any, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FR-001…FR-006, FR-010, FR-011, P-3: dataset, model, training, evaluation, approval, serving, chat, cost, audit."""
    folder = settings.VAR_DIR / "models" / base_model.NAME
    folder.parent.mkdir(parents=True)
    folder.symlink_to(tiny_model_dir)
    monkeypatch.setenv("LLMOPS_VAR_DIR", str(settings.VAR_DIR))
    address = urlsplit(os.environ["DATABASE_URL"])
    monkeypatch.setenv("DATABASE_URL", address._replace(path=f"/{committed_db}").geturl())
    call_command("demo_people", base_url=portal.url, verbosity=0)
    said: list[str] = []
    state = DemoState(settings.VAR_DIR / "demo.json")
    assert walk(Demo(state, portal.url, said.append)), "\n".join(said[-30:])

    data = json.loads((settings.VAR_DIR / "demo.json").read_text())
    assert (settings.VAR_DIR / "demo.json").stat().st_mode & 0o077 == 0
    made = data["made"]
    assert {
        "dataset_id", "base_model_id", "tuned_model_id", "job_id", "evaluation_run_id", "endpoint_id", "route"
    } <= made.keys()  # fmt: skip
    _stranger_sees_nothing(portal.url, data["people"]["eve"]["token"], made)
    audit_seal_all()
    report = audit_verify()
    assert report.is_intact, report
    actions = set(AuditEvent.objects.values_list("action", flat=True))
    assert "governance.approval.requested" in actions
    denied = AuditEvent.objects.filter(result="denied", actor__username="ada")
    assert denied.exists(), "Ada's attempt to approve her own model is on record"


def _stranger_sees_nothing(url: str, token: str, made: dict[str, Any]) -> None:
    """P-3: for Eve nothing of team support exists, by any path."""
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=30) as eve:
        for path in STRANGER_PATHS:
            assert eve.get("/llm-ops/v1" + path.format(**made)).status_code == 404, path
        for path in LISTS:
            answer = eve.get("/llm-ops/v1" + path)
            rows = answer.json()["data"]
            assert (rows["jobs"] if isinstance(rows, dict) else rows) == [], path
            assert answer.headers["X-Total-Count"] == "0"
        chat = eve.post(f"/llm-ops/v1/serve/{made['route'].rpartition('/')[2]}/chat", json={"messages": []})
        assert chat.status_code == 404
        assert eve.get("/v1/models").json()["data"] == []
