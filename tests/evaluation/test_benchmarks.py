"""FR-001, FR-005b: benchmarks keep their metrics; evaluations on them report these, and pin rows and columns."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.core import clock
from apps.core.errors import Conflict, GateRefused, ValidationFailed
from apps.datasets import services as datasets
from apps.datasets.models import Dataset
from apps.evaluation import services
from tests.evaluation.support import make_benchmark, make_ready
from tests.factories.datasets import SHEET
from tests.support.cast import ApiClient, Cast

pytestmark = pytest.mark.django_db
Api = Callable[..., ApiClient]


def benchmark(cast: Cast, **fields: Any) -> Dataset:
    """A checked benchmark that is measured by two metrics."""
    return make_benchmark(cast.ada, metrics=["exact_match", "ROUGEL"], **fields)


def test_runs_report_the_metrics_of_the_benchmark(cast: Cast) -> None:
    """FR-005b: without metrics its own count; some of them may be chosen, others not."""
    dataset, model = benchmark(cast), make_ready(cast.ada, cast.support)
    assert dataset.metric_set == ["exact_match", "rougeL"], "in their proper spelling"
    asked: dict[str, Any] = {"actor": cast.ada, "model_id": model.pk, "dataset_id": dataset.pk}
    assert services.run_start(**asked).metric_names == ["exact_match", "rougeL"]
    assert services.run_start(**asked, metrics=["ROUGEl"]).metric_names == ["rougeL"]
    with pytest.raises(ValidationFailed, match="exact_match, rougeL, not by 'bleu'") as refused:
        services.run_start(**asked, metrics=["exact_match", "bleu"])
    assert refused.value.errors[0].field == "metrics"


def test_metrics_are_checked_and_frozen(cast: Cast, api: Api) -> None:
    """FR-001: only a benchmark has them, only known ones, part of what is approved; copies have their source's."""
    ada = api(cast.ada)
    body = {"name": "bench", "version": "1.0", "type": "benchmark", "metadata": {"datasheet": SHEET}}
    made = ada.post("/catalog/datasets", {**body, "metrics": ["f1", "F1", "bleu"]})
    assert made.data["metrics"] == ["f1", "bleu"]
    for wrong in (
        {"metrics": ["style"]},
        {"metrics": "f1"},
        {"metrics": [["f1"]]},
        {"type": "sft_pair", "metrics": ["f1"]},
    ):
        refused = ada.post("/catalog/datasets", {**body, "version": "2.0", **wrong})
        assert refused.status_code == 400, wrong
        assert refused.data["errors"][0]["field"].startswith("metrics"), refused.data
    path = f"/catalog/datasets/{made.data['id']}"
    assert ada.patch(path, {"type": "sft_pair"}).data["metrics"] == []
    assert ada.patch(path, {"type": "benchmark", "metrics": ["accuracy"]}).data["metrics"] == ["accuracy"]
    dataset = benchmark(cast, version="3.0")
    before = dataset.digest
    changed = datasets.dataset_update(actor=cast.ada, dataset_id=dataset.pk, metrics=["f1"])
    assert changed.digest != before
    datasets.dataset_submit(actor=cast.ada, dataset_id=dataset.pk)
    datasets.dataset_decide(actor=cast.chen, dataset_id=dataset.pk, decision="approve")
    with pytest.raises(Conflict, match="new version"):
        datasets.dataset_update(actor=cast.ada, dataset_id=dataset.pk, metrics=["bleu"])
    parts = datasets.dataset_split(actor=cast.ada, dataset_id=dataset.pk, ratios={"train": 0.5, "test": 0.5}).datasets
    assert [part.metric_set for part in parts] == [["f1"], ["f1"]]


def test_run_pins_rows_and_columns(cast: Cast) -> None:
    """FR-003: what a run is evaluated on is recorded by a digest over rows and schema, and shown."""
    dataset, model = benchmark(cast), make_ready(cast.ada, cast.support)
    run = services.run_start(actor=cast.ada, model_id=model.pk, dataset_id=dataset.pk)
    assert run.dataset_content_digest == datasets.content_digest(dataset)
    renamed = [{**column, "name": f"{column['name']}2"} for column in dataset.columns]
    assert (
        datasets.content_digest(Dataset(rows_sha256=dataset.rows_sha256, columns=renamed)) != run.dataset_content_digest
    )


def test_expired_benchmark_starts_nothing(cast: Cast) -> None:
    """FR-003: after its retention no new evaluation uses it."""
    model = make_ready(cast.ada, cast.support)
    dataset = benchmark(cast, metadata={"datasheet": {**SHEET, "retention": "2026-12-31"}})
    with clock.frozen(datetime(2027, 1, 1, tzinfo=UTC)), pytest.raises(GateRefused, match="retention"):
        services.run_start(actor=cast.ada, model_id=model.pk, dataset_id=dataset.pk)


def test_person_sets_the_metrics(cast: Cast, page: Callable[[Any], Client]) -> None:
    """FR-001: boxes in the form, the set on the page; a form as it comes evaluates by the benchmark's own metrics."""
    ada = page(cast.ada)
    dataset = make_benchmark(cast.ada)
    url = reverse("datasets:dataset-update", args=[dataset.pk])
    form = {"name": dataset.name, "visibility": "team", "metadata": "{}", **SHEET}
    assert ada.post(url, {**form, "metrics": ["accuracy", "f1"]}).status_code == 302
    assert "accuracy, f1" in ada.get(dataset.get_absolute_url()).content.decode()
    assert ada.post(url, {**form, "metrics": ["style"]}).status_code == 422
    model = make_ready(cast.ada, cast.support)
    started = ada.post(
        reverse("evaluation:run-create"),
        {
            "model": str(model.pk),
            "dataset": str(dataset.pk),
            "run_type": "automated",
            "metrics": ["exact_match", "f1", "bleu", "rougeL"],
        },
    )
    assert started.status_code == 302, started.content.decode()[:3000]
    shown = ada.get(started.headers["Location"]).content.decode()
    assert datasets.content_digest(Dataset.objects.get(pk=dataset.pk))[:12] in shown
