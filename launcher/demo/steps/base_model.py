"""Ada registers the packaged model with its card and uploads the files; they are hashed and scanned."""

from __future__ import annotations

from typing import Any

from launcher.demo.client import StepFailedError
from launcher.demo.context import TEAM, Demo
from launcher.paths import var_dir

NAME = "SmolLM2-135M-Instruct"
CARD = {
    "purpose": "Short answers in English; base for our own assistants.",
    "scope": "Internal help desk. Not for medical, legal or financial advice.",
    "contact": "support@demo.example",
    "license": "apache-2.0",
    "limitations": "135 million parameters: knows little, makes things up.",
}


def run(demo: Demo) -> str:
    folder = var_dir() / "models" / NAME
    if not (folder / "config.json").exists():
        raise StepFailedError(f"The converted base model is missing at {folder}.", "`make run` makes it.")
    model_id = demo.once("base_model_id", lambda: _create(demo))
    model = demo.ada.get(f"/catalog/models/{model_id}")
    files = sorted(path for path in folder.iterdir() if path.is_file())
    if len(model.get("files", [])) < len(files):
        size = sum(path.stat().st_size for path in files)
        demo.tell(f"uploading {len(files)} files, {size / 1e6:.0f} MB")
        demo.ada.upload(f"/catalog/models/{model_id}/upload", files)
    model = wait_scanned(demo, model_id)
    return f"{NAME} is registered, {len(model['files'])} files scanned: safe"


def _create(demo: Demo) -> str:
    found = demo.ada.find("/catalog/models", name=NAME, version="1.0")
    if found:
        return str(found["id"])
    body = {
        "name": NAME,
        "version": "1.0",
        "type": "base",
        "ownerTeam": TEAM,
        "modelFamily": "llama",
        "metadata": CARD,
    }
    return str(demo.ada.post("/catalog/models", body)["id"])


def scan_states(model: dict[str, Any]) -> set[str]:
    """The files' scan results."""
    return {str(file.get("scanStatus", "pending")) for file in model.get("files", [])}


def wait_scanned(demo: Demo, model_id: str) -> dict[str, Any]:
    """The model once every file was scanned; an unsafe file fails the step."""
    return demo.ada.wait(
        f"/catalog/models/{model_id}",
        until=lambda row: bool(row.get("files")) and not scan_states(row) - {"safe", "clean", "passed"},
        failed=lambda row: "a file is unsafe" if scan_states(row) & {"unsafe", "failed", "error", "corrupt"} else None,
        seconds=600,
        what="The safety scan",
        on_change=lambda row: demo.progress(row, "scanning the files"),
    )
