"""FR-001, FR-001b: lineage of models and datasets in both directions, any depth, within permissions; impact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.catalog import registry, services
from apps.catalog.lineage import impact, lineage_graph
from apps.catalog.models import ModelEntry
from apps.catalog.types import Direction
from apps.core import clock
from apps.datasets.models import Dataset
from apps.training.models import TrainingJob
from tests.catalog.support import make_approved, make_model, share
from tests.serving.support import answering_endpoint
from tests.support.cast import ApiClient, Cast, commit_now

pytestmark = pytest.mark.django_db

Api = Callable[..., ApiClient]


@pytest.fixture(autouse=True)
def only_own_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gates of higher apps are tested there."""
    monkeypatch.setattr(registry, "_gates", [])


def make_dataset(cast: Cast, name: str = "tickets", **changes: Any) -> Dataset:
    """A row of team support."""
    fields: dict[str, Any] = {"version": "1.0", "type": "sft_pair", "status": "approved", "rows_sha256": "a" * 64}
    return Dataset.objects.create(team=cast.support, created_by=cast.ada, name=name, **{**fields, **changes})


def make_job(cast: Cast, dataset: Dataset, model: ModelEntry | None) -> TrainingJob:
    """A job that ended."""
    return TrainingJob.objects.create(
        team=cast.support, created_by=cast.ada, name="tune tickets", dataset=dataset, model=model,
        job_type="finetune", status="succeeded", completed_at=clock.now(), cpu=1, memory_bytes=1, max_minutes=1,
    )  # fmt: skip


def labels(graph: Any) -> set[str]:
    """Names in a graph."""
    return {node.label for node in graph.nodes.values()}


def chain(cast: Cast, length: int) -> list[ModelEntry]:
    """Models, each derived from the one before."""
    models = [make_model(cast.ada, cast.support, name="model-0")]
    for number in range(1, length):
        base = models[-1].pk
        models.append(make_model(cast.ada, cast.support, name=f"model-{number}", type="fine-tuned", base_model_id=base))
    return models


def test_ada_can_follow_a_dataset_to_its_endpoint(cast: Cast, api: Api) -> None:
    """FR-001b: dataset → redacted dataset → job → model → endpoint, in the API, from either end."""
    raw = make_dataset(cast, "raw")
    dataset = make_dataset(cast, source_dataset=raw)
    base = make_model(cast.ada, cast.support)
    job = make_job(cast, dataset, base)
    tuned = make_model(cast.ada, cast.support, name="tuned", type="fine-tuned", base_model_id=base.pk,
                       lineage_dataset_ids=[dataset.pk])  # fmt: skip
    services.lineage_add(
        source_kind="training_job", source_id=job.pk, target_kind="model", target_id=tuned.pk, relation="produced_by"
    )
    endpoint = answering_endpoint(tuned, url="http://127.0.0.1:9", upstream_model="x")
    services.lineage_add(
        source_kind="model", source_id=tuned.pk, target_kind="serving_endpoint", target_id=endpoint.pk,
        relation="served_by",
    )  # fmt: skip
    ada = api(cast.ada)
    down = ada.get(f"/catalog/datasets/{raw.pk}/lineage?direction=down").payload
    found = {node["label"] for node in down["nodes"]}
    assert found == {"raw 1.0", "tickets 1.0", "tune tickets", "tuned 1.0", str(endpoint)}
    links = {(edge["source"].split(":")[0], edge["relation"], edge["target"].split(":")[0]) for edge in down["edges"]}
    assert links == {
        ("dataset", "derived_from", "dataset"),
        ("dataset", "used_by", "training_job"),
        ("training_job", "produced_by", "model"),
        ("model", "served_by", "serving_endpoint"),
    }
    up = ada.get(f"/catalog/models/{tuned.pk}/lineage?direction=up").payload
    assert {node["label"] for node in up["nodes"]} == {
        "tuned 1.0", "tune tickets", "tickets 1.0", "raw 1.0", "support-base 1.0",
    }  # fmt: skip
    found_impact = ada.get(f"/catalog/datasets/{raw.pk}/impact").payload
    assert found_impact["total"] == 4
    assert found_impact["counts"] == {"dataset": 1, "training_job": 1, "model": 1, "serving_endpoint": 1}


def test_depth_limits_the_steps(cast: Cast, api: Api) -> None:
    """FR-001b: ``depth`` counts steps; what lies beyond is announced."""
    models = chain(cast, 6)
    near = api(cast.ada).get(f"/catalog/models/{models[0].pk}/lineage?depth=2").payload
    assert len(near["nodes"]) == 3
    assert near["truncated"] is True
    whole = api(cast.ada).get(f"/catalog/models/{models[0].pk}/lineage").payload
    assert len(whole["nodes"]) == 6
    assert whole["truncated"] is False
    end = lineage_graph(cast.ada, models[-1], depth=5, direction=Direction.DOWN)
    assert labels(end) == {"model-5 1.0"}


@pytest.mark.parametrize("query", ["depth=0", "depth=-1", "depth=51", "depth=x", "depth=٣", "direction=left", "way=up"])
def test_ada_cannot_ask_for_nonsense(cast: Cast, api: Api, query: str) -> None:
    """FR-001b: closed sets and ranges are held, by name."""
    model = make_model(cast.ada, cast.support)
    answer = api(cast.ada).get(f"/catalog/models/{model.pk}/lineage?{query}")
    assert answer.status_code == 400
    assert answer.payload["errors"][0]["field"] == query.split("=", maxsplit=1)[0]


