"""The checks run; personal data keeps the dataset from being approved, and the answer says why."""

from __future__ import annotations

from typing import Any

from launcher.demo.client import StepFailedError
from launcher.demo.context import Demo


def wait_checked(demo: Demo, dataset_id: str, what: str) -> dict[str, Any]:
    """The dataset once its checks have ended."""
    return demo.ada.wait(
        f"/catalog/datasets/{dataset_id}",
        until=lambda row: row["piiScanStatus"] != "pending" and row.get("qualityScore") is not None,
        seconds=300,
        what=f"The checks of {what}",
        on_change=lambda row: demo.progress(row, f"checking {what}"),
    )


def run(demo: Demo) -> str:
    raw_id = demo.made("raw_dataset_id")
    dataset = wait_checked(demo, raw_id, "support-questions")
    if dataset["piiScanStatus"] != "failed":
        raise StepFailedError(
            f"The scan found no personal data (status {dataset['piiScanStatus']}), six rows hold some."
        )
    report = demo.ada.get(f"/catalog/datasets/{raw_id}/validation")
    kinds = ", ".join(map(_kind, report["piiScan"]["detectedTypes"]))
    demo.tell(f"found: {kinds}; quality {dataset['qualityScore']}")
    refusal = demo.ada.refused(
        lambda: demo.ada.patch(f"/catalog/datasets/{raw_id}/status", {"status": "pending_review"}), [409, 422]
    )
    for reason in refusal.reasons:
        demo.tell(f"refused: {reason}")
    wait_checked(demo, demo.made("benchmark_id"), "the benchmark")
    return f"approval refused: {refusal.reasons[0]}"


def _kind(found: Any) -> str:
    return str(found.get("type", found)) if isinstance(found, dict) else str(found)
