"""Base models and jobs for tests of training and of what comes after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile

from apps.accounts.models import User
from apps.catalog import services as catalog
from apps.catalog.models import ModelEntry
from apps.catalog.selectors import model_digest
from apps.core import clock
from apps.datasets.models import Dataset
from apps.training.models import TrainingJob
from apps.training.services import job_submit
from apps.training.types import JobRequest
from tests.catalog.files import model_files
from tests.support.cast import Cast, commit_now

CARD = {
    "purpose": "Answers support questions.",
    "scope": "Support of our own products only.",
    "contact": "ada@example.org",
    "license": "Apache-2.0",
}


def make_base_model(
    cast: Cast, *, files: Mapping[str, bytes] | None = None, approved: bool = True, **fields: Any
) -> ModelEntry:
    """A scanned base model of team support; approved without the ceremony unless told otherwise."""
    values: dict[str, Any] = {
        "name": "support-base",
        "version": "1.0",
        "type": "base",
        "owner_team": cast.support,
        "metadata": dict(CARD),
    }
    model = catalog.model_create(actor=cast.ada, **{**values, **fields})
    content = model_files() if files is None else files
    uploads = [SimpleUploadedFile(name, raw) for name, raw in content.items()]
    catalog.model_upload(actor=cast.ada, model_id=model.pk, files=uploads)
    commit_now()
    model.refresh_from_db()
    if approved:
        ModelEntry.objects.filter(pk=model.pk).update(
            status="approved", digest=model_digest(model), approved_at=clock.now()
        )
        model.refresh_from_db()
    return model


def job_request(dataset: Dataset, model: ModelEntry | None = None, **fields: Any) -> JobRequest:
    """A CPU fine-tune of two steps."""
    values: dict[str, Any] = {
        "job_type": "finetune",
        "dataset_id": str(dataset.pk),
        "model_id": str(model.pk) if model is not None else "",
        "use_gpu": False,
        "hyperparameters": {"method": "lora", "max_steps": 2, "batch_size": 2, "max_seq_len": 64, "lora": {"r": 4}},
    }
    return JobRequest(**{**values, **fields})


def make_job(actor: User, dataset: Dataset, model: ModelEntry | None = None, **fields: Any) -> TrainingJob:
    """A queued job; its preparation is not run (see `commit_now`)."""
    return job_submit(actor=actor, request=job_request(dataset, model, **fields))
