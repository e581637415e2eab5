"""``/evaluation`` as programs see it: shapes, spellings, errors, who may."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.core.models import AuditEvent
from apps.evaluation.models import EvaluationRun
from tests.evaluation.support import (
    BENCHMARK,
    RUBRIC,
    answer,
    make_benchmark,
    make_ready,
    make_reviewed,
    make_run,
    start,
)
from tests.support.cast import ApiClient, Cast, commit_now

pytestmark = pytest.mark.django_db
Api = Callable[..., ApiClient]
RUNS = "/evaluation/runs"


def test_ada_can_start_and_read_a_run(cast: Cast, api: Api) -> None:
    """FR-005a, FR-005e: both spellings in, camelCase out, 200, everything the contract names."""
    model, dataset = make_ready(cast.ada, cast.support), make_benchmark(cast.ada)
    body = {
        "model_id": str(model.pk),
        "datasetId": str(dataset.pk),
        "runType": "automated",
        "metrics": ["f1", "rougeL"],
        "sampleSize": 6,
        "seed": 0,
    }
    created = api(cast.ada).post(RUNS, body)
    assert created.status_code == 200, created.content
    data = created.data
    assert (data["status"], data["runType"], data["seed"], data["sampleSize"]) == ("queued", "automated", 0, 6)
    assert [run["id"] for run in data["runs"]] == [data["id"]]
    commit_now()
    run = answer(start_of(data["id"]))
    read = api(cast.ada).get(f"{RUNS}/{run.pk}").data
    assert (read["modelId"], read["datasetId"], read["status"]) == (str(model.pk), str(dataset.pk), "succeeded")
    assert read["metrics"]["f1"] == {"value": 1.0, "low": 1.0, "high": 1.0, "samples": 6}
    assert read["sampleCount"] == len(read["samples"]) == 6
    assert read["samples"][0]["error"] is None
    assert set(read["samples"][0]) >= {"id", "input", "output", "reference", "scores", "latencyMs", "error"}
    assert [entry["event"] for entry in read["timeline"]] == ["created", "started", "succeeded"]
    assert read["progress"] == 100
    assert read["failure"] is None


def start_of(run_id: str) -> EvaluationRun:
    return EvaluationRun.objects.get(pk=run_id)


def test_ada_can_start_a_batch(cast: Cast, api: Api) -> None:
    """FR-005a: ``modelIds`` starts one run per model."""
    models = [make_ready(cast.ada, cast.support, name=name) for name in ("one", "two")]
    dataset = make_benchmark(cast.ada)
    ids = [str(model.pk) for model in models]
    data = api(cast.ada).post(RUNS, {"modelIds": ids, "datasetId": str(dataset.pk)}).data
    assert [run["modelId"] for run in data["runs"]] == ids
    listed = api(cast.ada).get(f"{RUNS}?batchId={data['batchId']}")
    assert listed.headers["X-Total-Count"] == "2"


def test_same_key_starts_one_run(cast: Cast, api: Api) -> None:
    """FR-005a: idempotency keys hold for starts."""
    model, dataset = make_ready(cast.ada, cast.support), make_benchmark(cast.ada)
    body = {"modelId": str(model.pk), "datasetId": str(dataset.pk)}
    caller = api(cast.ada)
    answers = [caller.post(RUNS, body, **{"Idempotency-Key": "once"}).data["id"] for _ in range(2)]
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"modelId": None}, 400, "modelId"),
        ({"modelIds": [str(uuid4())]}, 400, "modelId"),
        ({"modelId": "x"}, 400, "modelId"),
        ({"modelId": str(uuid4())}, 400, "modelId"),
        ({"datasetId": str(uuid4())}, 400, "datasetId"),
        ({"runType": "magic"}, 400, "runType"),
        ({"metrics": ["meteor"]}, 400, "metrics"),
        ({"metrics": "f1"}, 400, "metrics"),
        ({"sampleSize": 0}, 400, "sampleSize"),
        ({"sampleSize": "many"}, 400, "sampleSize"),
        ({"rubric": []}, 400, "rubric"),
        ({"runType": "llm_judge"}, 422, "runType"),
        ({"judge": {"modelIds": [str(uuid4())]}}, 422, "judge"),
        ({"endpointId": str(uuid4())}, 422, "endpointId"),
        ({"promptTemplateId": str(uuid4())}, 422, "promptTemplateId"),
    ],
)
def test_ada_cannot_start_nonsense(cast: Cast, api: Api, changes: dict[str, Any], status: int, field: str) -> None:
    """P-1, FR-005a: a clear answer with the field's name; what is not available yet is refused by name."""
    model, dataset = make_ready(cast.ada, cast.support), make_benchmark(cast.ada)
    body = {"modelId": str(model.pk), "datasetId": str(dataset.pk)} | changes
    response = api(cast.ada).post(RUNS, body)
    assert response.status_code == status, response.content
    assert field in [error["field"].split("[")[0].split(".")[0] for error in response.data["errors"]]


