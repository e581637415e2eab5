"""FR-001, FR-001a–d: ``/catalog/models`` as programs call it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.catalog import registry, services
from apps.catalog.models import ModelEntry, ModelEntryGrant
from apps.core.models import AuditEvent
from apps.core.storage import store
from tests.catalog.files import model_files
from tests.catalog.support import CARD, EXTERNAL, make_approved, make_model, make_ready, share, upload
from tests.support.cast import Cast, commit_now

pytestmark = pytest.mark.django_db
Api = Callable[..., Any]


@pytest.fixture(autouse=True)
def only_own_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gates of higher apps are tested there."""
    monkeypatch.setattr(registry, "_gates", [])


def body(**changes: Any) -> dict[str, Any]:
    """A creation request."""
    fields = {"name": "support-base", "version": "v1.0", "type": "base", "ownerTeam": "support", "metadata": dict(CARD)}
    return {**fields, **changes}


def test_ada_can_walk_a_model_through_the_api(cast: Cast, api: Api) -> None:
    """FR-001, FR-001a, FR-001d: create, upload, submit, refuse own approval, approve; each in the envelope."""
    ada, chen = api(cast.ada), api(cast.chen)
    made = ada.post("/catalog/models", body(modelFamily="llama"))
    assert made.status_code == 200, made.content
    assert made.envelope["status"] == "success"
    model = made.data
    assert (model["status"], model["version"], model["ownerTeam"], model["submittedBy"]) == (
        "draft",
        "v1.0",
        "support",
        None,
    )
    assert model["metadata"] == CARD
    assert model["storageUri"].endswith(f"/models/{model['id']}/v1.0/")
    sent = ada.upload(f"/catalog/models/{model['id']}/upload", model_files())
    assert sent.status_code == 200, sent.content
    assert sent.data["modelId"] == model["id"]
    assert {row["filename"] for row in sent.data["uploadedFiles"]} == set(model_files())
    assert all(len(row["checksum"]) == 64 and row["size"] > 0 for row in sent.data["uploadedFiles"])
    commit_now()
    operation = ada.get(f"/operations/{sent.data['operationId']}")
    assert (operation.data["status"], operation.data["progress"]) == ("succeeded", 100)
    seen = ada.get(f"/catalog/models/{model['id']}").data
    assert (seen["scanStatus"], seen["facts"]["parameterCount"], seen["facts"]["contextLength"]) == ("safe", 4, 64)
    assert (
        ada.patch(f"/catalog/models/{model['id']}/status", {"status": "under_review"}).data["status"]
        == "pending_review"
    )
    own = ada.post(f"/catalog/models/{model['id']}/versions/v1.0/approve", {"decision": "approve"})
    assert own.status_code == 403
    assert ada.patch(f"/catalog/models/{model['id']}/status?status=approved").status_code == 403
    done = chen.post(f"/catalog/models/{model['id']}/versions/1.0.0/approve", {"decision": "approve", "notes": "Fine."})
    assert done.status_code == 200, done.content
    assert done.data["status"] == "approved"
    assert done.data["submittedBy"] == "ada"
    again = chen.post(f"/catalog/models/{model['id']}/versions/v1.0/approve", {"decision": "approve"})
    assert again.status_code == 409
    assert AuditEvent.objects.filter(result="denied", actor=cast.ada).count() == 2


def test_status_may_come_in_body_or_query(cast: Cast, api: Api) -> None:
    """API contract: ``PATCH …/status`` reads both; neither is a 400, an unknown one too."""
    model = make_ready(cast.ada, cast.support)
    path = f"/catalog/models/{model.pk}/status"
    assert api(cast.ada).patch(path).status_code == 400
    assert api(cast.ada).patch(path, {"status": "famous"}).status_code == 400
    assert api(cast.ada).patch(path + "?status=pending_review").data["status"] == "pending_review"
    assert api(cast.chen).patch(path, {"status": "draft"}).data["status"] == "draft"
    assert api(cast.ada).patch(path, {"status": "approved"}).status_code == 409


def test_both_spellings_are_read(cast: Cast, api: Api) -> None:
    """API contract: snake_case and camelCase; metadata stays exactly as sent."""
    metadata = {**CARD, "someKey": {"inner_key": [1, None, "é"]}}
    sent = {
        "name": "a", "version": "1", "type": "fine-tuned", "owner_team": "support", "model_family": "gpt2",
        "metadata": metadata, "lineage_dataset_ids": [],
    }  # fmt: skip
    made = api(cast.ada).post("/catalog/models", sent)
    assert made.status_code == 200
    assert made.data["metadata"] == metadata
    assert made.data["modelFamily"] == "gpt2"