def test_queries_do_not_grow_with_the_graph(cast: Cast) -> None:
    """FR-001b: a step costs the same number of queries, however wide it is."""
    base = make_model(cast.ada, cast.support)

    def asked() -> int:
        with CaptureQueriesContext(connection) as captured:
            lineage_graph(cast.ada, base)
        return len(captured)

    make_model(cast.ada, cast.support, name="child", type="fine-tuned", base_model_id=base.pk)
    narrow = asked()
    for number in range(8):
        dataset = make_dataset(cast, f"data-{number}")
        make_model(cast.ada, cast.support, name=f"c-{number}", type="fine-tuned", base_model_id=base.pk,
                   lineage_dataset_ids=[dataset.pk])  # fmt: skip
    assert asked() == narrow
    assert narrow <= 20


def test_eve_cannot_learn_what_she_may_not_see(cast: Cast, api: Api) -> None:
    """FR-001b, P-3: an unseen node keeps its place without name, kind, id; nothing beyond it; counted in the impact."""
    base = make_approved(cast)
    share(base)
    secret = make_model(cast.ada, cast.support, name="secret", type="fine-tuned", base_model_id=base.pk)
    make_model(cast.ada, cast.support, name="beyond", type="fine-tuned", base_model_id=secret.pk)
    commit_now()
    answer = api(cast.eve).get(f"/catalog/models/{base.pk}/lineage")
    raw = answer.content.decode()
    assert "secret" not in raw
    assert "beyond" not in raw
    assert str(secret.pk) not in raw
    (hidden,) = (node for node in answer.payload["nodes"] if not node["visible"])
    assert (hidden["label"], hidden["kind"], hidden["id"], hidden["url"]) == ("not visible to you", "hidden", "", "")
    found = api(cast.eve).get(f"/catalog/models/{base.pk}/impact").payload
    assert (found["total"], found["hidden"], found["dependents"]) == (1, 1, [])
    assert impact(cast.ada, base).total == 2


def test_invisible_thing_has_no_lineage(cast: Cast, api: Api, page: Any) -> None:
    """P-3: 404 for absent, malformed and invisible, of models and datasets, in API and page."""
    model, dataset = make_model(cast.ada, cast.support), make_dataset(cast)
    for path in ("models", "datasets"):
        for pk in (model.pk if path == "models" else dataset.pk, uuid4(), "x"):
            assert api(cast.eve).get(f"/catalog/{path}/{pk}/lineage").status_code == 404
            assert api(cast.eve).get(f"/catalog/{path}/{pk}/impact").status_code == 404
    assert page(cast.eve).get(f"/models/lineage/model/{model.pk}/").status_code == 404
    assert page(cast.ada).get(f"/models/lineage/secret/{model.pk}/").status_code == 404


def test_ada_can_read_the_lineage_page(cast: Cast, page: Any) -> None:
    """FR-001b: the picture's data, the same as a table, and what depends on it; also for a dataset."""
    dataset = make_dataset(cast)
    model = make_model(cast.ada, cast.support, lineage_dataset_ids=[dataset.pk])
    text = page(cast.ada).get(f"/models/lineage/dataset/{dataset.pk}/?direction=down&depth=1").content.decode()
    assert "1 thing depends on this." in text
    assert f'href="/models/{model.pk}/"' in text
    assert "trained on" in text
    empty = page(cast.ada).get(f"/models/lineage/model/{model.pk}/?direction=down&depth=banana").content.decode()
    assert "Nothing depends on this yet." in empty
    assert "Lineage" in page(cast.ada).get(f"/models/{model.pk}/").content.decode()


def test_dataset_of_a_model_cannot_be_deleted(cast: Cast, api: Api) -> None:
    """FR-001d: the models that were made of a dataset are among its blockers."""
    dataset = make_dataset(cast, status="draft")
    make_model(cast.ada, cast.support, lineage_dataset_ids=[dataset.pk])
    answer = api(cast.ada).delete(f"/catalog/datasets/{dataset.pk}")
    assert answer.status_code == 409
    assert "support-base 1.0" in answer.envelope["message"]


def test_owner_of_an_endpoint_reads_that_its_model_is_deprecated(cast: Cast, api: Api, page: Any) -> None:
    """FR-001d: deprecation with successor and message, by API; shown on the endpoint, told to its owner."""
    model, successor = make_approved(cast), make_approved(cast, name="better")
    endpoint = answering_endpoint(model, url="http://127.0.0.1:9", upstream_model="x")
    body = {"status": "deprecated", "successorId": str(successor.pk), "notes": "Ends in May."}
    answer = api(cast.ada).patch(f"/catalog/models/{model.pk}/status", body)
    assert answer.payload["successorId"] == str(successor.pk)
    assert answer.payload["deprecationNote"] == "Ends in May."
    text = page(cast.ada).get(endpoint.get_absolute_url()).content.decode()
    assert "Its model is deprecated" in text
    assert "Ends in May." in text
    (notice,) = api(cast.ada).get("/governance/notices").payload
    assert "Ends in May." in notice["text"]
