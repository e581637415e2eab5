"""The datasets rows of the API contract, as programs use them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from guardian.shortcuts import assign_perm

from apps.datasets import services
from apps.datasets.models import Dataset
from tests.factories.datasets import SHEET, clean_rows, make_approved_dataset, make_dataset, pii_rows, rows_bytes
from tests.support.cast import ApiClient, Cast, commit_now

pytestmark = pytest.mark.django_db
Api = Callable[..., ApiClient]
BASE = "/catalog/datasets"


def create(client: ApiClient, **fields: Any) -> Any:
    """POST a dataset."""
    body = {"name": "support-questions", "version": "1.0", "ownerTeam": "support", "type": "sft_pair", **fields}
    return client.post(BASE, body)


def test_program_walks_a_dataset_through_its_life(cast: Cast, api: Api) -> None:
    """FR-003a–d, FR-001d: create, upload, checks, refusal, redaction, submission, approval — over HTTP
    only."""
    ada, chen = api(cast.ada), api(cast.chen)
    metadata = {"source": {"Any Key": [1, None]}, "datasheet": SHEET}
    made = create(ada, changeLog="first", metadata=metadata, storageUri="s3://old/place")
    assert made.status_code == 200
    dataset = made.data
    assert dataset["status"] == "draft"
    assert dataset["ownerTeam"] == "support"
    assert dataset["metadata"] == metadata
    assert dataset["storageUri"] == "s3://old/place"
    path = f"{BASE}/{dataset['id']}"

    up = ada.upload(f"{path}/upload", {"questions.jsonl": rows_bytes(pii_rows())})
    assert up.status_code == 200, up.envelope
    assert up.data["datasetId"] == dataset["id"]
    assert up.data["uploadedFiles"][0]["filename"] == "questions.jsonl"
    assert len(up.data["uploadedFiles"][0]["checksum"]) == 64
    assert up.data["storageUri"].endswith(f"datasets/{dataset['id']}/1.0/")
    queued = ada.get(f"{path}/validation").data
    assert queued["piiScan"]["status"] == "pending"
    assert queued["check"]["status"] == "queued"
    commit_now()

    report = ada.get(f"{path}/validation").data
    assert report["piiScan"]["status"] == "failed"
    assert report["piiScan"]["detectedTypes"] == ["credit_card", "email", "phone"]
    place = report["piiScan"]["locations"][0]
    assert (place["type"], place["row"], place["column"]) == ("email", 3, "response")
    assert "ann.lee" not in json.dumps(report)
    assert set(report["qualityScore"]["breakdown"]) == {
        "missingValues",
        "duplicates",
        "distribution",
        "schemaCompliance",
        "format",
    }
    assert report["recommendations"]

    refused = ada.patch(f"{path}/status", {"status": "pending_review"})
    assert refused.status_code == 422
    assert refused.data["errors"][0]["field"] == "pii"
    early = chen.patch(f"{path}/status?status=approved")
    assert early.status_code == 409
    assert {error["field"] for error in early.data["errors"]} == {"status", "pii"}

    copy = ada.post(f"{path}/redact", {}).data
    commit_now()
    assert (copy["version"], copy["sourceDatasetId"]) == ("1.0.1", dataset["id"])
    copy_path = f"{BASE}/{copy['id']}"
    assert ada.get(copy_path).data["piiScanStatus"] == "clean"
    assert ada.patch(f"{copy_path}/status", {"status": "under_review"}).data["status"] == "pending_review"
    assert ada.patch(f"{copy_path}/status", {"status": "approved"}).status_code == 403
    approved = chen.patch(f"{copy_path}/status", {"status": "approved", "notes": "good"})
    assert approved.data["status"] == "approved"
    assert approved.data["approvedAt"]
    assert approved.data["approvedBy"] == "chen"
    assert chen.patch(f"{copy_path}/status", {"status": "approved"}).status_code == 409
    assert ada.upload(f"{copy_path}/upload", {"x.jsonl": rows_bytes(clean_rows(2))}).status_code == 409

    versions = ada.get(f"{copy_path}/versions")
    assert [entry["version"] for entry in versions.data] == ["1.0.1", "1.0"]
    compared = ada.get(f"{path}/versions/1.0/compare/1.0.1").data
    assert (compared["addedRows"], compared["removedRows"], compared["modifiedRows"]) == (1, 1, 2)
    assert compared["comparedBy"] == {"method": "key", "columns": ["instruction"]}
    change = compared["samples"]["modified"][0]["changes"][0]
    assert change["column"] == "response"
    assert "[EMAIL]" in change["after"]
    assert compared["statistics"]["after"]["totalRows"] == 24


def test_preview_pages_rows_with_schema_and_statistics(cast: Cast, api: Api) -> None:
    """FR-003b: rows by limit and offset, schema, statistics; empty before an upload."""
    dataset = make_dataset(cast.ada)
    ada = api(cast.ada)
    answer = ada.get(f"{BASE}/{dataset.pk}/preview?limit=5&offset=20")
    assert len(answer.data["sampleRows"]) == 4
    assert answer.headers["X-Total-Count"] == "24"
    assert answer.data["schema"][0] == {"name": "instruction", "type": "string", "nullable": False}
    statistics = answer.data["statistics"]
    assert (statistics["totalRows"], statistics["columnCount"], statistics["format"]) == (24, 2, "jsonl")
    assert statistics["fileSize"] == dataset.size_bytes
    assert statistics["columns"][0]["histogram"]
    assert ada.get(f"{BASE}/{dataset.pk}/preview?limit=x").status_code == 400
    assert ada.get(f"{BASE}/{dataset.pk}/preview?lines=5").status_code == 400
    assert ada.get(f"{BASE}/{dataset.pk}/preview?offset=1000").data["sampleRows"] == []
    empty = make_dataset(cast.ada, version="2", rows=[])
    data = ada.get(f"{BASE}/{empty.pk}/preview").data
    assert (data["sampleRows"], data["schema"], data["statistics"]["totalRows"]) == ([], [], 0)


def test_upload_mistakes_are_told_by_row(cast: Cast, api: Api) -> None:
    """FR-003a: 400 with up to a hundred row-level errors and the count of the rest."""
    dataset = make_dataset(cast.ada, rows=[])
    ada = api(cast.ada)
    answer = ada.upload(f"{BASE}/{dataset.pk}/upload", {"a.csv": b"instruction,response\n" + b"a,b,c\n" * 130})
    assert answer.status_code == 400
    errors = answer.data["errors"]
    assert len(errors) == 101
    assert (errors[0]["field"], errors[0]["code"]) == ("files", "ragged_row")
    assert "line 2" in errors[0]["message"]
    assert "30 more" in errors[-1]["message"]
    assert "130 mistakes" in answer.envelope["message"]
    assert ada.get(f"{BASE}/{dataset.pk}").data["files"] == []


def test_upload_without_files_or_as_json_gets_a_clear_answer(cast: Cast, api: Api) -> None:
    """P-1: no file, wrong field name, wrong media type."""
    dataset = make_dataset(cast.ada, rows=[])
    ada = api(cast.ada)
    path = f"{BASE}/{dataset.pk}/upload"
    assert ada.upload(path, []).status_code == 400
    wrong = ada.upload(path, {"a.csv": b"instruction,response\na,b\n"}, field="file")
    assert wrong.status_code == 400
    assert "files" in wrong.envelope["message"]
    assert ada.post(path, {"files": []}).status_code == 415
    assert ada.get(path).status_code == 405


def test_repeated_creation_with_one_key_makes_one_dataset(cast: Cast, api: Api) -> None:
    """P-1: Idempotency-Key."""
    ada = api(cast.ada)
    body = {"name": "x", "version": "1", "type": "benchmark"}
    first = ada.post(BASE, body, **{"Idempotency-Key": "k1"})
    second = ada.post(BASE, body, **{"Idempotency-Key": "k1"})
    assert first.data["id"] == second.data["id"]
    assert ada.post(BASE, {**body, "name": "y"}, **{"Idempotency-Key": "k1"}).status_code == 409
    assert Dataset.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"version": "1", "type": "sft_pair"}, 400, "name"),
        ({"name": "x", "type": "sft_pair"}, 400, "version"),
        ({"name": "x", "version": "newest", "type": "sft_pair"}, 400, "version"),
        ({"name": "x", "version": "1", "type": "poems"}, 400, "type"),
        ({"name": "x", "version": "1", "type": "sft_pair", "metadata": []}, 400, "metadata"),
        ({"name": "x", "version": "1", "type": "sft_pair", "owner_team": "nowhere"}, 400, "ownerTeam"),
        ({"name": "x", "version": "1", "type": "sft_pair", "ownerTeam": "research"}, 400, "ownerTeam"),
        ({"name": "x", "version": "1", "type": "sft_pair", "status": "weird"}, 400, "status"),
        ({"name": "x", "version": "1", "type": "sft_pair", "status": "approved"}, 409, "status"),
    ],
)
def test_bad_creation_names_the_field(cast: Cast, api: Api, body: dict[str, Any], status: int, field: str) -> None:
    """P-1: the field and the remedy."""
    answer = api(cast.ada).post(BASE, body)
    assert answer.status_code == status, answer.envelope
    assert answer.data["errors"][0]["field"] == field
    assert not Dataset.objects.exists()


def test_snake_case_is_understood(cast: Cast, api: Api) -> None:
    """P-1: requests may use either spelling."""
    answer = api(cast.ada).post(
        BASE, {"name": "x", "version": "1", "type": "sft_pair", "owner_team": "support", "change_log": "c"}
    )
    assert answer.data["changeLog"] == "c"


def test_conflict_does_not_reveal_another_team(cast: Cast, api: Api) -> None:
    """FR-001: within a team a version exists once; across teams nobody learns of the other's."""
    assert create(api(cast.ada)).status_code == 200
    assert create(api(cast.ada), version="v1.0.0").status_code == 409
    assert create(api(cast.eve), ownerTeam="research").status_code == 200


