"""Metrics: who may send them, what is refused, how they come back (FR-005f)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from apps.accounts.services import token_issue
from apps.core import clock
from apps.core.permissions import Scope
from apps.datasets.models import Dataset
from apps.training import experiments
from apps.training.models import JobMetric, TrainingJob
from apps.training.services import metrics_record
from tests.factories.training import make_job
from tests.support.cast import ApiClient, Cast

Api = Callable[[object], Any]


def job_token(cast: Cast, job: TrainingJob, *, hours: int = 1) -> ApiClient:
    issued = token_issue(
        user=cast.ada,
        name="metrics",
        scopes=[Scope.METRICS],
        expires_at=clock.now() + timedelta(hours=hours),
        team=job.team,
        bound_type="training_job",
        bound_id=job.pk,
    )
    return ApiClient(issued.value)


def test_job_can_record_with_its_own_token(cast: Cast, job: TrainingJob) -> None:
    """FR-005f: single and batch; what comes back is ordered by name and step."""
    client = job_token(cast, job)
    path = f"/training/jobs/{job.pk}/metrics"
    assert client.post(path, {"name": "loss", "value": 2, "step": 2}).json()["data"] == {"recorded": 1}
    batch = [
        {"name": "loss", "value": 2.5, "step": 1, "timestamp": "2026-11-23T10:00:00Z"},
        {"name": "accuracy", "value": 0.5, "unit": "fraction", "step": 1, "timestamp": "2026-11-23T10:00:00"},
    ]
    assert client.post(path, {"metrics": batch}).status_code == 200
    rows = experiments.metrics_of(job)
    assert [(row.name, row.step, row.value) for row in rows] == [
        ("accuracy", 1, 0.5),
        ("loss", 1, 2.5),
        ("loss", 2, 2.0),
    ]


def test_job_token_is_good_for_nothing_else(cast: Cast, job: TrainingJob, dataset: Dataset) -> None:
    """P-2: it cannot read, cancel, submit, or write to another job; an expired one is nobody."""
    client = job_token(cast, job)
    other = make_job(cast.ada, dataset, job.model)
    assert client.post(f"/training/jobs/{other.pk}/metrics", {"name": "x", "value": 1}).status_code == 404
    assert client.get(f"/training/jobs/{job.pk}").status_code == 403
    assert client.get("/training/jobs").status_code == 403
    assert client.delete(f"/training/jobs/{job.pk}").status_code == 403
    assert client.post(f"/training/jobs/{job.pk}/resubmit", {}).status_code == 403
    late = job_token(cast, job, hours=-1)
    assert late.post(f"/training/jobs/{job.pk}/metrics", {"name": "x", "value": 1}).status_code == 401
    assert not JobMetric.objects.exists()


@pytest.mark.parametrize(("who", "status"), [("ada", 200), ("ben", 403), ("chen", 403), ("eve", 404), ("finn", 403)])
def test_people_can_record_only_where_they_may_change(
    cast: Cast, api: Api, job: TrainingJob, who: str, status: int
) -> None:
    """API contract: the job's token, or a person who may change the job."""
    body = {"name": "note", "value": 1.0}
    assert api(getattr(cast, who)).post(f"/training/jobs/{job.pk}/metrics", body).status_code == status


@pytest.mark.parametrize(
    ("metric", "field"),
    [
        ({"value": 1}, "name"),
        ({"name": "", "value": 1}, "name"),
        ({"name": "x" * 251, "value": 1}, "name"),
        ({"name": 5, "value": 1}, "name"),
        ({"name": "x\u0007", "value": 1}, "name"),
        ({"name": "x"}, "value"),
        ({"name": "x", "value": "1"}, "value"),
        ({"name": "x", "value": True}, "value"),
        ({"name": "x", "value": 10**400}, "value"),
        ({"name": "x", "value": 1, "step": -1}, "step"),
        ({"name": "x", "value": 1, "step": 1.5}, "step"),
        ({"name": "x", "value": 1, "step": 2**70}, "step"),
        ({"name": "x", "value": 1, "unit": 3}, "unit"),
        ({"name": "x", "value": 1, "timestamp": "yesterday"}, "timestamp"),
        ({"name": "x", "value": 1, "timestamp": 12}, "timestamp"),
    ],
)
def test_bad_metric_refuses_the_whole_batch(
    cast: Cast, api: Api, job: TrainingJob, metric: dict[str, Any], field: str
) -> None:
    """API contract: taken whole or not at all, and the bad one is named."""
    ada = api(cast.ada)
    path = f"/training/jobs/{job.pk}/metrics"
    good = {"name": "good", "value": 1}
    response = ada.post(path, {"metrics": [good, metric]})
    assert response.status_code == 400
    assert response.json()["data"]["errors"][0]["field"] == f"metrics[1].{field}"
    single = ada.post(path, metric)
    assert single.status_code == 400
    assert single.json()["data"]["errors"][0]["field"] == field
    assert not JobMetric.objects.exists()