def test_reviewers_can_work_through_the_api(cast: Cast, api: Api) -> None:
    """FR-005c: the queue, one review, many reviews, aggregates and agreement."""
    automated = make_run(cast)
    body = {
        "modelId": str(automated.model_id),
        "datasetId": str(automated.dataset_id),
        "runType": "human",
        "sampleSize": 3,
        "rubric": RUBRIC,
        "sourceRunId": str(automated.pk),
    }
    run = api(cast.ada).post(RUNS, body).data
    assert (run["status"], run["reviews"]) == ("awaiting_review", {"needed": 6, "done": 0})
    waiting = api(cast.ben).get("/evaluation/reviews").data
    assert len(waiting) == 3
    assert not {"modelId", "modelName"} & set(waiting[0])
    first = {"sampleId": waiting[0]["id"], "scores": {"helpful": 4, "safe": True}, "comment": "good"}
    answered = api(cast.ben).post(f"{RUNS}/{run['id']}/human-review", first)
    assert answered.status_code == 200, answered.content
    assert answered.data["reviews"]["done"] == 1
    rest = [{"sample_id": row["id"], "scores": {"helpful": 3, "safe": True}} for row in waiting[1:]]
    api(cast.ben).post(f"{RUNS}/{run['id']}/human-review", {"reviews": rest})
    samples = api(cast.chen).get(f"{RUNS}/{run['id']}/samples").data
    reviews = [{"sampleId": row["id"], "scores": {"helpful": 5, "safe": False}} for row in samples]
    done = api(cast.chen).post(f"{RUNS}/{run['id']}/human-review", {"reviews": reviews}).data
    assert done["status"] == "succeeded"
    assert done["metrics"]["safe"]["value"] == 0.5
    assert set(done["agreement"]["helpful"]) <= {"cohenKappa", "fleissKappa", "krippendorffAlpha"}


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 400, "sampleId"),
        ({"sampleId": "x", "scores": {}}, 400, "sampleId"),
        ({"sampleId": str(uuid4()), "scores": {"helpful": 3, "safe": True}}, 400, "sampleId"),
        ({"reviews": []}, 400, "reviews"),
        ({"sampleId": "SAMPLE", "scores": {"helpful": 30, "safe": True}}, 400, "scores.helpful"),
        ({"sampleId": "SAMPLE", "scores": "good"}, 400, "scores"),
        ({"sampleId": "SAMPLE"}, 400, "scores.helpful"),
    ],
)
def test_reviewer_cannot_send_nonsense(cast: Cast, api: Api, body: dict[str, Any], status: int, field: str) -> None:
    """FR-005c: hostile bodies get their clear answer and leave nothing behind."""
    automated = make_run(cast)
    run = start(cast, model=automated.model, dataset=automated.dataset, run_type="human", rubric=RUBRIC)
    sample = run.samples.first()
    assert sample
    sent = {key: str(sample.pk) if value == "SAMPLE" else value for key, value in body.items()}
    response = api(cast.ben).post(f"{RUNS}/{run.pk}/human-review", sent)
    assert response.status_code == status, response.content
    assert field in [error["field"] for error in response.data["errors"]]
    assert not run.reviews.exists()


