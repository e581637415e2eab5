"""One real LoRA of a real (tiny) model on the local backend, from submission to registered output (FR-004, FR-005)."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from apps.accounts.models import ApiToken
from apps.catalog.models import LineageEdge, ModelEntry
from apps.catalog.services import model_require_runnable
from apps.core.storage import store
from apps.datasets.models import Dataset
from apps.governance.models import UsageRecord
from apps.integrations.local import files
from apps.integrations.local.backend import LocalBackend
from apps.training import selectors, services
from apps.training.models import JobAttempt
from apps.training.services.folders import job_folder
from apps.training.types import AttemptStatus
from tests.compute.programs import alive, eventually
from tests.factories.training import make_base_model, make_job
from tests.support.cast import Cast, commit_now
from tests.training.conftest import Drive

PARAMETERS = {
    "method": "lora",
    "learning_rate": 1e-3,
    "batch_size": 2,
    "max_steps": 6,
    "max_seq_len": 64,
    "seed": 7,
    "lora": {"r": 4, "alpha": 8},
    "checkpoint_colour": "blue",
}


@pytest.fixture
def tiny(cast: Cast, tiny_model_dir: Path) -> ModelEntry:
    """The two-million-parameter model of the session, approved."""
    content = {path.name: path.read_bytes() for path in tiny_model_dir.iterdir() if path.is_file()}
    return make_base_model(cast, files=content, name="tiny")


@pytest.mark.slow
def test_ada_can_fine_tune_a_real_model(
    cast: Cast, dataset: Dataset, tiny: ModelEntry, drive: Drive, local: LocalBackend, settings: Any
) -> None:
    """FR-004, FR-004b, FR-004h, FR-005, FR-005h: trained, recorded, registered as a draft with lineage, billed."""
    settings.API_BASE_URL = "http://127.0.0.1:9"  # nobody listens: metrics are lost, training is not
    job = make_job(cast.ada, dataset, tiny, hyperparameters=PARAMETERS, output_model_name="tiny-tuned")
    assert any("checkpoint_colour" in text for text in job.warnings)
    drive(job, "succeeded", "failed", seconds=180)
    assert job.status == "succeeded", (job.failure_message, services.job_log_tail(job, 40))
    attempt = JobAttempt.objects.get(job=job)
    eventually(lambda: services.attempt_settle(attempt.pk), what="settlement")
    model = job.output_model
    assert model is not None
    assert (model.name, model.status, model.type) == ("tiny-tuned", "draft", "fine-tuned")
    commit_now()
    model_require_runnable(model=model)
    edges = set(LineageEdge.objects.filter(target_id=model.pk).values_list("source_kind", "source_id"))
    assert edges == {("dataset", dataset.pk), ("model", tiny.pk), ("training_job", job.pk)}
    record = job.experiment
    record.refresh_from_db()
    assert record.dataset_digest == dataset.digest
    assert record.final_metrics["train_loss"] > 0
    assert record.environment["packages"]["torch"]
    assert record.parameters["sent"] == PARAMETERS
    assert {row["kind"] for row in record.artifacts} == {"log", "model"}
    attempt.refresh_from_db()
    assert any("step 6/6" in line for line in services.job_log_tail(job, 100))
    assert store().exists(attempt.log_key)
    assert not job_folder(job.pk).exists()
    token = ApiToken.objects.get(bound_id=str(job.pk))
    assert token.revoked_at is not None
    assert token.scopes == ["metrics"]
    kinds = set(UsageRecord.objects.filter(resource_id=str(job.pk)).values_list("kind", flat=True))
    assert kinds == {"cpu_seconds", "memory_byte_seconds"}
    services.attempt_collect(attempt.pk)
    assert ModelEntry.objects.filter(source_job_id=job.pk).count() == 1


@pytest.mark.slow
def test_interrupted_job_goes_on_from_its_checkpoint(
    cast: Cast, dataset: Dataset, tiny: ModelEntry, drive: Drive, local: LocalBackend, settings: Any
) -> None:
    """FR-004g, P-8: kill -9 in mid-training; the next attempt resumes, and there is never a second process."""
    settings.API_BASE_URL = "http://127.0.0.1:9"
    many = PARAMETERS | {"max_steps": 30}
    job = make_job(cast.ada, dataset, tiny, hyperparameters=many, retry_policy={"maxRetries": 0})
    drive(job, "running", seconds=120)
    eventually(
        lambda: any("checkpoint written" in line for line in services.job_log_tail(job, 50)),
        seconds=120,
        what="a checkpoint",
    )
    first = selectors.attempts_of(job)[0]
    assert first.workload is not None
    state = files.read_json(local._root / first.workload.name / files.STATE) or {}
    os.kill(state["pid"], signal.SIGKILL)
    eventually(lambda: not alive(state["child_pid"]))
    drive(job, "succeeded", "failed", seconds=240)
    assert job.status == "succeeded", (job.failure_message, services.job_log_tail(job, 40))
    attempts = list(JobAttempt.objects.filter(job=job).order_by("number"))
    assert [attempt.status for attempt in attempts] == [AttemptStatus.INTERRUPTED, AttemptStatus.SUCCEEDED]
    job.experiment.refresh_from_db()
    assert job.experiment.usage["resumedFromStep"] >= 3
    assert any("step 30/30" in line for line in services.job_log_tail(job, 100))


@pytest.mark.slow
def test_cancelled_job_leaves_no_process_and_no_folder(
    cast: Cast, dataset: Dataset, tiny: ModelEntry, drive: Drive, local: LocalBackend, settings: Any
) -> None:
    """FR-004f: cancel leaves nothing running; log and record stay."""
    settings.API_BASE_URL = "http://127.0.0.1:9"
    job = make_job(cast.ada, dataset, tiny, hyperparameters=PARAMETERS | {"max_steps": 5000})
    drive(job, "running", seconds=120)
    eventually(lambda: bool(services.job_log_tail(job, 5)), seconds=120, what="a first log line")
    services.job_cancel(actor=cast.ada, job_id=job.pk)
    job.refresh_from_db()
    assert job.status == "cancelled"
    attempt = JobAttempt.objects.get(job=job)

    def gone() -> bool:
        drive(job, "cancelled")
        return local.running_names() == [] and services.attempt_settle(attempt.pk)

    eventually(gone, seconds=90)
    assert not job_folder(job.pk).exists()
    assert services.job_log_tail(job, 5)


def test_paths_of_the_work_folder_are_the_jobs_own(job: Any, media: Path) -> None:
    """P-8: two jobs never share a folder."""
    assert job_folder(job.pk).name == str(job.pk)
