"""Getting an attempt onto compute: inputs on disk, a token for its metrics, the workload."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction

from apps.accounts.services import token_issue
from apps.catalog.services import model_materialise, model_require_deployable
from apps.compute.services import workload_submit
from apps.compute.types import SlotClass, WorkloadKind, WorkloadSpec
from apps.core import clock
from apps.core.errors import DomainError, GateRefused, ValidationFailed
from apps.core.permissions import Scope
from apps.core.transitions import get_locked, transition
from apps.datasets.services import dataset_materialise, dataset_require_usable
from apps.training.models import JobAttempt, TrainingJob
from apps.training.selectors import OWNER_TYPE
from apps.training.services.folders import job_folder, lease_drop, lease_take
from apps.training.services.lifecycle import attempt_failed
from apps.training.services.spec import TOKEN_ENV, contract_of
from apps.training.types import ATTEMPT_TRANSITIONS, JOB_ACTIVE, AttemptStatus
from workers.contracts import SpecError

log = structlog.get_logger(__name__)

TOKEN_SLACK = timedelta(hours=12)


def attempt_prepare(attempt_id: UUID) -> bool:
    """Prepare and submit an attempt; True when it is on compute afterwards. Safe to repeat and to run twice.

    What a person must mend (approval lapsed, files changed) fails the job with the reason; anything else is
    noted and tried again by the sweep.
    """
    attempt = JobAttempt.objects.select_related("job__dataset", "job__model", "job__team", "job__created_by").get(
        pk=attempt_id
    )
    if attempt.status != AttemptStatus.PREPARING or attempt.not_before > clock.now() or not lease_take(attempt_id):
        return False
    trouble = ""
    try:
        spec_path = _inputs(attempt)
        return _submit(attempt, spec_path)
    except (GateRefused, ValidationFailed, SpecError) as error:
        message = error.message if isinstance(error, DomainError) else str(error)
        attempt_failed(attempt_id, tag="input_refused", message=message, retry=False)
        return False
    except (OSError, DomainError) as error:
        trouble = f"The inputs could not be prepared yet: {error}"
        log.warning("training.attempt.prepare_trouble", attempt=str(attempt_id), error=str(error))
        return False
    finally:
        lease_drop(attempt_id, trouble)


def _inputs(attempt: JobAttempt) -> Path:
    """Put data, base model and the trainer's spec into the job's folder; what was checked once is checked again."""
    job = attempt.job
    dataset_require_usable(dataset=job.dataset)
    if job.model is not None:
        model_require_deployable(model=job.model)
    folder = job_folder(job.pk)
    inputs = folder / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    dataset_materialise(dataset=job.dataset, destination=inputs / "data.jsonl")
    if job.model is not None:
        model_materialise(model=job.model, destination=inputs / "model")
    contract = contract_of(job, folder=folder, metrics_url=metrics_url(job), threads=settings.TRAINING_THREADS)
    path = folder / f"spec-{attempt.number}.json"
    path.write_text(contract.to_json(), encoding="utf-8")
    return path


def metrics_url(job: TrainingJob) -> str:
    """Return where the job posts its metrics: at the address it was given, else at this installation's."""
    base = (job.api_base_url or settings.API_BASE_URL).rstrip("/").removesuffix("/llm-ops/v1")
    return f"{base}/llm-ops/v1/training/jobs/{job.pk}/metrics"


@transaction.atomic
def _submit(attempt: JobAttempt, spec_path: Path) -> bool:
    job = get_locked(TrainingJob.objects.select_related("team", "created_by"), attempt.job_id, "training job")
    attempt = get_locked(JobAttempt.objects.all(), attempt.pk, "attempt")
    if job.status not in JOB_ACTIVE or attempt.status != AttemptStatus.PREPARING:
        return False  # cancelled while we prepared
    secrets: dict[str, str] = {}
    token = None
    if job.created_by is not None:
        issued = token_issue(
            user=job.created_by,
            name=f"Metrics of {job.name}"[:100],
            scopes=[Scope.METRICS],
            expires_at=clock.now() + timedelta(minutes=job.max_minutes) + TOKEN_SLACK,
            team=job.team,
            bound_type=OWNER_TYPE,
            bound_id=job.pk,
        )
        secrets[TOKEN_ENV], token = issued.value, issued.token
    workload = workload_submit(
        actor=None,
        created_by=job.created_by,
        kind=WorkloadKind.TRAINING,
        owner_type=OWNER_TYPE,
        owner_id=job.pk,
        team=job.team,
        spec=workload_spec(job, spec_path, secrets),
        model_id=job.model_id,
        attempt=attempt.number,
    )
    transition(attempt, AttemptStatus.SUBMITTED, ATTEMPT_TRANSITIONS, workload=workload, token=token)
    return True


def workload_spec(job: TrainingJob, spec_path: Path, secrets: dict[str, str]) -> WorkloadSpec:
    """Return what compute runs for a job: the trainer, with the job's resources and time limit."""
    threads = str(settings.TRAINING_THREADS)
    return WorkloadSpec(
        command=(sys.executable, "-m", "workers.trainer", "--spec", str(spec_path)),
        env={
            "API_BASE_URL": job.api_base_url or settings.API_BASE_URL,
            "PYTHONPATH": str(settings.BASE_DIR),
            "PYTHONUNBUFFERED": "1",
            "OMP_NUM_THREADS": threads,
            "OMP_WAIT_POLICY": "PASSIVE",
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
        },
        secret_env=secrets,
        working_dir=str(spec_path.parent),
        cpu=float(job.cpu),
        memory_bytes=job.memory_bytes,
        gpu_count=job.gpu_count,
        gpu_type=job.gpu_type,
        nodes=job.nodes,
        time_limit_seconds=job.max_minutes * 60,
        slot_class=SlotClass.JOB,
        # Time to write a checkpoint before it is ended by force.
        grace_seconds=30.0,
    )