def test_anyone_who_sees_it_can_compare_and_export(cast: Cast, api: Api) -> None:
    """FR-005e: comparison with recommendation; CSV and JSON as files; formulas are defused; exports are audited."""
    outputs: list[str | None] = ["=1+1", *[row["reference"] for row in BENCHMARK[1:]]]
    base = make_run(cast, outputs, metrics=["f1"], scores={"f1": [0.1] * 12})
    tuned = make_run(
        cast,
        model=make_ready(cast.ada, cast.support, name="tuned"),
        dataset=base.dataset,
        metrics=["f1"],
        scores={"f1": [0.9] * 12},
    )
    found = api(cast.ben).get(f"{RUNS}/compare?runIds={base.pk},{tuned.pk}").data
    assert found["recommendation"]["verdict"] == "promote"
    assert found["differences"][0] | {"pValue": 0} == {
        "metric": "f1",
        "runA": pytest.approx(0.1),
        "runB": pytest.approx(0.9),
        "difference": pytest.approx(0.8),
        "low": pytest.approx(0.8),
        "high": pytest.approx(0.8),
        "pValue": 0,
        "samples": 12,
    }
    assert [run["id"] for run in found["runs"]] == [str(base.pk), str(tuned.pk)]
    for query in ("", "?runIds=", f"?runIds={base.pk}", f"?runIds={base.pk},{base.pk}", f"?runIds={base.pk},x"):
        assert api(cast.ben).get(f"{RUNS}/compare{query}").status_code == 400
    response = api(cast.finn).get(f"{RUNS}/{base.pk}/export?format=csv")
    text = b"".join(response.streaming_content).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 12
    assert rows[0]["output"] == "'=1+1"
    assert rows[0]["f1"] == "0.1"
    assert "attachment" in response.headers["Content-Disposition"]
    whole = json.loads(b"".join(api(cast.ada).get(f"{RUNS}/{base.pk}/export").streaming_content))
    assert len(whole["samples"]) == 12
    assert whole["metrics"]["f1"]["value"] == pytest.approx(0.1)
    assert api(cast.ada).get(f"{RUNS}/{base.pk}/export?format=xml").status_code == 400
    assert AuditEvent.objects.filter(action="evaluation.run.exported").count() == 2


def test_delete_cancels_and_then_deletes(cast: Cast, api: Api) -> None:
    """FR-005a: DELETE of an active run cancels; of an ended one removes it."""
    run = start(cast)
    assert api(cast.ada).delete(f"{RUNS}/{run.pk}").status_code == 200
    assert api(cast.ada).get(f"{RUNS}/{run.pk}").data["status"] == "cancelled"
    assert api(cast.ada).delete(f"{RUNS}/{run.pk}").status_code == 200
    assert api(cast.ada).get(f"{RUNS}/{run.pk}").status_code == 404


def test_judge_is_refused_by_name(cast: Cast, api: Api) -> None:
    """FR-005d: checked, then 422; never accepted and dropped."""
    run = make_run(cast)
    path = f"{RUNS}/{run.pk}/llm-judge"
    assert api(cast.ada).post(path, {}).status_code == 400
    body = {"modelIds": [str(run.model_id)], "criteria": [{"name": "helpful", "description": "Does it help?"}]}
    response = api(cast.ada).post(path, body)
    assert response.status_code == 422
    assert "not available yet" in response.envelope["message"]


def test_filters_are_strict(cast: Cast, api: Api) -> None:
    """FR-005e: model, dataset, type, status, dates; closed sets are closed, unknown names are 400."""
    run = make_run(cast)
    caller = api(cast.ada)
    matching = (
        "",
        f"?modelId={run.model_id}",
        f"?dataset_id={run.dataset_id}",
        "?runType=automated&status=succeeded",
        "?since=2020-01-01T00:00:00Z",
        "?q=support",
        "?ownerTeam=support",
        "?orderBy=-createdAt,status",
    )
    for query in matching:
        assert len(caller.get(RUNS + query).data) == 1, query
    for query in (f"?modelId={uuid4()}", "?status=failed", "?until=2020-01-01T00:00:00Z", "?q=nothing"):
        assert caller.get(RUNS + query).data == [], query
    for query in ("?status=done", "?modelId=x", "?colour=red", "?since=yesterday", "?orderBy=size", "?limit=-1"):
        assert caller.get(RUNS + query).status_code == 400, query


