"""Registering a job's output by hand, where it was not registered by itself."""

from __future__ import annotations

import tempfile
from pathlib import Path

from django.conf import settings
from django.db import transaction

from apps.accounts.models import User
from apps.catalog.models import ModelEntry
from apps.core import audit, versions
from apps.core.errors import Conflict, ValidationFailed
from apps.core.storage import store
from apps.core.transitions import get_locked
from apps.governance.services import authorize
from apps.training.models import TrainingJob
from apps.training.selectors import job_get
from apps.training.services.collect import register_output
from apps.training.types import JobStatus


def job_register_model(*, actor: User, job_id: object, name: str = "", version: str = "") -> tuple[ModelEntry, bool]:
    """Register the output of a succeeded job; returns the model and whether it is new. Twice gives the same one.

    Raises Conflict when the job has no output (yet), ValidationFailed for an unusable name or version.
    """
    job = job_get(actor=actor, job_id=job_id)
    authorize(actor=actor, action="training_job.change", obj=job)
    if job.output_model is not None:
        return job.output_model, False
    if job.status != JobStatus.SUCCEEDED or not job.output_key:
        raise Conflict(f"{job} is {job.status} and has no output to register.", code="no_output")
    authorize(actor=actor, action="model.create", team=job.team)
    if version and not versions.is_version(version):
        raise ValidationFailed.field("version", "invalid", f"{version[:40]!r} is no version. Write 1.0.0 or v1.0.")
    if len(name) > 200 or not name.isprintable():
        raise ValidationFailed.field("name", "invalid", "name must have at most 200 printable characters.")
    with tempfile.TemporaryDirectory(dir=Path(settings.VAR_DIR) / "tmp") as folder:
        store().download_prefix(job.output_key, Path(folder))
        model = register_output(job, Path(folder), name=name.strip(), version=version)
    with transaction.atomic():
        job = get_locked(TrainingJob.objects.all(), job.pk, "training job")
        job.output_model = model
        job.output_storage_uri = store().uri(model.storage_prefix)
        job.save(update_fields=["output_model", "output_storage_uri"])
        audit.record(
            actor=actor, action="training.job.model_registered", resource=job, metadata={"model": str(model.pk)}
        )
    return model, True