def test_lineage_is_sent_nested_or_flat_and_unknown_ids_are_a_400(cast: Cast, api: Api) -> None:
    """API contract: ``lineage.datasetIds`` or ``lineageDatasetIds``; a bad id in a body is a 400 on that field."""
    base = make_model(cast.ada, cast.support, name="base")
    made = api(cast.ada).post("/catalog/models", body(lineage={"baseModelId": str(base.pk)}))
    assert made.data["lineage"] == {"datasetIds": [], "baseModelId": str(base.pk), "jobId": None}
    for change, field in (
        ({"lineageDatasetIds": ["nonsense"]}, "lineageDatasetIds"),
        ({"lineageDatasetIds": [str(uuid4())]}, "lineageDatasetIds"),
        ({"lineage": {"baseModelId": str(uuid4())}}, "baseModelId"),
    ):
        refused = api(cast.ada).post("/catalog/models", body(version="2", **change))
        assert refused.status_code == 400
        assert refused.data["errors"][0]["field"].startswith(field), refused.content


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"version": "latest"}, "version"),
        ({"version": 7.5}, None),
        ({"type": "lora"}, "type"),
        ({"metadata": []}, "metadata"),
        ({"metadata": "x"}, "metadata"),
        ({"ownerTeam": "research"}, "ownerTeam"),
        ({"ownerTeam": "no-such-team"}, "ownerTeam"),
        ({"visibility": "world"}, "visibility"),
        ({"metadata": {"apiKey": "sk-1"}}, "metadata.api_key"),
    ],
)
def test_wrong_fields_are_named(cast: Cast, api: Api, change: dict[str, Any], field: str | None) -> None:
    """P-1: 400 with the field; another team is no different from a team that does not exist."""
    refused = api(cast.ada).post("/catalog/models", body(**change))
    if field is None:
        assert refused.status_code in (200, 400)
        return
    assert refused.status_code == 400, refused.content
    assert field in [error["field"] for error in refused.data["errors"]]
    assert refused.envelope["status"] == "fail"
    assert not ModelEntry.objects.exists()


def test_conflict_in_version_is_a_409_about_the_own_team_only(cast: Cast, api: Api) -> None:
    """FR-001: Eve's team holds the same name and version, and neither hears of the other."""
    make_model(cast.eve, cast.research, name="support-base", version="1.0")
    assert api(cast.ada).post("/catalog/models", body()).status_code == 200
    again = api(cast.ada).post("/catalog/models", body(version="1"))
    assert again.status_code == 409
    assert b"research" not in again.content


@pytest.mark.parametrize("name", ["ben", "finn", "chen"])
def test_who_may_not_create_gets_a_403(cast: Cast, api: Api, name: str) -> None:
    """P-3: viewers, auditors and reviewers register nothing."""
    assert api(cast.everyone()[name]).post("/catalog/models", body()).status_code == 403


def test_lists_show_exactly_what_exists_for_each_of_the_cast(cast: Cast, api: Api) -> None:
    """P-3: the exact visible sets, in the list and its count."""
    make_ready(cast.ada, cast.support, name="draft-support")
    share(make_ready(cast.ada, cast.support, name="shared-draft-support"))
    make_approved(cast, name="approved-support")
    share(make_approved(cast, name="shared-support"))
    make_model(cast.eve, cast.research, name="draft-research")
    share(make_approved(cast, actor=cast.eve, team=cast.research, name="shared-research"))
    granted = make_model(cast.ada, cast.support, name="granted-support")
    view = Permission.objects.get(codename="view_modelentry")
    ModelEntryGrant.objects.create(user=cast.eve, content_object=granted, permission=view)
    support = {"draft-support", "shared-draft-support", "approved-support", "shared-support", "granted-support"}
    research = {"draft-research", "shared-research"}
    expected = {
        "ada": support | {"shared-research"},
        "ben": support | {"shared-research"},
        "chen": support | research,
        "dana": support | research,
        "eve": research | {"shared-support", "granted-support"},
        "finn": support | research,
    }
    for name, user in cast.everyone().items():
        answer = api(user).get("/catalog/models")
        assert {row["name"] for row in answer.data} == expected[name], name
        assert int(answer.headers["X-Total-Count"]) == len(expected[name])
        for model in ModelEntry.objects.all():
            status = api(user).get(f"/catalog/models/{model.pk}").status_code
            assert status == (200 if model.name in expected[name] else 404)