@pytest.mark.parametrize("body", [[], {"metrics": {}}, {"metrics": []}, {"metrics": [1]}, {"metrics": None}, "x"])
def test_shapeless_bodies_are_refused(cast: Cast, api: Api, job: TrainingJob, body: Any) -> None:
    """P-1: no 500 for nonsense."""
    assert api(cast.ada).post(f"/training/jobs/{job.pk}/metrics", body).status_code == 400


@pytest.mark.parametrize("raw", ['{"name": "x", "value": NaN}', '{"name": "x", "value": Infinity}'])
def test_numbers_that_are_none_are_refused(cast: Cast, api: Api, job: TrainingJob, raw: str) -> None:
    """P-1: NaN is not JSON."""
    assert api(cast.ada).post(f"/training/jobs/{job.pk}/metrics", raw.encode()).status_code == 400


def test_batch_has_a_limit(cast: Cast, api: Api, job: TrainingJob) -> None:
    """P-1: too large is 413."""
    batch = [{"name": "x", "value": 1, "step": step} for step in range(10_001)]
    assert api(cast.ada).post(f"/training/jobs/{job.pk}/metrics", {"metrics": batch}).status_code == 413


def test_sending_a_batch_twice_records_it_once(cast: Cast, job: TrainingJob) -> None:
    """FR-005f: an answer lost on the way back does no harm, with or without an idempotency key."""
    batch = [
        {"name": "loss", "value": 1.0, "step": step, "timestamp": f"2026-11-23T10:00:{step:02d}Z"} for step in range(5)
    ]
    batch.append({"name": "no-step", "value": 1.0, "timestamp": "2026-11-23T10:00:00Z"})
    assert metrics_record(actor=cast.ada, job_id=job.pk, metrics=batch) == 6
    assert metrics_record(actor=cast.ada, job_id=job.pk, metrics=batch) == 0
    assert JobMetric.objects.count() == 6


def test_batch_is_one_statement(cast: Cast, job: TrainingJob, django_assert_max_num_queries: Any) -> None:
    """Performance: a thousand metrics cost as many statements as one."""
    batch = [{"name": f"m{index % 7}", "value": index / 3, "step": index} for index in range(1000)]
    with django_assert_max_num_queries(3):
        assert metrics_record(actor=cast.ada, job_id=job.pk, metrics=batch) == 1000


def test_down_sampling_keeps_the_extremes(cast: Cast, api: Api, job: TrainingJob) -> None:
    """FR-005f: maxPoints bounds each name; spikes, first and last stay."""
    values = [(step, 1.0) for step in range(3000)]
    values[1234] = (1234, 99.0)
    values[2000] = (2000, -5.0)
    batch = [{"name": "loss", "value": value, "step": step} for step, value in values]
    batch += [{"name": "short", "value": step, "step": step} for step in range(3)]
    metrics_record(actor=cast.ada, job_id=job.pk, metrics=batch)
    answer = api(cast.ada).get(f"/training/experiments/{job.pk}?maxPoints=100").json()["data"]["metrics"]
    loss = [(row["step"], row["value"]) for row in answer if row["name"] == "loss"]
    assert len(loss) <= 100
    assert {(1234, 99.0), (2000, -5.0), (0, 1.0)} <= set(loss)
    assert loss == sorted(loss)
    assert sum(row["name"] == "short" for row in answer) == 3
    only = api(cast.ada).get(f"/training/experiments/{job.pk}?name=short").json()["data"]["metrics"]
    assert {row["name"] for row in only} == {"short"}
    assert only[0].keys() == {"id", "trainingJobId", "name", "value", "unit", "recordedAt", "step"}
    for bad in ("maxPoints=x", "maxPoints=1", "maxPoints=9999999", "colour=red"):
        assert api(cast.ada).get(f"/training/experiments/{job.pk}?{bad}").status_code == 400


def test_experiments_can_be_searched(cast: Cast, api: Api, job: TrainingJob) -> None:
    """FR-005: by name, parameters, final figures and status; nonsense is refused in words."""
    job.experiment.final_metrics = {"eval_loss": 1.5, "contains": 1}
    job.experiment.save()
    ada = api(cast.ada)

    def hits(text: str) -> int:
        response = ada.post("/experiments/search", {"filterString": text, "experimentName": "support"})
        assert response.status_code == 200, response.json()
        return len(response.json()["data"])

    assert hits("metrics.eval_loss < 2") == 1
    assert hits("metrics.eval_loss < 1") == 0
    assert hits("metrics.contains = 1") == 1
    assert hits("params.method = 'lora' and metrics.eval_loss >= 1.5") == 1
    assert hits("params.method != 'lora'") == 0
    assert hits("attributes.status = 'queued' AND attributes.jobType = 'finetune'") == 1
    for text in ("loss < 2", "metrics.x ~ 1", "attributes.team = 'x'", "metrics.x <", "'; drop table"):
        response = ada.post("/training/experiments/search", {"filterString": text})
        assert response.status_code == 400
        assert response.json()["data"]["errors"][0]["field"] == "filterString"
    assert ada.post("/experiments/search", {"orderBy": "nothing"}).status_code == 400
    assert ada.post("/experiments/search", {"orderBy": "createdAt desc"}).status_code == 200
