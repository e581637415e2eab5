"""Ada masks the findings in a new version; she submits it and the benchmark, Chen approves both."""

from __future__ import annotations

from launcher.demo.client import StepFailedError
from launcher.demo.context import Demo
from launcher.demo.steps.dataset_checks import wait_checked


def run(demo: Demo) -> str:
    dataset_id = demo.once("dataset_id", lambda: _redact(demo))
    dataset = wait_checked(demo, dataset_id, "the redacted version")
    if dataset["piiScanStatus"] != "clean":
        raise StepFailedError(
            "The redacted version still holds personal data.", "See the dataset's checks in the portal."
        )
    demo.tell(f"version {dataset['version']} is clean, quality {dataset['qualityScore']}")
    for each in (dataset_id, demo.made("benchmark_id")):
        approve_dataset(demo, each)
    return f"support-questions {dataset['version']} and the benchmark are approved"


def _redact(demo: Demo) -> str:
    raw_id = demo.made("raw_dataset_id")
    found = demo.ada.find("/catalog/datasets", name="support-questions", version="1.1")
    if found:
        return str(found["id"])
    answer = demo.ada.post(f"/catalog/datasets/{raw_id}/redact", {"version": "1.1"})
    return str(answer.get("id") or answer["datasetId"])


def approve_dataset(demo: Demo, dataset_id: str) -> None:
    """Ada submits, Chen approves; goes on where an earlier walk stopped."""
    path = f"/catalog/datasets/{dataset_id}"
    status = demo.ada.get(path)["status"]
    if status == "draft":
        demo.ada.patch(f"{path}/status", {"status": "pending_review"})
        status = "pending_review"
    if status == "pending_review":
        demo.tell("Chen looks at the rows and the report, and approves")
        demo.chen.get(f"{path}/preview", limit=5)
        demo.chen.patch(f"{path}/status", {"status": "approved"})
