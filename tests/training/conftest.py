"""A backend of its own, Ada's approved dataset and base model, and a job that is queued."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apps.catalog.models import ModelEntry
from apps.compute.services import reconcile_once
from apps.datasets.models import Dataset
from apps.integrations import registry
from apps.integrations.local.backend import LocalBackend
from apps.training.models import TrainingJob
from apps.training.services import jobs_reconcile
from tests.compute.programs import eventually
from tests.factories.datasets import make_approved_dataset
from tests.factories.training import make_base_model, make_job
from tests.support.cast import Cast, commit_now

Drive = Callable[..., TrainingJob]


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalBackend]:
    """The backend “local”, in a folder of this test; nothing it started outlives the test."""
    backend = LocalBackend(root=tmp_path / "compute", max_jobs=2, port_range=(23000, 23999))
    registry.backend_register("local", lambda: backend)
    yield backend
    registry.backend_register("local", registry.local_backend)
    for name in backend.running_names():
        backend.stop(name)
    assert backend.wait_ended(backend.running_names(), 40) == []


@pytest.fixture
def dataset(cast: Cast) -> Dataset:
    """Clean, approved pairs of team support."""
    return make_approved_dataset(cast)


@pytest.fixture
def base(cast: Cast) -> ModelEntry:
    """An approved base model (of a few bytes: it cannot be trained)."""
    return make_base_model(cast)


@pytest.fixture
def job(cast: Cast, dataset: Dataset, base: ModelEntry, local: LocalBackend) -> TrainingJob:
    """Ada's queued job, not yet prepared."""
    return make_job(cast.ada, dataset, base)


@pytest.fixture
def drive(local: LocalBackend) -> Drive:
    """Pass (tasks, sweep, reconciler) until a job is in one of the given states."""

    def call(job: TrainingJob, *states: str, seconds: float = 60.0) -> TrainingJob:
        def there() -> bool:
            commit_now()
            reconcile_once()
            commit_now()
            jobs_reconcile()
            commit_now()
            job.refresh_from_db()
            return job.status in states

        eventually(there, seconds=seconds, what=f"job {job} in {states}")
        return job

    return call