def test_filters_narrow_the_list(cast: Cast, api: Api) -> None:
    """FR-003d: every documented filter, in both spellings; nonsense is a 400, unknown references give
    nothing."""
    make_dataset(cast.ada, name="alpha", rows=pii_rows())
    make_approved_dataset(cast, name="beta", version="v2.0")
    make_dataset(cast.eve, name="gamma", dataset_type="benchmark", rows=[])
    chen = api(cast.chen)

    def names(query: str) -> list[str]:
        answer = chen.get(f"{BASE}?{query}")
        assert answer.status_code == 200, answer.envelope
        return sorted(entry["name"] for entry in answer.data)

    assert names("") == ["alpha", "beta", "gamma"]
    assert names("name=ALP") == ["alpha"]
    assert names("version=2") == ["beta"]
    assert names("version=nonsense") == []
    assert names("ownerTeam=research") == ["gamma"]
    assert names("owner_team=nowhere") == []
    assert names("piiStatus=failed") == ["alpha"]
    assert names("pii_status=clean") == ["beta"]
    assert names("status=approved") == ["beta"]
    assert names("status=under_review") == []
    assert names("type=benchmark") == ["gamma"]
    assert names("approvedOnly=true") == ["beta"]
    assert names("approvedOnly=false") == ["alpha", "beta", "gamma"]
    assert names("minQuality=50") == ["alpha", "beta"]
    assert names("minQuality=50&maxQuality=60") == []
    assert names("q=amm") == ["gamma"]
    ordered = chen.get(f"{BASE}?orderBy=-name")
    assert [entry["name"] for entry in ordered.data] == ["gamma", "beta", "alpha"]
    assert chen.get(f"{BASE}?limit=1&offset=1").headers["X-Total-Count"] == "3"
    for bad in ("status=x", "type=x", "piiStatus=x", "approvedOnly=maybe", "minQuality=high", "colour=red", "limit=-1"):
        assert chen.get(f"{BASE}?{bad}").status_code == 400, bad


