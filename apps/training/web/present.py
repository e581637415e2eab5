"""What the job pages show, put together from attempts, workloads and metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from apps.compute.models import WorkloadEvent
from apps.compute.types import ON_BACKEND_STATES
from apps.training.experiments import metric_names
from apps.training.models import JobAttempt, JobMetric, TrainingJob
from apps.training.selectors import attempts_of
from apps.training.services.folders import job_folder
from apps.training.types import AttemptStatus, JobStatus

LOSSES = ("loss", "train_loss", "eval_loss")
QUIET = ("epoch",)
MAX_CHARTS = 8


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the running attempt is. `percent` is None before the trainer says anything."""

    percent: float | None
    message: str


def progress_of(job: TrainingJob) -> Progress | None:
    """Return the progress that the trainer of an active job wrote down."""
    if job.status != JobStatus.RUNNING:
        return None
    try:
        data = json.loads((job_folder(job.pk) / "output" / "progress.json").read_text(encoding="utf-8"))
        return Progress(float(data["percent"]), str(data["message"])[:200])
    except (OSError, ValueError, KeyError, TypeError):
        return Progress(None, "The trainer is starting.")


def timeline_of(job: TrainingJob, attempts: list[JobAttempt]) -> list[dict[str, Any]]:
    """Return what happened, newest first, for the timeline component."""
    items: list[dict[str, Any]] = [
        {
            "title": "Submitted",
            "at": job.created_at,
            "who": job.created_by.display_name if job.created_by else "the system",
            "icon": "send",
        }
    ]
    numbers = {attempt.workload_id: attempt.number for attempt in attempts if attempt.workload_id}
    several = len(attempts) > 1
    for event in WorkloadEvent.objects.filter(workload_id__in=numbers):
        title = _TITLES.get(event.to_state, event.to_state)
        if event.from_state == event.to_state:
            title = "Asked to stop" if event.reason_code == "stopped" else "Waiting"
        where = f" (attempt {numbers[event.workload_id]})" if several else ""
        items.append(
            {
                "title": f"{title}{where}",
                "at": event.occurred_at,
                "text": event.message,
                "tone": _TONES.get(event.to_state, "neutral"),
                "icon": _ICONS.get(event.to_state, "point"),
            }
        )
    items += [
        {"title": f"Attempt {attempt.number} was interrupted", "at": attempt.finished_at, "tone": "warning",
         "icon": "player-pause", "text": "The next attempt goes on from the last checkpoint."}
        for attempt in attempts
        if attempt.status == AttemptStatus.INTERRUPTED
    ]  # fmt: skip
    if job.completed_at is not None:
        title, tone, icon = _ENDS[job.status]
        items.append({"title": title, "at": job.completed_at, "tone": tone, "icon": icon, "text": job.failure_message})
    return sorted(items, key=lambda item: item["at"], reverse=True)


_TITLES = {
    "pending": "Handed to compute",
    "starting": "Starting",
    "running": "Running",
    "ready": "Running",
    "succeeded": "Training ended",
    "failed": "Process failed",
    "stopped": "Process stopped",
}
_TONES = {"running": "info", "succeeded": "success", "failed": "danger", "stopped": "neutral"}
_ICONS = {
    "pending": "clock",
    "starting": "loader-2",
    "running": "player-play",
    "succeeded": "circle-check",
    "failed": "alert-circle",
    "stopped": "player-stop",
}
_ENDS = {
    "succeeded": ("Succeeded", "success", "circle-check"),
    "failed": ("Failed", "danger", "alert-circle"),
    "cancelled": ("Cancelled", "neutral", "ban"),
}


def charts_of(job: TrainingJob) -> list[dict[str, Any]]:
    """Return the charts to draw: the losses together and first, then one for each other metric."""
    names = metric_names(job)
    losses = [name for name in LOSSES if name in names]
    others = [name for name in names if name not in losses and name not in QUIET]
    charts = [{"title": "Loss", "names": losses or list(LOSSES[:1]), "height": "m"}]
    return charts + [{"title": _words(name), "names": [name], "height": "s"} for name in others[:MAX_CHARTS]]


def figures_of(job: TrainingJob) -> list[dict[str, Any]]:
    """Return the latest value of each metric."""
    rows = JobMetric.objects.filter(job=job).order_by("name", "-step", "-recorded_at").distinct("name")
    return [{"name": _words(row.name), "value": row.value, "unit": row.unit, "step": row.step} for row in rows]


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (name, value) of nested settings, sorted; `lora.r` for what lies deeper, nothing for what is empty."""
    for name, value in sorted(values.items()):
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        elif value not in (None, [], ""):
            yield f"{prefix}{name}", value


def _words(name: str) -> str:
    return name.replace("_", " ").replace("/", " / ").capitalize()


def state_of(job: TrainingJob) -> dict[str, Any]:
    """Return everything about a job that changes while it runs."""
    attempts = list(attempts_of(job))
    newest = attempts[0] if attempts else None
    workload = next((attempt.workload for attempt in attempts if attempt.workload is not None), None)
    ending = workload is not None and not job.is_active and workload.state in ON_BACKEND_STATES
    return {
        "attempts": attempts,
        "attempt": newest,
        "workload": workload,
        "ending": ending,
        "collecting": newest is not None and newest.status == AttemptStatus.COLLECTING,
        "progress": progress_of(job),
        "timeline": timeline_of(job, attempts),
        "figures": figures_of(job),
        "live": job.is_active or ending,
    }
