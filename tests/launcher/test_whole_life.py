"""Issue 2: the governed life of a model, end to end, by `make run` itself, with a model of two million parameters."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.running import RunningPortal

pytestmark = pytest.mark.slow
WALK_SECONDS = 1500.0
API = "/llm-ops/v1"
MADE = {"dataset_id", "base_model_id", "tuned_model_id", "job_id", "evaluation_run_id", "endpoint_id", "route"}


class Caller:
    """The API as one person of the demo."""

    def __init__(self, portal: RunningPortal, token: str) -> None:
        self.http = httpx.Client(
            base_url=portal.url, headers={"Authorization": f"Bearer {token}"}, timeout=60, trust_env=False
        )

    def data(self, path: str, **params: Any) -> Any:
        response = self.http.get(API + path, params=params)
        assert response.status_code == 200, response.text
        return response.json()["data"]


def test_newcomer_can_watch_a_model_from_upload_to_answer(tmp_path: Path, tiny_model_dir: Path) -> None:
    """P-7, FR-001 … FR-011: every step of the demo, then who sees what, then an end without leftovers."""
    pytest.importorskip("chatterbot_corpus", reason="requirements/demo.txt is not installed")
    var = tmp_path / "var"
    # The walk takes whatever lies where the converted base model belongs.
    shutil.copytree(tiny_model_dir, var / "models" / "SmolLM2-135M-Instruct")
    portal = RunningPortal(var, demo=True)
    try:
        portal.until(
            lambda: portal.hears("has reached its end") or portal.hears("did not reach its end"),
            "the demo",
            WALK_SECONDS,
        )
        said = "\n".join(portal.said)
        assert portal.hears("has reached its end"), said
        demo = json.loads((var / "demo.json").read_text())
        assert (var / "demo.json").stat().st_mode & 0o777 == 0o600
        assert {entry["status"] for entry in demo["progress"]} == {"done"}
        made = demo["made"]
        for name in (
            "dataset_id",
            "base_model_id",
            "tuned_model_id",
            "job_id",
            "evaluation_run_id",
            "endpoint_id",
            "route",
        ):
            assert made[name], name
        for person in demo["people"].values():
            assert person["password"] not in said, "passwords are in the file, not on the terminal"

        eve = Caller(portal, demo["people"]["eve"]["token"])
        for path in ("/catalog/models", "/catalog/datasets", "/evaluation/runs", "/serving/endpoints"):
            assert eve.data(path) == [], f"Eve sees team support at {path}"
        assert eve.data("/training/jobs") == {"jobs": []}
        for path in (f"/catalog/models/{made['tuned_model_id']}", f"/training/jobs/{made['job_id']}"):
            assert eve.http.get(API + path).status_code == 404

        ada = Caller(portal, demo["people"]["ada"]["token"])
        tuned = ada.data(f"/catalog/models/{made['tuned_model_id']}")
        assert tuned["status"] == "approved"
        home = httpx.get(f"{portal.url}/account/sign-in/", timeout=60, trust_env=False)
        assert home.status_code == 200
    finally:
        if portal.process.poll() is None:
            portal.process.send_signal(signal.SIGTERM)
            portal.process.wait(180)
    assert portal.process.returncode == 0
    assert portal.leftovers() == [], "the model server ended with the portal"
