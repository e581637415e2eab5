"""From workload to job: retries, back-off, interruptions, lost messages (FR-004g, P-8). No process is started here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.urls import reverse

from apps.compute.models import Workload
from apps.compute.services import workload_stop
from apps.compute.services.transition import workload_transition
from apps.compute.types import Observation, ObservedState, ReasonCode, WorkloadState
from apps.core import clock
from apps.core.errors import Conflict
from apps.training import services
from apps.training.models import JobAttempt, TrainingJob
from apps.training.services.collect import SETTLE_TASK
from apps.training.services.folders import job_folder, lease_take
from apps.training.services.lifecycle import PREPARE_TASK
from apps.training.types import AttemptStatus
from tests.factories.training import make_job
from tests.support.cast import Cast, commit_now

Page = Callable[[object], Any]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, float | None]]:
    """Tasks that would have been sent, as (name, id, countdown)."""
    found: list[tuple[str, str, float | None]] = []

    def record(name: str, key: str, countdown: float | None = None) -> None:
        found.append((name, key, countdown))

    for module in ("cancel", "lifecycle", "repair", "submit"):
        monkeypatch.setattr(f"apps.training.services.{module}.enqueue", record)
    return found


def attempt(job: TrainingJob, number: int = 1) -> JobAttempt:
    return JobAttempt.objects.get(job=job, number=number)


def prepared(job: TrainingJob, number: int = 1) -> Workload:
    """Prepare an attempt now and let its workload begin."""
    JobAttempt.objects.filter(job=job, number=number).update(not_before=clock.now())
    assert services.attempt_prepare(attempt(job, number).pk)
    workload = Workload.objects.get(owner_id=job.pk, attempt=number)
    workload_transition(workload, WorkloadState.STARTING)
    seen = Observation(ObservedState.RUNNING, started_at=clock.now().timestamp())
    workload_transition(workload, WorkloadState.RUNNING, observation=seen)
    job.refresh_from_db()
    return workload


def fails(job: TrainingJob, workload: Workload, code: ReasonCode, exit_code: int | None = None) -> None:
    seen = Observation(ObservedState.FAILED, code, "Boom.", exit_code=exit_code, finished_at=clock.now().timestamp())
    workload_transition(workload, WorkloadState.FAILED, code=code, observation=seen)
    job.refresh_from_db()


def test_crash_is_retried_with_growing_pauses(
    cast: Cast, job: TrainingJob, sent: list[tuple[str, str, float | None]]
) -> None:
    """FR-004g: at most maxRetries, each pause twice the last, then failed with tag and remedy."""
    TrainingJob.objects.filter(pk=job.pk).update(max_retries=2, backoff_seconds=10)
    job.refresh_from_db()
    for number, pause in ((1, 10), (2, 20)):
        fails(job, prepared(job, number), ReasonCode.EXIT_CODE, 1)
        assert job.status == "queued"
        following = attempt(job, number + 1)
        assert following.status == AttemptStatus.PREPARING
        wait = (following.not_before - clock.now()).total_seconds()
        assert pause - 5 < wait <= pause
        name, key, countdown = sent[-1]
        assert (name, key) == (PREPARE_TASK, str(following.pk))
        assert countdown is not None
        assert abs(countdown - pause) < 5
    assert not services.attempt_prepare(attempt(job, 3).pk), "not before its time"
    fails(job, prepared(job, 3), ReasonCode.EXIT_CODE, 1)
    assert (job.status, job.failure_tag) == ("failed", "crashed")
    assert job.failure_remedy
    assert job.completed_at is not None
    assert JobAttempt.objects.filter(job=job).count() == 3


@pytest.mark.parametrize(
    ("code", "exit_code", "tag"),
    [
        (ReasonCode.EXIT_CODE, 2, "spec_invalid"),
        (ReasonCode.EXIT_CODE, 3, "dataset_invalid"),
        (ReasonCode.EXIT_CODE, 6, "out_of_memory"),
        (ReasonCode.EXIT_CODE, 8, "diverged"),
        (ReasonCode.OOM, 137, "out_of_memory"),
        (ReasonCode.DEADLINE, 143, "deadline"),
        (ReasonCode.BINARY_MISSING, 127, "trainer_missing"),
        (ReasonCode.BACKEND_REFUSED, None, "backend_refused"),
    ],
)
def test_what_a_retry_cannot_mend_fails_at_once(
    job: TrainingJob, sent: Any, code: ReasonCode, exit_code: int | None, tag: str
) -> None:
    """FR-004e, FR-004g: the root cause as a tag; no second attempt."""
    fails(job, prepared(job), code, exit_code)
    assert (job.status, job.failure_tag) == ("failed", tag)
    assert "Boom." in job.failure_message
    assert JobAttempt.objects.filter(job=job).count() == 1


def test_interruption_uses_up_no_retry(job: TrainingJob, sent: Any) -> None:
    """P-8: a restart of the machine is nobody's fault."""
    TrainingJob.objects.filter(pk=job.pk).update(max_retries=0)
    job.refresh_from_db()
    for number in (1, 2, 3):
        fails(job, prepared(job, number), ReasonCode.INTERRUPTED)
        assert job.status == "queued"
        assert attempt(job, number).status == AttemptStatus.INTERRUPTED
        assert attempt(job, number + 1).not_before <= clock.now()