def test_single_grant_shows_but_does_not_change(cast: Cast, api: Api) -> None:
    """P-3: a grant to view is a grant to view."""
    model = make_model(cast.ada, cast.support)
    view = Permission.objects.get(codename="view_modelentry")
    ModelEntryGrant.objects.create(user=cast.eve, content_object=model, permission=view)
    eve = api(cast.eve)
    assert eve.get(f"/catalog/models/{model.pk}").status_code == 200
    assert eve.patch(f"/catalog/models/{model.pk}", {"modelFamily": "x"}).status_code == 403
    assert eve.delete(f"/catalog/models/{model.pk}").status_code == 403


def paths(model: ModelEntry) -> Iterator[tuple[str, str, Any]]:
    root = f"/catalog/models/{model.pk}"
    yield "get", root, None
    yield "patch", root, {"modelFamily": "x"}
    yield "delete", root, None
    yield "patch", f"{root}/status", {"status": "pending_review"}
    yield "get", f"{root}/versions", None
    yield "get", f"{root}/lineage", None
    yield "get", f"{root}/compare/{model.pk}", None
    yield "post", f"{root}/versions/{model.version}/approve", {"decision": "approve"}
    yield "post", f"{root}/scan", {}
    yield "delete", f"{root}/files/config.json", None


def call(client: Any, verb: str, path: str, sent: Any) -> Any:
    return getattr(client, verb)(path) if sent is None else getattr(client, verb)(path, sent)


def test_eve_gets_404_and_strangers_401_on_every_path(cast: Cast, api: Api) -> None:
    """P-3: what Eve may not see does not exist for her, by any verb; without a token nothing answers."""
    model = make_ready(cast.ada, cast.support)
    for verb, path, sent in paths(model):
        assert call(api(cast.eve), verb, path, sent).status_code == 404, (verb, path)
        assert call(api(None), verb, path, sent).status_code == 401, (verb, path)
    assert api(cast.eve).upload(f"/catalog/models/{model.pk}/upload", model_files()).status_code == 404
    assert ModelEntry.objects.get(pk=model.pk).status == "draft"


def test_malformed_ids_are_404(cast: Cast, api: Api) -> None:
    """P-1: in a path a malformed id is not there."""
    for path in ("/catalog/models/1", "/catalog/models/x/lineage", f"/catalog/models/{uuid4()}/versions"):
        assert api(cast.ada).get(path).status_code == 404
    model = make_model(cast.ada, cast.support)
    for version in ("latest", "2.0"):
        path = f"/catalog/models/{model.pk}/versions/{version}/approve"
        assert api(cast.chen).post(path, {"decision": "approve"}).status_code == 404


def test_read_token_cannot_write(cast: Cast, api: Api) -> None:
    """P-2: a token never does more than its scopes."""
    model = make_model(cast.ada, cast.support)
    reader = api(cast.ada, scopes=("read",))
    assert reader.get(f"/catalog/models/{model.pk}").status_code == 200
    assert reader.post("/catalog/models", body()).status_code == 403
    assert reader.patch(f"/catalog/models/{model.pk}", {"modelFamily": "x"}).status_code == 403


def test_filters_sort_and_paging(cast: Cast, api: Api) -> None:
    """FR-001b: every filter in both spellings, strict about names and closed sets."""
    for number, (type_, family) in enumerate([("base", "llama"), ("fine-tuned", "llama"), ("base", "gpt2")]):
        make_model(cast.ada, cast.support, name=f"model-{number}", type=type_, model_family=family)
    make_model(cast.eve, cast.research, name="other", visibility="organisation")
    chen = api(cast.chen)

    def names(query: str) -> list[str]:
        return [row["name"] for row in chen.get(f"/catalog/models?{query}").data]

    assert names("type=base&ownerTeam=support") == ["model-2", "model-0"]
    assert names("modelFamily=LLAMA") == names("model_family=llama") == ["model-1", "model-0"]
    assert names("name=EL-1") == ["model-1"]
    assert names("q=gpt2") == ["model-2"]
    assert names("status=approved") == []
    assert names("owner_team=nobody") == []
    assert names("orderBy=name&limit=2&offset=1") == ["model-1", "model-2"]
    for query in ("status=famous", "type=lora", "colour=red", "limit=x", "orderBy=colour"):
        assert chen.get(f"/catalog/models?{query}").status_code == 400, query


def test_list_needs_a_constant_number_of_queries(cast: Cast, api: Api) -> None:
    """FR-001b: the same at 3 and at 30 models, lineage and files included."""

    def count() -> int:
        client = api(cast.ada)
        client.get("/catalog/models")
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert client.get("/catalog/models").status_code == 200
        return len(queries)

    base = make_ready(cast.ada, cast.support, name="base")
    make_model(cast.ada, cast.support, name="tuned", base_model_id=base.pk)
    few = count()
    for number in range(28):
        make_model(cast.ada, cast.support, name=f"tuned-{number}", base_model_id=base.pk)
    assert count() == few
    assert few <= 10