def test_list_costs_the_same_for_few_and_many(cast: Cast, api: Api) -> None:
    """P-3: the number of queries does not grow with the rows."""
    base = make_run(cast)
    caller = api(cast.ada)
    counts = []
    for _ in range(2):
        caller.get(RUNS)
        with CaptureQueriesContext(connection) as queries:
            assert caller.get(RUNS).status_code == 200
        counts.append(len(queries))
        for _ in range(5):
            start(cast, model=base.model, dataset=base.dataset, run_type="human")
    assert counts[0] == counts[1]
    assert counts[0] <= 8


def paths_of(run_id: object) -> list[tuple[str, str, Any]]:
    """Every way to a run."""
    sample = str(uuid4())
    return [
        ("get", f"{RUNS}/{run_id}", None),
        ("delete", f"{RUNS}/{run_id}", None),
        ("get", f"{RUNS}/{run_id}/samples", None),
        ("post", f"{RUNS}/{run_id}/human-review", {"sampleId": sample, "scores": {}}),
        ("post", f"{RUNS}/{run_id}/llm-judge", {"modelIds": [sample], "criteria": [{"name": "x"}]}),
        ("get", f"{RUNS}/{run_id}/export", None),
        ("get", f"{RUNS}/{run_id}/export?format=csv", None),
    ]


def test_eve_cannot_find_anything_of_support(cast: Cast, api: Api) -> None:
    """P-3: 404 everywhere, absent from lists and queues, 400 in bodies and comparisons."""
    run = make_run(cast)
    reviewed = make_reviewed(cast, run.model, run.dataset)
    caller = api(cast.eve)
    for method, path, body in paths_of(run.pk):
        response = getattr(caller, method)(path, body) if body is not None else getattr(caller, method)(path)
        assert response.status_code == 404, path
    assert caller.get(RUNS).data == []
    assert caller.get(f"{RUNS}?modelId={run.model_id}").headers["X-Total-Count"] == "0"
    assert caller.get("/evaluation/reviews").data == []
    compared = caller.get(f"{RUNS}/compare?runIds={run.pk},{reviewed.pk}")
    assert compared.status_code == 400
    assert "support" not in json.dumps(compared.envelope)
    body = {"modelId": str(run.model_id), "datasetId": str(run.dataset_id)}
    assert caller.post(RUNS, body).status_code == 400


def test_nobody_gets_in_without_a_token(cast: Cast, api: Api) -> None:
    """P-2: 401 on every path."""
    run = make_run(cast)
    caller = api(None)
    for method, path, body in [*paths_of(run.pk), ("get", RUNS, None), ("post", RUNS, {})]:
        response = getattr(caller, method)(path, body) if body is not None else getattr(caller, method)(path)
        assert response.status_code == 401, path


def test_reader_tokens_and_other_roles_cannot_change(cast: Cast, api: Api) -> None:
    """P-2, P-3: 403 for who sees it but may not."""
    run = make_run(cast)
    body = {"modelId": str(run.model_id), "datasetId": str(run.dataset_id)}
    for caller in (api(cast.ben), api(cast.chen), api(cast.finn), api(cast.ada, scopes=("read",))):
        assert caller.get(f"{RUNS}/{run.pk}").status_code == 200
        assert caller.post(RUNS, body).status_code == 403
        assert caller.delete(f"{RUNS}/{run.pk}").status_code == 403
    assert AuditEvent.objects.filter(result="denied", action__startswith="governance.evaluation_run").count() == 8


@pytest.mark.parametrize("run_id", ["x", "123", "00000000-0000-0000-0000-000000000000", "%00", "compare/x"])
def test_malformed_ids_are_not_found(cast: Cast, api: Api, run_id: str) -> None:
    """P-1: a malformed id in a path is a 404."""
    assert api(cast.ada).get(f"{RUNS}/{run_id}").status_code == 404
