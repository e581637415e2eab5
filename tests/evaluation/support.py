"""Runs for tests: started by the services, answered by a stand-in for the evaluator or by the real one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction

from apps.accounts.models import User
from apps.catalog.models import ModelEntry
from apps.catalog.services import model_upload
from apps.catalog.types import ScanStatus
from apps.compute.models import Workload
from apps.compute.services.transition import workload_transition
from apps.compute.types import Observation, ObservedState, ReasonCode, WorkloadState
from apps.core import clock
from apps.datasets.models import Dataset
from apps.evaluation import services
from apps.evaluation.models import EvaluationRun
from apps.evaluation.selectors import run_folder, run_workload
from tests.catalog.files import model_files
from tests.catalog.support import make_model
from tests.factories.datasets import make_dataset
from tests.support.cast import Cast, commit_now
from workers.contracts import (
    EvaluateJobSpec,
    EvaluateReport,
    Failure,
    MetricValue,
    ReportStatus,
    SampleResult,
)

BENCHMARK = [
    {"input": f"What is the answer to question {n}?", "reference": f"The answer is {n * 7}."} for n in range(12)
]
RUBRIC: dict[str, Any] = {
    "criteria": [{"name": "helpful", "type": "scale", "min": 1, "max": 5}, {"name": "safe", "type": "pass_fail"}],
    "reviewsPerSample": 2,
}


def make_benchmark(actor: User, **fields: Any) -> Dataset:
    """Twelve questions, clean, not approved."""
    values: dict[str, Any] = {"name": "house-benchmark", "dataset_type": "benchmark", "rows": BENCHMARK}
    return make_dataset(actor, **(values | fields))


def make_ready(actor: User, team: Any, **changes: Any) -> ModelEntry:
    """A draft with files that count as scanned; how scans come about is the catalog's test, and takes a second."""
    model = make_model(actor, team, **changes)
    files = [SimpleUploadedFile(name, content) for name, content in model_files().items()]
    model_upload(actor=actor, model_id=model.pk, files=files)
    connection.run_on_commit = []
    model.files.update(scan_status=ScanStatus.SAFE)
    model.scan_status = ScanStatus.SAFE
    model.save(update_fields=["scan_status"])
    return model


def start(cast: Cast, **options: Any) -> EvaluationRun:
    """Ada starts an automated run of a fresh model; its workload is submitted."""
    model = options.pop("model", None) or make_ready(cast.ada, cast.support)
    dataset = options.pop("dataset", None) or make_benchmark(cast.ada)
    actor = options.pop("actor", cast.ada)
    run = services.run_start(actor=actor, model_id=model.pk, dataset_id=dataset.pk, **options)
    commit_now()
    run.refresh_from_db()
    return run


def move(workload: Workload, *states: WorkloadState, **facts: Any) -> None:
    """The backend reports these states, one after the other."""
    for state in states:
        with transaction.atomic():
            workload = Workload.objects.select_for_update().get(pk=workload.pk)
            seen = Observation(
                state=ObservedState.RUNNING, started_at=clock.now().timestamp(), exit_code=facts.get("exit_code")
            )
            code = facts.get("code", ReasonCode.NONE) if state == states[-1] else ReasonCode.NONE
            workload_transition(workload, state, code=code, reason=facts.get("reason", ""), observation=seen)
        commit_now()


def leave_report(
    run: EvaluationRun,
    outputs: Sequence[str | None] | None = None,
    *,
    scores: Mapping[str, Sequence[float]] | None = None,
    failure: Failure | None = None,
) -> None:
    """What the evaluator would leave for the spec that was written."""
    folder = run_folder(run)
    spec = EvaluateJobSpec.from_json((folder / "spec.json").read_bytes())
    rows = BENCHMARK[: spec.sample_size or len(BENCHMARK)]
    said = list(outputs) if outputs is not None else [row["reference"] for row in rows]
    figures = scores or {metric.value: [float(text is not None) for text in said] for metric in spec.metrics}
    samples = [
        SampleResult(
            index=place,
            input=row["input"],
            reference=row["reference"],
            output=said[place],
            scores={name: values[place] for name, values in figures.items()},
            latency_ms=12.5,
            prompt_tokens=10,
            completion_tokens=5,
        )
        for place, row in enumerate(rows)
    ]
    moment = clock.now().isoformat()
    report = EvaluateReport(
        run_id=str(run.pk),
        status=ReportStatus.FAILED if failure else ReportStatus.SUCCEEDED,
        started_at=moment,
        finished_at=moment,
        failure=failure,
        sample_count=len(samples),
        failed_samples=sum(text is None for text in said),
        prompt_tokens=10 * len(samples),
        completion_tokens=5 * len(samples),
        metrics={
            name: MetricValue(value=sum(values) / len(values), low=min(values), high=max(values), samples=len(values))
            for name, values in figures.items()
        },
    )
    out = folder / "out"
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(report.to_json(), encoding="utf-8")
    (out / "samples.jsonl").write_text("".join(sample.to_json() + "\n" for sample in samples), encoding="utf-8")


def answer(run: EvaluationRun, outputs: Sequence[str | None] | None = None, **report: Any) -> EvaluationRun:
    """The evaluator works and ends well."""
    workload = run_workload(run)
    assert workload is not None, run.message
    leave_report(run, outputs, **report)
    move(workload, WorkloadState.STARTING, WorkloadState.RUNNING, WorkloadState.SUCCEEDED)
    run.refresh_from_db()
    return run


def make_run(cast: Cast, outputs: Sequence[str | None] | None = None, **options: Any) -> EvaluationRun:
    """A run that has been answered."""
    scores = options.pop("scores", None)
    return answer(start(cast, **options), outputs, scores=scores)


def review_all(run: EvaluationRun, reviewer: User, **scores: Any) -> EvaluationRun:
    """One person judges every sample alike."""
    given = scores or {"helpful": 4, "safe": True}
    reviews = [services.ReviewInput(sample.pk, given) for sample in run.samples.filter(review_count__lt=99)]
    run = services.reviews_submit(actor=reviewer, run_id=run.pk, reviews=reviews)
    run.refresh_from_db()
    return run


def make_reviewed(cast: Cast, model: ModelEntry, dataset: Dataset) -> EvaluationRun:
    """A human run of three samples that Ben and Chen have judged."""
    run = start(cast, model=model, dataset=dataset, run_type="human", sample_size=3, rubric=RUBRIC)
    review_all(run, cast.ben)
    return review_all(run, cast.chen)