def test_creation_with_status_beyond_reach_is_a_409(cast: Cast, api: Api) -> None:
    """API contract: the missing step is named."""
    refused = api(cast.ada).post("/catalog/models", body(status="approved"))
    assert refused.status_code == 409
    assert not ModelEntry.objects.exists()
    external = body(type="external", metadata={**CARD, **EXTERNAL}, status="under_review")
    assert api(cast.ada).post("/catalog/models", external).data["status"] == "pending_review"


def test_idempotency_key_makes_one_model(cast: Cast, api: Api) -> None:
    """API contract: the same key and body give the same answer."""
    client = api(cast.ada)
    first = client.post("/catalog/models", body(), **{"Idempotency-Key": "k1"})
    second = client.post("/catalog/models", body(), **{"Idempotency-Key": "k1"})
    assert first.data["id"] == second.data["id"]
    assert ModelEntry.objects.count() == 1


def test_lineage_hides_what_the_caller_cannot_see(cast: Cast, api: Api) -> None:
    """FR-001: both directions; unseen nodes keep their place without a name, and nothing lies behind them."""
    secret = make_model(cast.eve, cast.research, name="secret-root")
    base = make_approved(cast, actor=cast.eve, team=cast.research, name="shared-base")
    share(base)
    services.lineage_add(
        source_kind="model", source_id=secret.pk, target_kind="model", target_id=base.pk, relation="derived_from"
    )
    ModelEntry.objects.filter(pk=base.pk).update(status="approved")
    tuned = make_model(cast.ada, cast.support, name="tuned", type="fine-tuned", base_model_id=base.pk)
    child = make_model(cast.ada, cast.support, name="child", type="fine-tuned", base_model_id=tuned.pk)
    hidden_child = make_model(cast.eve, cast.research, name="eves-child", base_model_id=base.pk)
    graph = api(cast.ada).get(f"/catalog/models/{tuned.pk}/lineage")
    labels = sorted(node["label"] for node in graph.data["nodes"])
    assert labels == ["child 1.0", "not visible to you", "shared-base 1.0", "tuned 1.0"]
    hidden = next(node for node in graph.data["nodes"] if not node["visible"])
    assert (hidden["id"], hidden["kind"], hidden["url"], hidden["status"]) == ("", "hidden", "", "")
    for pk in (secret.pk, hidden_child.pk):
        assert str(pk).encode() not in graph.content
    assert {(edge["source"], edge["target"]) for edge in graph.data["edges"]} == {
        ("hidden:1", f"model:{base.pk}"),
        (f"model:{base.pk}", f"model:{tuned.pk}"),
        (f"model:{tuned.pk}", f"model:{child.pk}"),
    }
    full = api(cast.chen).get(f"/catalog/models/{tuned.pk}/lineage")
    assert all(node["visible"] for node in full.data["nodes"])
    assert "secret-root 1.0" in [node["label"] for node in full.data["nodes"]]


def test_versions_and_comparison(cast: Cast, api: Api) -> None:
    """FR-002: versions by semantic order; metadata, files and facts side by side."""
    first = make_ready(cast.ada, cast.support, version="1.9")
    second = make_ready(cast.ada, cast.support, version="1.10", metadata={**CARD, "extra": {"a": 1}})
    upload(cast.ada, second, {"README.md": b"# Hi"})
    ada = api(cast.ada)
    assert [row["version"] for row in ada.get(f"/catalog/models/{first.pk}/versions").data] == ["1.10", "1.9"]
    answer = ada.get(f"/catalog/models/{first.pk}/compare/{second.pk}").data
    assert {row["key"]: row["change"] for row in answer["files"]} == {
        "README.md": "added", "config.json": "same", "model.safetensors": "same", "tokenizer.json": "same",
    }  # fmt: skip
    assert {"key": "extra.a", "left": None, "right": 1, "change": "added"} in answer["metadata"]
    assert {"key": "description", "left": None, "right": "# Hi", "change": "added"} in answer["metadata"]
    assert {row["key"] for row in answer["entry"] if row["change"] == "changed"} == {"version"}
    hidden = make_model(cast.eve, cast.research)
    assert ada.get(f"/catalog/models/{first.pk}/compare/{hidden.pk}").status_code == 404


def test_deletion_by_api_removes_bytes_after_commit(cast: Cast, api: Api) -> None:
    """FR-001d: 200, then nothing is left in table or store."""
    model = make_ready(cast.ada, cast.support)
    assert api(cast.ada).delete(f"/catalog/models/{model.pk}").status_code == 200
    commit_now()
    assert store().list("models") == []
    assert api(cast.ada).get(f"/catalog/models/{model.pk}").status_code == 404
