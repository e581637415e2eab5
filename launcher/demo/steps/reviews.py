"""Evaluation runs and the human reviews of Ben and Chen, for the base model and the tuned one."""

from __future__ import annotations

from typing import Any

from launcher.demo.context import Demo

METRICS = ["rougeL", "f1", "exact_match", "bleu"]
RUBRIC = {
    "criteria": [
        {"name": "helpful", "type": "scale", "min": 1, "max": 5, "guidance": "Would this solve the problem?"},
        {"name": "safe", "type": "pass_fail", "guidance": "Nothing harmful, no personal data."},
    ],
    "reviewsPerSample": 2,
}
REVIEWED_SAMPLES = 3
ENDED = {"succeeded", "failed", "cancelled"}


def automated_run(demo: Demo, model_id: str, remembered_as: str, what: str) -> dict[str, Any]:
    """Measure a model on the benchmark; the run when it has ended well."""
    body = {
        "modelId": model_id,
        "datasetId": demo.made("benchmark_id"),
        "runType": "automated",
        "metrics": METRICS,
        "maxNewTokens": 48,
        "seed": 7,
    }
    run_id = start_run(demo, body, remembered_as)
    run = demo.ada.wait(
        f"/evaluation/runs/{run_id}",
        until=lambda row: row["status"] == "succeeded",
        failed=lambda row: (
            f"{row['status']}: {row.get('message') or row.get('failure')}" if row["status"] in ENDED else None
        ),
        seconds=1800,
        what=f"The evaluation of {what}",
        on_change=lambda row: demo.progress(row, f"{what} answers the benchmark: {progress_text(row)}"),
    )
    demo.tell(f"{what}: {metrics_text(run)}")
    return run


def human_run(demo: Demo, model_id: str, source_run_id: str, remembered_as: str, what: str) -> dict[str, Any]:
    """Ben and Chen judge three answers of an earlier run; ends when both have."""
    body = {
        "modelId": model_id,
        "datasetId": demo.made("benchmark_id"),
        "runType": "human",
        "sampleSize": REVIEWED_SAMPLES,
        "sourceRunId": source_run_id,
        "rubric": RUBRIC,
        "seed": 7,
    }
    run_id = start_run(demo, body, remembered_as)
    path = f"/evaluation/runs/{run_id}"
    run = demo.ada.wait(
        path,
        until=lambda row: row["status"] in {"awaiting_review", "succeeded"},
        failed=lambda row: f"{row['status']}: {row.get('message')}" if row["status"] in ENDED else None,
        seconds=1800,
        what=f"The review of {what}",
        on_change=lambda row: demo.progress(row, f"preparing the review: {row['status']}"),
    )
    if run["status"] == "awaiting_review":
        for name in ("ben", "chen"):
            review_as(demo, name, path)
    run = demo.ada.wait(
        path,
        until=lambda row: row["status"] == "succeeded",
        failed=lambda row: f"{row['status']}: {row.get('message')}" if row["status"] in ENDED else None,
        seconds=120,
        what=f"The review of {what}",
    )
    demo.tell(f"reviewed: {metrics_text(run)}")
    return run


def start_run(demo: Demo, body: dict[str, Any], remembered_as: str) -> str:
    """The run's id; a run that failed earlier is started anew."""
    return demo.once(
        remembered_as,
        lambda: str(demo.ada.post("/evaluation/runs", body)["id"]),
        dead=lambda known: demo.ada.get(f"/evaluation/runs/{known}")["status"] in {"failed", "cancelled"},
    )


def review_as(demo: Demo, name: str, path: str) -> None:
    """Scores of one reviewer for every sample that they have not reviewed yet."""
    marker = f"reviewed_{name}_{path.rsplit('/', 1)[-1]}"
    if marker in demo.state.made:
        return
    client = demo.client(name)
    samples = client.get(f"{path}/samples", limit=REVIEWED_SAMPLES)
    reviews = [{"sampleId": sample["id"], **opinion(name, sample)} for sample in samples]
    client.post(f"{path}/human-review", {"reviews": reviews})
    demo.state.remember(**{marker: True})
    demo.tell(f"{name.title()} reviewed {len(reviews)} answers")


def opinion(name: str, sample: dict[str, Any]) -> dict[str, Any]:
    """What a reviewer thinks: how near the words are to the reference's; Ben is milder than Chen."""
    wanted = _words(sample.get("reference"))
    given = _words(sample.get("output"))
    overlap = 2 * len(wanted & given) / max(1, len(wanted) + len(given))
    score = 1 + round(4 * overlap)
    if name == "ben":
        score = min(5, score + 1)
    comment = "Says what the house says." if overlap > 0.6 else "Not what we tell people."
    return {"scores": {"helpful": score, "safe": True}, "comment": comment}


def _words(text: Any) -> set[str]:
    return {word.strip(".,!?'\"").lower() for word in str(text or "").split()} - {""}


def progress_text(row: dict[str, Any]) -> str:
    """`running, 33 %`."""
    percent = row.get("progress")
    return f"{row['status']}, {percent:.0f} %" if isinstance(percent, int | float) else str(row["status"])


def metrics_text(run: dict[str, Any]) -> str:
    """`rougeL 0.21, f1 0.25 …`."""
    parts = []
    for name, metric in (run.get("metrics") or {}).items():
        value = metric.get("value") if isinstance(metric, dict) else metric
        parts.append(f"{name} {value:.2f}" if isinstance(value, int | float) else f"{name} {value}")
    return ", ".join(parts) or "no figures"
