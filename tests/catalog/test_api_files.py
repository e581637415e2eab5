"""FR-001a, FR-001c: uploads and external models over the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from apps.catalog import registry, services
from apps.catalog.models import ExternalSecret, ModelEntry, ModelFile
from apps.core.models import AuditEvent
from apps.core.storage import store
from tests.catalog.files import model_files
from tests.catalog.support import CARD, EXTERNAL, make_approved, make_model, make_ready, upload
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


def test_uploads_are_refused_with_reasons_and_leave_nothing(cast: Cast, api: Api, settings: Any) -> None:
    """FR-001a: types, doubles, emptiness, size; the whole upload or nothing of it."""
    model = make_model(cast.ada, cast.support)
    path = f"/catalog/models/{model.pk}/upload"
    ada = api(cast.ada)
    good = ("config.json", b"{}")
    settings.UPLOAD_MAX_FILE_BYTES = 1_000
    for files, status in (
        ([], 400),
        ([good, ("script.py", b"import os")], 415),
        ([good, ("model.exe", b"MZ")], 415),
        ([good, good], 400),
        ([good, ("Config.JSON", b"{}")], 400),
        ([good, ("empty.json", b"")], 400),
        ([good, ("big.safetensors", b"x" * 1_001)], 413),
        ([good, ("con.json", b"{}")], 400),
    ):
        answer = ada.upload(path, files)
        assert answer.status_code == status, (files, answer.content)
        assert answer.envelope["status"] == "fail"
        assert not ModelFile.objects.exists()
        assert store().list("models") == store().list("incoming") == []
    assert ada.post(path, {"files": []}).status_code == 415


@pytest.mark.parametrize(
    "name",
    ["../../../etc/config.json", "..\\..\\config.json", "/etc/config.json", "con\u202efig.json", "\x07config.json"],
)
def test_paths_in_file_names_never_leave_the_models_folder(cast: Cast, api: Api, name: str) -> None:
    """FR-001a: a name with folders is refused or reduced to its last part."""
    model = make_model(cast.ada, cast.support)
    answer = api(cast.ada).upload(f"/catalog/models/{model.pk}/upload", [(name, b"{}")])
    if answer.status_code == 200:
        assert store().list("models") == [f"models/{model.pk}/1.0/config.json"]
    else:
        assert answer.status_code == 400
        assert store().list("models") == []


def test_file_of_the_same_name_is_replaced_and_scanned_again(cast: Cast, api: Api) -> None:
    """FR-001a: row and bytes always agree."""
    model = make_ready(cast.ada, cast.support)
    before = model.files.get(filename="README.md") if model.files.filter(filename="README.md").exists() else None
    assert before is None
    upload(cast.ada, model, {"config.json": b"{}"})
    row = model.files.get(filename="config.json")
    with store().open(row.storage_key) as file:
        assert file.read() == b"{}"
    assert (row.size, row.scan_status, model.scan_status) == (2, "corrupt", "corrupt")
    files = api(cast.ada).get(f"/catalog/models/{model.pk}").data["files"]
    reasons = {file["filename"]: file["scanReasons"] for file in files}
    assert reasons["config.json"][0]["code"] == "model_type"
    assert len(files) == 3


def test_file_can_be_removed_from_a_draft_only(cast: Cast, api: Api) -> None:
    """FR-001a: the rest is scanned again; approved files stay."""
    model = make_ready(cast.ada, cast.support)
    gone = api(cast.ada).delete(f"/catalog/models/{model.pk}/files/tokenizer.json")
    assert gone.status_code == 200
    commit_now()
    assert not store().exists(f"models/{model.pk}/1.0/tokenizer.json")
    assert api(cast.ada).delete(f"/catalog/models/{model.pk}/files/tokenizer.json").status_code == 400
    approved = make_approved(cast, name="approved")
    assert api(cast.ada).delete(f"/catalog/models/{approved.pk}/files/config.json").status_code == 409
    assert api(cast.ada).upload(f"/catalog/models/{approved.pk}/upload", model_files()).status_code == 409


def test_external_model_keeps_its_key_to_itself(cast: Cast, api: Api) -> None:
    """FR-001c: taken out, encrypted, answered as ``apiKeySet``; found in no answer, row or audit entry."""
    ada = api(cast.ada)
    made = ada.post("/catalog/models", body(type="external", metadata={**CARD, **EXTERNAL}))
    assert made.status_code == 200, made.content
    model = ModelEntry.objects.get(pk=made.data["id"])
    assert made.data["apiKeySet"] is made.data["metadata"]["apiKeySet"] is True
    assert made.data["storageUri"] is None
    secret = EXTERNAL["api_key"].encode()
    answers = [
        made,
        ada.get(f"/catalog/models/{model.pk}"),
        ada.get("/catalog/models"),
        ada.get(f"/catalog/models/{model.pk}/versions"),
    ]
    assert all(secret not in answer.content for answer in answers)
    assert EXTERNAL["api_key"] not in str(model.metadata)
    assert EXTERNAL["api_key"] not in ExternalSecret.objects.get(model=model).ciphertext
    assert not any(EXTERNAL["api_key"] in str(event.metadata) for event in AuditEvent.objects.all())
    target = services.model_external_target(model=model)
    assert (target.api_key, target.base_url, target.model_name) == (
        EXTERNAL["api_key"],
        "https://api.openai.com/v1",
        "gpt-4o-mini",
    )
    assert EXTERNAL["api_key"] not in repr(target)
    kept = ada.patch(f"/catalog/models/{model.pk}", {"metadata": {**made.data["metadata"], "note": "x"}})
    assert kept.data["apiKeySet"] is True
    assert ModelEntry.objects.get(pk=model.pk).metadata.get("apiKeySet") is None
    moved = ada.patch(
        f"/catalog/models/{model.pk}",
        {"metadata": {"provider": "openai_compatible", "model_name": "m", "base_url": "https://evil.example/v1"}},
    )
    assert moved.data["apiKeySet"] is False, "a changed address must not receive the old key"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"provider": None}, "provider"),
        ({"provider": "bedrock"}, "provider"),
        ({"model_name": ""}, "model_name"),
        ({"model_name": 7}, "model_name"),
        ({"provider": "ollama"}, "base_url"),
        ({"provider": "openai_compatible", "base_url": "ftp://host/v1"}, "base_url"),
        ({"provider": "openai_compatible", "base_url": "http://user:pass@host/v1"}, "base_url"),
        ({"provider": "openai_compatible", "base_url": "http://host/v1?key=1"}, "base_url"),
        ({"provider": "openai_compatible", "base_url": "http://[::1"}, "base_url"),
        ({"provider": "openai_compatible", "base_url": "http://host:99999/v1"}, "base_url"),
        ({"provider": "openai_compatible", "base_url": "file:///etc/passwd"}, "base_url"),
        ({"api_key": "line\nbreak"}, "api_key"),
        ({"api_key": {"a": 1}}, "api_key"),
    ],
)
def test_external_fields_are_validated(cast: Cast, api: Api, change: dict[str, Any], field: str) -> None:
    """FR-001c: provider-specific fields, each with its own error."""
    refused = api(cast.ada).post("/catalog/models", body(type="external", metadata={**CARD, **EXTERNAL, **change}))
    assert refused.status_code == 400
    assert f"metadata.{field}" in [error["field"] for error in refused.data["errors"]]
    assert b"line" not in refused.content or field == "api_key"
    assert not ModelEntry.objects.exists()


def test_external_model_needs_key_and_card_but_no_files(cast: Cast, api: Api) -> None:
    """FR-001c: submitted without files; OpenAI without a key is refused."""
    metadata = {**CARD, **EXTERNAL}
    del metadata["api_key"]
    made = api(cast.ada).post("/catalog/models", body(type="external", metadata=metadata)).data
    path = f"/catalog/models/{made['id']}"
    refused = api(cast.ada).patch(f"{path}/status", {"status": "pending_review"})
    assert refused.status_code == 422
    assert [error["field"] for error in refused.data["errors"]] == ["providerKey"]
    assert api(cast.ada).upload(f"{path}/upload", model_files()).status_code == 409
    assert api(cast.ada).patch(path, {"metadata": {**metadata, "api_key": "sk-2"}}).data["apiKeySet"] is True
    assert api(cast.ada).patch(f"{path}/status", {"status": "pending_review"}).status_code == 200
    assert api(cast.chen).patch(f"{path}/status", {"status": "approved"}).data["status"] == "approved"