VISIBLE = {
    "ada": {"draft-support", "shared-support"},
    "ben": {"draft-support", "shared-support"},
    "chen": {"draft-support", "shared-support", "draft-research"},
    "dana": {"draft-support", "shared-support", "draft-research"},
    "eve": {"draft-research", "shared-support"},
    "finn": {"draft-support", "shared-support", "draft-research"},
}


def test_each_person_sees_exactly_their_set(cast: Cast, api: Api) -> None:
    """P-3: the exact visible sets of the whole cast, in the list and by id."""
    made = {
        "draft-support": make_dataset(cast.ada, name="draft-support", rows=[]),
        "shared-support": make_approved_dataset(cast, name="shared-support", visibility="organisation"),
        "draft-research": make_dataset(cast.eve, name="draft-research", rows=[], visibility="organisation"),
    }
    for who, person in cast.everyone().items():
        client = api(person)
        answer = client.get(BASE)
        assert {entry["name"] for entry in answer.data} == VISIBLE[who], who
        assert answer.headers["X-Total-Count"] == str(len(VISIBLE[who]))
        for name, dataset in made.items():
            expected = 200 if name in VISIBLE[who] else 404
            assert client.get(f"{BASE}/{dataset.pk}").status_code == expected, (who, name)
    assert api(None).get(BASE).status_code == 401
    assert api(cast.eve).patch(f"{BASE}/{made['shared-support'].pk}", {"visibility": "team"}).status_code == 403


