"""Inputs of a run on disk, its spec, and the workload that runs it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import structlog
from django.conf import settings
from django.db import transaction

from apps.catalog.services import model_materialise
from apps.compute.services import workload_submit
from apps.compute.types import WorkloadKind, WorkloadSpec
from apps.core.errors import DomainError
from apps.core.transitions import transition
from apps.datasets.services import content_digest, dataset_materialise
from apps.evaluation.models import EvaluationRun
from apps.evaluation.selectors import model_files_digest, run_folder
from apps.evaluation.types import OWNER_TYPE, RUN_TRANSITIONS, RunStatus
from workers.contracts import DatasetRef, DatasetType, EvaluateJobSpec, Metric, Precision

log = structlog.get_logger(__name__)

FALLBACK_METRIC = Metric.EXACT_MATCH
"""A human run that has to make its outputs asks for the cheapest metric; the evaluator wants one."""


def run_prepare(run_id: object) -> None:
    """Materialise model and dataset below the run's folder, write the spec, submit the workload.

    Runs again harmlessly: files are replaced, the workload is submitted once per attempt. What can never work
    (bytes that are not those registered, files gone) fails the run in words.
    """
    run = EvaluationRun.objects.select_related("model", "dataset", "team", "created_by").filter(pk=str(run_id)).first()
    if run is None or run.status != RunStatus.QUEUED:
        return
    folder = run_folder(run)
    try:
        spec_path = _written(run, folder)
    except DomainError as error:
        _failed(run, error.message)
        return
    with transaction.atomic():
        locked = EvaluationRun.objects.select_for_update().get(pk=run.pk)
        if locked.status != RunStatus.QUEUED:
            return
        locked.message = "Waiting for a place to run."
        locked.save(update_fields=["message"])
        workload_submit(
            actor=None,
            kind=WorkloadKind.EVALUATION,
            owner_type=OWNER_TYPE,
            owner_id=run.pk,
            team=run.team,
            created_by=run.created_by,
            model_id=run.model_id,
            attempt=locked.attempt,
            spec=WorkloadSpec(
                command=(sys.executable, "-m", "workers.evaluator", "--spec", str(spec_path)),
                working_dir=str(settings.BASE_DIR),
                cpu=float(settings.EVALUATION_CPU),
                memory_bytes=settings.EVALUATION_MEMORY_BYTES,
                time_limit_seconds=settings.EVALUATION_TIME_LIMIT_SECONDS,
            ),
        )


def _written(run: EvaluationRun, folder: Path) -> Path:
    """Model, dataset and spec on disk; returns the spec's path. Raises DomainError for what cannot work."""
    if model_files_digest(run.model) != run.model_digest:
        raise DomainError(f"The files of {run.model} changed after the evaluation was started. Start a new one.")
    pinned = run.dataset_content_digest
    if run.dataset.rows_sha256 != run.dataset_digest or (pinned and content_digest(run.dataset) != pinned):
        raise DomainError(f"{run.dataset} changed after the evaluation was started. Start a new one.")
    shutil.rmtree(folder, ignore_errors=True)
    model_dir = model_materialise(model=run.model, destination=folder / "model")
    rows = dataset_materialise(dataset=run.dataset, destination=folder / "dataset.jsonl")
    spec = EvaluateJobSpec(
        run_id=str(run.pk),
        dataset=DatasetRef(
            path=str(rows),
            type=DatasetType(run.dataset.type),
            name=run.dataset.name,
            version=run.dataset.version,
        ),
        output_dir=str(folder / "out"),
        model_dir=str(model_dir),
        metrics=tuple(Metric(name) for name in run.metric_names) or (FALLBACK_METRIC,),
        sample_size=run.sample_size or (settings.EVALUATION_REVIEW_SAMPLES if not run.metric_names else None),
        seed=run.seed,
        max_new_tokens=run.max_new_tokens,
        batch_size=settings.EVALUATION_BATCH_SIZE,
        precision=Precision.FP32,
    )
    path = folder / "spec.json"
    path.write_text(spec.to_json(), encoding="utf-8")
    return path


def _failed(run: EvaluationRun, message: str) -> None:
    with transaction.atomic():
        locked = EvaluationRun.objects.select_for_update().get(pk=run.pk)
        if locked.status == RunStatus.QUEUED:
            transition(locked, RunStatus.FAILED, RUN_TRANSITIONS, message=message[:1000], failure_tag="inputs_unusable")
    log.warning("evaluation.run.inputs_unusable", run=str(run.pk), reason=message)
