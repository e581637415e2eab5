"""One evaluation for real: catalog, datasets, the local backend, the evaluator, a model of 2 million weights."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from apps.catalog.services import model_upload
from apps.compute.services import reconcile_once
from apps.evaluation import selectors, services
from apps.integrations import registry
from apps.integrations.local.backend import LocalBackend
from tests.catalog.support import make_model
from tests.evaluation.support import make_benchmark
from tests.support.cast import Cast, commit_now

pytestmark = pytest.mark.django_db


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalBackend]:
    """The local backend in a folder of this test."""
    backend = LocalBackend(root=tmp_path / "compute", max_jobs=2, max_endpoints=1, port_range=(23000, 23099))
    registry.backend_register("local", lambda: backend)
    yield backend
    registry.backend_register("local", registry.local_backend)
    for name in backend.running_names():
        backend.stop(name)
    assert backend.wait_ended(backend.running_names(), 10) == []


@pytest.mark.slow
def test_ada_can_evaluate_a_real_model(cast: Cast, local: LocalBackend, tiny_model_dir: Path) -> None:
    """FR-005a, FR-005b: the model is really asked, really measured, and the run says how it went."""
    model = make_model(cast.ada, cast.support)
    files = [SimpleUploadedFile(path.name, path.read_bytes()) for path in sorted(tiny_model_dir.iterdir())]
    model_upload(actor=cast.ada, model_id=model.pk, files=files)
    commit_now()
    dataset = make_benchmark(cast.ada)
    run = services.run_start(
        actor=cast.ada,
        model_id=model.pk,
        dataset_id=dataset.pk,
        metrics=["f1", "bleu", "perplexity"],
        sample_size=4,
        max_new_tokens=8,
    )
    commit_now()
    seen: set[str] = set()
    until = time.monotonic() + 120
    while run.status in ("queued", "running"):
        assert time.monotonic() < until, seen
        reconcile_once()
        commit_now()
        run.refresh_from_db()
        seen.add(run.status)
        local.wait_ended(local.running_names(), 0.3)
    workload = selectors.run_workload(run)
    assert workload
    assert run.status == "succeeded", (run.message, local.log_tail(workload.name, 50))
    assert "running" in seen
    assert run.sample_count == 4
    assert set(run.metrics) == {"f1", "bleu", "perplexity"}
    # Random weights choose among 1024 tokens as if blindfolded.
    assert 100 < run.metrics["perplexity"]["value"] < 3000
    sample = run.samples.first()
    assert sample
    assert sample.output is not None
    assert sample.prompt_tokens > 10
    assert run.report["environment"]["packages"]["torch"]
    assert workload.cpu_seconds_used
    assert not selectors.run_folder(run).exists()