def every_call(client: ApiClient, dataset_id: object) -> dict[str, Any]:
    """Each path of a dataset, once."""
    path = f"{BASE}/{dataset_id}"
    return {
        "get": client.get(path),
        "patch": client.patch(path, {"changeLog": "x"}),
        "upload": client.upload(f"{path}/upload", {"a.jsonl": rows_bytes(clean_rows(2))}),
        "preview": client.get(f"{path}/preview"),
        "validation": client.get(f"{path}/validation"),
        "validate": client.post(f"{path}/validation"),
        "status": client.patch(f"{path}/status", {"status": "approved"}),
        "versions": client.get(f"{path}/versions"),
        "compare": client.get(f"{path}/versions/1.0/compare/1.0"),
        "redact": client.post(f"{path}/redact"),
        "delete": client.delete(path),
    }


def test_stranger_gets_404_on_every_path(cast: Cast, api: Api) -> None:
    """P-3: for Eve the dataset does not exist; the answer is that of an id that never was."""
    dataset = make_dataset(cast.ada)
    for what, answer in every_call(api(cast.eve), dataset.pk).items():
        assert answer.status_code == 404, what
    for what, answer in every_call(api(cast.ada), "not-an-id").items():
        assert answer.status_code == 404, what
    assert Dataset.objects.filter(pk=dataset.pk).exists()


def test_auditor_reads_and_changes_nothing(cast: Cast, api: Api) -> None:
    """P-3: Finn sees everything and writes nothing."""
    dataset = make_dataset(cast.ada)
    answers = every_call(api(cast.finn), dataset.pk)
    assert {what for what, answer in answers.items() if answer.status_code == 200} == {
        "get",
        "preview",
        "validation",
        "versions",
        "compare",
    }
    assert {answer.status_code for answer in answers.values()} == {200, 403}


def test_read_token_cannot_write(cast: Cast, api: Api) -> None:
    """P-2: a token never exceeds its scopes."""
    dataset = make_dataset(cast.ada)
    client = api(cast.ada, scopes=("read",))
    assert client.get(f"{BASE}/{dataset.pk}").status_code == 200
    assert client.patch(f"{BASE}/{dataset.pk}", {"changeLog": "x"}).status_code == 403
    assert create(client, name="y").status_code == 403


def test_single_grant_opens_one_dataset(cast: Cast, api: Api) -> None:
    """P-3: a guardian grant on one object adds to the roles."""
    dataset = make_dataset(cast.ada)
    make_dataset(cast.ada, name="other", rows=[])
    assign_perm("view_dataset", cast.eve, dataset)
    eve = api(cast.eve)
    assert [entry["name"] for entry in eve.get(BASE).data] == [dataset.name]
    assert eve.get(f"{BASE}/{dataset.pk}/preview").status_code == 200
    assert eve.patch(f"{BASE}/{dataset.pk}", {"changeLog": "x"}).status_code == 403


def test_list_costs_the_same_for_any_number_of_rows(cast: Cast, api: Api) -> None:
    """performance.md: at most eight queries for a page, whatever its length."""

    def queries(who: Any) -> int:
        client = api(who)
        client.get(BASE)
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert client.get(BASE).status_code == 200
        return len(captured)

    for number in range(3):
        make_dataset(cast.ada, name=f"d{number}", rows=[])
    few = {who: queries(person) for who, person in cast.everyone().items()}
    for number in range(3, 30):
        services.dataset_create(actor=cast.ada, name=f"d{number}", version="1", dataset_type="benchmark")
    many = {who: queries(person) for who, person in cast.everyone().items()}
    assert few == many
    assert max(many.values()) <= 8, many


def test_compare_takes_a_key_and_refuses_a_bad_one(cast: Cast, api: Api) -> None:
    """FR-003d: by declared key; a key that does not identify rows is a 400; unknown versions are a 404."""
    before = [{"id": n, "input": f"q{n}", "reference": "a"} for n in range(5)]
    after = [{"id": n, "input": f"q{n}" if n else "new", "reference": "a", "lang": "en"} for n in range(1, 6)]
    one = make_dataset(cast.ada, name="b", version="1", dataset_type="benchmark", rows=before)
    make_dataset(cast.ada, name="b", version="2", dataset_type="benchmark", rows=after)
    ada = api(cast.ada)
    path = f"{BASE}/{one.pk}/versions/1/compare/v2.0"
    data = ada.get(f"{path}?key=id").data
    assert (data["addedRows"], data["removedRows"], data["modifiedRows"], data["unchangedRows"]) == (1, 1, 0, 4)
    assert data["schemaChanges"] == [{"column": "lang", "change": "added", "before": None, "after": "string"}]
    assert ada.get(f"{path}?key=reference").status_code == 400
    assert ada.get(f"{path}?key=nope").status_code == 400
    assert ada.get(f"{BASE}/{one.pk}/versions/1/compare/9").status_code == 404