def test_endless_interruptions_end(job: TrainingJob, sent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """FR-004g: even interruptions are bounded."""
    monkeypatch.setattr("apps.training.services.lifecycle.MAX_INTERRUPTIONS", 2)
    for number in (1, 2, 3):
        fails(job, prepared(job, number), ReasonCode.INTERRUPTED)
    assert (job.status, job.failure_tag) == ("failed", "interrupted")


def test_cancelled_job_is_not_brought_back_by_its_workload(cast: Cast, job: TrainingJob, sent: Any) -> None:
    """FR-004f: what the process does after the cancellation changes nothing; the workload is asked to stop."""
    workload = prepared(job)
    services.job_cancel(actor=cast.ada, job_id=job.pk)
    commit_now()
    workload.refresh_from_db()
    assert workload.desired == "stopped"
    seen = Observation(ObservedState.SUCCEEDED, exit_code=0)
    workload_transition(workload, WorkloadState.SUCCEEDED, observation=seen)
    job.refresh_from_db()
    assert job.status == "cancelled"
    assert attempt(job).status == AttemptStatus.CANCELLED
    with pytest.raises(Conflict):
        services.job_cancel(actor=cast.ada, job_id=job.pk)


def test_job_cancelled_during_preparation_starts_nothing(cast: Cast, job: TrainingJob, sent: Any) -> None:
    """FR-004f: the last look before submission is under the lock."""
    services.job_cancel(actor=cast.ada, job_id=job.pk)
    assert not services.attempt_prepare(attempt(job).pk)
    assert not Workload.objects.exists()


def test_workload_stopped_by_somebody_else_fails_the_job_honestly(job: TrainingJob, sent: Any) -> None:
    """P-8: an operator's hand on the workload is told, not retried."""
    workload = prepared(job)
    workload_stop(workload_id=workload.pk, reason="maintenance")
    workload.refresh_from_db()
    workload_transition(workload, WorkloadState.STOPPED, code=ReasonCode.STOPPED, reason="maintenance")
    job.refresh_from_db()
    assert (job.status, job.failure_tag, job.failure_message) == ("failed", "stopped", "maintenance")


def test_lost_messages_are_sent_again(cast: Cast, job: TrainingJob, sent: list[tuple[str, str, float | None]]) -> None:
    """P-8: the sweep finds what is due, leaves alone what is in work or not yet due."""
    sent.clear()
    services.jobs_reconcile()
    assert sent == [(PREPARE_TASK, str(attempt(job).pk), None)]
    sent.clear()
    assert lease_take(attempt(job).pk)
    assert not lease_take(attempt(job).pk), "one task at a time"
    services.jobs_reconcile()
    assert sent == []
    later = clock.now() + timedelta(minutes=11)
    with clock.frozen(later):
        services.jobs_reconcile()
        assert len(sent) == 1, "a dead task's lease runs out"
    JobAttempt.objects.update(lease_until=None)
    fails(job, prepared(job), ReasonCode.OOM)
    sent.clear()
    services.jobs_reconcile()
    assert sent == [(SETTLE_TASK, str(attempt(job).pk), None)]
    assert services.attempt_settle(attempt(job).pk)
    sent.clear()
    services.jobs_reconcile()
    assert sent == []
    assert not job_folder(job.pk).exists()


def test_sweep_stops_what_a_cancelled_job_left_running(cast: Cast, job: TrainingJob, sent: Any) -> None:
    """P-8: a crash between cancelling and stopping is repaired."""
    workload = prepared(job)
    services.job_cancel(actor=cast.ada, job_id=job.pk)
    workload.refresh_from_db()
    assert workload.desired == "running", "the commit's callback has not run: as after a crash"
    services.jobs_reconcile()
    workload.refresh_from_db()
    assert workload.desired == "stopped"


def test_token_reaches_the_process_only_as_a_secret(job: TrainingJob, sent: Any) -> None:
    """P-2, FR-005f: job-scoped, in no stored snapshot; the address is set by itself."""
    workload = prepared(job)
    token = attempt(job).token
    assert token is not None
    assert (token.scopes, token.bound_type, token.bound_id) == (["metrics"], "training_job", str(job.pk))
    assert workload.spec["secret_names"] == ["LLMOPS_METRICS_TOKEN"]
    assert token.prefix not in str(workload.spec)
    assert workload.spec["env"]["API_BASE_URL"].startswith("http")
    spec = (job_folder(job.pk) / "spec-1.json").read_text()
    assert f"/llm-ops/v1/training/jobs/{job.pk}/metrics" in spec
    assert token.prefix not in spec


def test_api_base_url_of_the_request_wins(cast: Cast, job: TrainingJob, sent: Any) -> None:
    """FR-005f: overridden by the request."""
    other = make_job(cast.ada, job.dataset, job.model, api_base_url="http://portal.example:8000/llm-ops/v1/")
    prepared(other)
    spec = (job_folder(other.pk) / "spec-1.json").read_text()
    assert f"http://portal.example:8000/llm-ops/v1/training/jobs/{other.pk}/metrics" in spec


def test_pages_show_every_state_of_a_job(cast: Cast, page: Page, job: TrainingJob, sent: Any) -> None:
    """FR-004a: queued, running, failed, cancelled; fragments by the same view; the last one reloads the page."""
    ada = page(cast.ada)
    url = reverse("training:job-detail", args=[job.pk])

    def text(pk: UUID = job.pk) -> str:
        response = ada.get(reverse("training:job-detail", args=[pk]))
        assert response.status_code == 200
        return response.content.decode()

    assert "Its inputs are being prepared" in text()
    workload = prepared(job)
    assert "The trainer is starting" in text()
    assert "Cancel job" in text()
    fragment = ada.get(url, headers={"HX-Request": "true", "HX-Target": "state"})
    assert "<html" not in fragment.content.decode()
    assert "HX-Refresh" not in fragment.headers
    fails(job, workload, ReasonCode.OOM)
    assert "ran out of memory" in text()
    assert "smaller batch_size" in text()
    assert "Cancel job" not in text()
    assert "Resubmit" in text()
    assert ada.get(url, headers={"HX-Request": "true", "HX-Target": "state"}).headers["HX-Refresh"] == "true"
    again = make_job(cast.ada, job.dataset, job.model)
    services.job_cancel(actor=cast.ada, job_id=again.pk, reason="No longer needed.")
    assert "No longer needed." in text(again.pk)
    listed = ada.get(reverse("training:job-list"), {"status": "failed"}).content.decode()
    assert str(job.pk) in listed
    assert str(again.pk) not in listed


def test_form_shows_errors_at_their_fields_and_submits(cast: Cast, page: Page, job: TrainingJob, sent: Any) -> None:
    """FR-004a: 422 keeps the input; the good one redirects to the new job."""
    ada = page(cast.ada)
    url = reverse("training:job-create")
    data = {
        "job_type": "finetune",
        "owner_team": "support",
        "model_id": str(job.model_id),
        "dataset_id": str(job.dataset_id),
        "method": "lora",
        "learning_rate": "fast",
        "lora_r": "0",
        "memory": "much",
        "auto_register": "on",
    }
    response = ada.post(url, data)
    assert response.status_code == 422
    body = response.content.decode()
    assert 'value="fast"' in body
    assert 'id="id_memory_error"' in body
    assert 'id="id_learning_rate_error"' in body
    response = ada.post(url, data | {"learning_rate": "0.001", "lora_r": "4", "memory": "1Gi", "max_steps": "3"})
    assert response.status_code == 302, response.content.decode()
    fresh = TrainingJob.objects.exclude(pk=job.pk).get()
    assert response.headers["Location"] == reverse("training:job-detail", args=[fresh.pk])
    assert fresh.hyperparameters == {"learning_rate": 0.001, "max_steps": 3, "method": "lora", "lora": {"r": 4}}
    again = ada.get(url, {"from": str(fresh.pk)})
    assert 'value="0.001"' in again.content.decode()
    response = ada.post(f"{url}?from={fresh.pk}", data | {"learning_rate": "0.01", "lora_r": "4", "memory": ""})
    assert response.status_code == 302
    fresh.refresh_from_db()
    assert fresh.status == "cancelled"
    assert TrainingJob.objects.get(resubmitted_from=fresh).hyperparameters["learning_rate"] == 0.01


def test_ben_sees_no_buttons(cast: Cast, page: Page, job: TrainingJob) -> None:
    """P-3: who may not do it is not offered it."""
    body = page(cast.ben).get(reverse("training:job-detail", args=[job.pk])).content.decode()
    assert "Cancel job" not in body
    assert "Resubmit" not in body
    assert "New job" not in page(cast.ben).get(reverse("training:job-list")).content.decode()


def test_kept_output_can_be_registered_by_hand_once(cast: Cast, api: Any, job: TrainingJob) -> None:
    """FR-005h: without an output there is nothing to register, and the answer says so."""
    response = api(cast.ada).post(f"/training/jobs/{job.pk}/register-model", {})
    assert response.status_code == 409
    assert "no output" in response.json()["message"]
    assert api(cast.ben).post(f"/training/jobs/{job.pk}/register-model", {}).status_code == 403
    assert api(cast.eve).post(f"/training/jobs/{job.pk}/register-model", {}).status_code == 404
