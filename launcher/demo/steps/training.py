"""A LoRA fine-tune on the CPU; metrics arrive while it runs; the output model registers itself."""

from __future__ import annotations

from typing import Any

from launcher.demo.client import StepFailedError
from launcher.demo.context import Demo
from launcher.demo.steps.base_model import wait_scanned

OUTPUT_NAME = "support-assistant"
CARD = {
    "purpose": "Answers the help desk's everyday questions the way the house does.",
    "scope": "Internal help desk, English.",
    "contact": "support@demo.example",
    "license": "apache-2.0",
}


def run(demo: Demo) -> str:
    job_id = demo.once("job_id", lambda: _submit(demo), dead=lambda known: _has_failed(demo, known))
    job = demo.ada.wait(
        f"/training/jobs/{job_id}",
        until=lambda row: row["status"] == "succeeded" and bool(row.get("outputModelEntryId")),
        failed=_why_failed,
        seconds=2400,
        what="The training job",
        on_change=lambda row: _tell_metrics(demo, job_id, row),
    )
    model_id = str(job["outputModelEntryId"])
    demo.state.remember(tuned_model_id=model_id)
    wait_scanned(demo, model_id)  # its files are scanned like anybody's, before anything may run them
    losses = _losses(demo, job_id)
    if not losses:
        raise StepFailedError("The job ended without a single metric.", "See the job's log in the portal.")
    lineage = demo.ada.get(f"/catalog/models/{model_id}/lineage")
    demo.tell(f"lineage: {len(lineage.get('nodes', lineage))} things are linked")
    return f"loss {losses[0]:.2f} → {losses[-1]:.2f}; {OUTPUT_NAME} 1.0 is in the catalog"


def _has_failed(demo: Demo, job_id: str) -> bool:
    return demo.ada.get(f"/training/jobs/{job_id}")["status"] in {"failed", "cancelled"}


def _submit(demo: Demo) -> str:
    found = demo.ada.find("/training/jobs", modelId=demo.made("base_model_id"), jobType="finetune")
    if found and found["status"] not in {"failed", "cancelled"}:
        return str(found["id"])
    body = {
        "modelId": demo.made("base_model_id"),
        "datasetId": demo.made("dataset_id"),
        "jobType": "finetune",
        "useGpu": False,
        "hyperparameters": {
            "method": "lora",
            "learning_rate": 0.002,
            "batch_size": 4,
            "max_steps": 30,
            "num_epochs": 2,
            "max_seq_len": 96,
            "seed": 7,
            "lora": {"r": 16, "alpha": 32, "dropout": 0.0},
        },
        "resourceProfile": {"cpuCores": 2, "memory": "4Gi", "maxDuration": 60},
        "outputModelName": OUTPUT_NAME,
        "outputModelVersion": "1.0",
        "autoRegisterOutputModel": True,
    }
    return str(demo.ada.post("/training/jobs", body)["id"])


def _why_failed(row: dict[str, Any]) -> str | None:
    if row["status"] not in {"failed", "cancelled"}:
        return None
    failure = row.get("failure") or {}
    return f"{row['status']} ({failure.get('tag')}): {failure.get('message')}"


def _losses(demo: Demo, job_id: str) -> list[float]:
    metrics = demo.ada.get(f"/training/experiments/{job_id}")["metrics"]
    return [float(metric["value"]) for metric in metrics if metric["name"] in {"loss", "train_loss", "train/loss"}]


def _tell_metrics(demo: Demo, job_id: str, row: dict[str, Any]) -> None:
    losses = _losses(demo, job_id) if row["status"] == "running" else []
    figures = f", {len(losses)} steps measured, loss {losses[-1]:.2f}" if losses else ""
    demo.progress(row, f"job {row['status']}{figures}")
