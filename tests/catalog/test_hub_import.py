"""FR-001e: imports from a hub that speaks the real protocol: whole, checked, continued, and refused with reasons."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from apps.accounts.models import Membership
from apps.catalog import registry
from apps.catalog.import_models import ModelImport
from apps.catalog.models import ModelEntry
from apps.catalog.services import import_run
from apps.catalog.services.imports import imports_resend
from apps.catalog.tasks import transfers_reconcile
from apps.core import clock
from apps.core.models import AuditEvent, Operation
from apps.core.storage import S3Store, store
from tests.catalog.files import config, model_files, safetensors
from tests.support.cast import Cast, commit_now
from tests.support.fake_hub import FakeHub, Repository
from tests.support.hub_client import ask

pytestmark = pytest.mark.django_db
Api = Callable[..., Any]
REPO = "acme/small-model"
README = """---
license: apache-2.0
language: [en, de]
base_model: acme/base
tags: [support]
---
# Small model

Answers questions.
"""
PATH = "/catalog/models/import-from-huggingface"


@pytest.fixture
def hub(settings: Any) -> Iterator[FakeHub]:
    """A hub with one model; loopback is allowed, as `make run` does."""
    server = FakeHub().start()
    server.repositories[REPO] = Repository(repository_files(), card={"license": "apache-2.0"})
    settings.HF_ENDPOINT = server.url
    settings.LLMOPS_OUTBOUND_ALLOW = ["127.0.0.0/8", "::1"]
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def only_own_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gates of higher apps are tested there."""
    monkeypatch.setattr(registry, "_gates", [])


def repository_files() -> dict[str, bytes]:
    """What people publish: a model, and much that the catalog does not take."""
    data = bytes(range(256)) * 12_000
    tensors = {"weight": {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}}
    return {
        **model_files(**{"model.safetensors": safetensors(tensors, data)}),
        "README.md": README.encode(),
        "pytorch_model.bin": b"the same once more",
        "training_args.bin": b"a pickle",
        ".gitattributes": b"*.bin filter=lfs",
        "picture.png": b"png",
        "onnx/model.onnx": b"onnx",
        "onnx/config.json": b"{}",
    }


def start(api: Any, **body: Any) -> Any:
    """Ask for the import; the task is run by `finish`."""
    return api.post(PATH, {"repoId": REPO, **body})


def finish(api: Any, answer: Any) -> dict[str, Any]:
    """Let the worker work, then poll as a program does."""
    commit_now()
    data: dict[str, Any] = api.get(f"/catalog/models/imports/{answer.data['id']}").data
    return data


def work(row: ModelImport | dict[str, Any]) -> str:
    """One attempt of a worker."""
    return import_run(import_id=row.pk if isinstance(row, ModelImport) else row["id"])


def test_fake_hub_is_one_for_the_unmodified_client(hub: FakeHub, tmp_path: Path) -> None:
    """FR-001e: what these tests stand on behaves like the Hub for its own client, redirects and errors included."""
    hub.known_tokens = {"hf_good"}
    hub.repositories["acme/gated"] = Repository(model_files(), gated=True, tokens=("hf_good",))
    calls = ["model_info", "list_repo_files", "download", "ranged", "snapshot", "verify"]
    said = ask(hub.url, "", tmp_path, repo=REPO, calls=calls)
    files = hub.repositories[REPO].files
    weights = files["model.safetensors"]
    assert said["model_info"]["files"]["model.safetensors"] == [len(weights), hashlib.sha256(weights).hexdigest()]
    assert said["list_repo_files"] == sorted(files)
    assert said["ranged"][0] == 206
    assert said["verify"] == 0
    assert said["snapshot"]["model.safetensors"] == hashlib.sha256(weights).hexdigest()
    errors = ask(hub.url, "", tmp_path, repo="acme/none", calls=["model_info"])
    assert errors["model_info"]["error"] == "RepositoryNotFoundError"
    gated = ask(hub.url, "", tmp_path, repo="acme/gated", calls=["download"])
    assert gated["download"]["error"] == "GatedRepoError"
    assert "sha256" in ask(hub.url, "hf_good", tmp_path, repo="acme/gated", calls=["download"])["download"]


def test_ml_engineer_can_import_a_model(hub: FakeHub, cast: Cast, api: Api) -> None:
    """FR-001e: files, card, origin and family arrive; the scan has run; what does not belong stays behind."""
    ada = api(cast.ada)
    answer = start(ada, version="2.1", metadata={"purpose": "Answers."}, visibility="organisation")
    assert answer.status_code == 200
    assert answer.data["status"] == "queued"
    assert ada.get(f"/operations/{answer.data['operationId']}").data["kind"] == "model_import"
    done = finish(ada, answer)
    assert (done["status"], done["progress"]) == ("succeeded", 100)
    model = ada.get(f"/catalog/models/{done['modelId']}").data
    taken = {"README.md", "config.json", "model.safetensors", "tokenizer.json"}
    assert {file["filename"] for file in model["files"]} == taken
    for file in model["files"]:
        assert file["checksum"] == hashlib.sha256(hub.repositories[REPO].files[file["filename"]]).hexdigest()
    assert (model["name"], model["version"], model["status"]) == ("small-model", "2.1", "draft")
    assert (model["scanStatus"], model["modelFamily"], model["visibility"]) == ("safe", "llama", "organisation")
    metadata = model["metadata"]
    assert metadata["huggingface_model_id"] == REPO
    assert (metadata["huggingface_revision"], metadata["huggingface_commit"]) == ("main", "c" * 40)
    assert (metadata["license"], metadata["language"], metadata["purpose"]) == ("apache-2.0", ["en", "de"], "Answers.")
    assert metadata["description"].startswith("# Small model")
    assert model["cardMissing"] == ["scope", "contact"]
    assert "pytorch_model.bin" in done["skipped"]
    assert "onnx/model.onnx" in done["skipped"]
    assert ada.get(f"/operations/{done['operationId']}").data["result"]["modelId"] == done["modelId"]
    assert AuditEvent.objects.get(action="catalog.model.imported").metadata["commit"] == "c" * 40
    assert store().list("incoming") == []
    assert not any(authorization for _, path, _, authorization in hub.seen if path.startswith("/cdn/"))


def test_token_of_an_import_is_used_and_never_shown(
    hub: FakeHub, cast: Cast, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    """FR-001e: gated models need a token; it is encrypted, forgotten at the end, and not sent to other hosts."""
    hub.known_tokens = {"hf_secret", "hf_other"}
    hub.repositories[REPO].gated = True
    hub.repositories[REPO].tokens = ("hf_secret",)
    ada = api(cast.ada)
    refused = finish(ada, start(ada))
    assert (refused["status"], refused["errorCode"]) == ("failed", "gated")
    assert "accept its terms" in refused["message"]
    other = ada.post(f"/catalog/models/imports/{refused['id']}/retry", {"token": "hf_other"})
    assert finish(ada, other)["errorCode"] == "gated"
    answer = ada.post(f"/catalog/models/imports/{refused['id']}/retry", {"token": "hf_secret"})
    row = ModelImport.objects.get(pk=refused["id"])
    assert row.token_ciphertext
    assert "hf_secret" not in row.token_ciphertext
    done = finish(ada, answer)
    assert done["status"] == "succeeded"
    row.refresh_from_db()
    assert row.token_ciphertext == ""
    assert any(authorization == "Bearer hf_secret" for _, _, _, authorization in hub.seen)
    assert not any(authorization for _, path, _, authorization in hub.seen if path.startswith("/cdn/"))
    everything = json.dumps([*AuditEvent.objects.values("metadata"), *Operation.objects.values("message", "result")])
    assert "hf_secret" not in everything + json.dumps(done) + answer.content.decode() + caplog.text


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"repoId": "acme/nothing"}, "not_found", "no model acme/nothing for anonymous callers"),
        ({"repoId": "acme/nothing", "token": "hf_good"}, "not_found", "for this token"),
        ({"token": "hf_bad"}, "token_refused", "refuses the token"),
        ({"revision": "v9"}, "revision_not_found", "no branch, tag or commit v9"),
        ({"include": ["*.json"]}, "incomplete", "weights"),
        ({"includePatterns": ["*.gguf"]}, "incomplete", "lacks"),
    ],
)
def test_refusals_of_the_hub_are_said_clearly(
    hub: FakeHub, cast: Cast, api: Api, change: dict[str, Any], code: str, words: str
) -> None:
    """FR-001e: each its own code and sentence; nothing is registered."""
    hub.known_tokens = {"hf_good"}
    ada = api(cast.ada)
    failed = finish(ada, start(ada, **change))
    assert (failed["status"], failed["errorCode"]) == ("failed", code), failed["message"]
    assert words in failed["message"]
    assert ada.get(f"/operations/{failed['operationId']}").data["status"] == "failed"
    assert not ModelEntry.objects.exists()
    assert store().list("models") == []


@pytest.mark.parametrize(
    ("status", "headers", "code"),
    [
        (429, {"Retry-After": "7"}, "rate_limited"),
        (429, {"Retry-After": "nonsense"}, "rate_limited"),
        (500, {}, "unavailable"),
        (503, {}, "unavailable"),
        (504, {}, "unavailable"),
    ],
)
def test_import_goes_on_when_the_hub_is_back(
    hub: FakeHub, cast: Cast, api: Api, settings: Any, status: int, headers: dict[str, str], code: str
) -> None:
    """FR-001e: transient refusals are tried again by themselves, up to the setting."""
    settings.LLMOPS_HUB_ATTEMPTS = 3
    hub.failures = [(status, headers)] * 2
    ada = api(cast.ada)
    row = start(ada).data
    assert work(row) == "queued"
    waiting = ada.get(f"/catalog/models/imports/{row['id']}").data
    assert (waiting["attempts"], waiting["errorCode"]) == (1, code)
    assert "follows by itself" in waiting["message"]
    assert work(row) == "queued"
    assert work(row) == "succeeded"
    hub.failures = [(status, headers)] * 3
    again = start(ada, version="2.0").data
    assert [work(again), work(again), work(again)] == ["queued", "queued", "failed"]


def test_broken_download_continues_where_it_stopped(hub: FakeHub, cast: Cast, api: Api) -> None:
    """FR-001e, P-8: after a cut connection (or a killed worker) only the missing bytes are fetched."""
    hub.cuts = [1_500_000]
    ada = api(cast.ada)
    row = start(ada).data
    assert work(row) == "queued"
    size = len(hub.repositories[REPO].files["model.safetensors"])
    hub.seen.clear()
    assert work(row) == "succeeded"
    [fetched] = [entry for entry in hub.seen if entry[1].startswith("/cdn/")]
    begin = int(fetched[2].removeprefix("bytes=").rstrip("-"))
    assert 0 < begin <= 1_500_000 < size
    assert hub.asked()[f"/{REPO}/resolve/{'c' * 40}/config.json"] == 0, "complete files are not fetched again"
    commit_now()
    assert ModelEntry.objects.get().scan_status == "safe"


def test_import_stays_at_the_commit_it_began_with(hub: FakeHub, cast: Cast, api: Api) -> None:
    """FR-001e: a branch that moves in between does not mix two states."""
    hub.cuts = [10]
    row = start(api(cast.ada)).data
    assert work(row) == "queued"
    hub.repositories[REPO].commit = "d" * 40
    assert work(row) == "failed", "the fake hub forgets old commits; the real one does not"
    assert ModelImport.objects.get().error_code == "revision_not_found"


def test_worker_that_died_is_replaced(hub: FakeHub, cast: Cast, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """P-8: a running import that nobody works on is sent again; complete files are kept; running twice is harmless."""
    row = start(api(cast.ada)).data
    inside = import_run.__globals__
    fetch = inside["_fetch"]

    class Killed(BaseException):
        """What SIGKILL leaves: no handler ran."""

    def dying(hub_: Any, row_: Any, file: Any, *rest: Any) -> Any:
        if file.path == "tokenizer.json":
            raise Killed
        return fetch(hub_, row_, file, *rest)

    monkeypatch.setitem(inside, "_fetch", dying)
    with pytest.raises(Killed):
        work(row)
    monkeypatch.setitem(inside, "_fetch", fetch)
    left = ModelImport.objects.get(pk=row["id"])
    assert (left.status, left.files_done) == ("running", 3)
    assert imports_resend() == 0, "it may still be alive"
    ModelImport.objects.update(updated_at=clock.now() - timedelta(minutes=5))
    hub.seen.clear()
    assert imports_resend() == 1
    commit_now()
    assert ModelImport.objects.get(pk=row["id"]).status == "succeeded"
    assert [path for _, path, _, _ in hub.seen] == [f"/{REPO}/resolve/{'c' * 40}/tokenizer.json"]
    assert work(row) == "ended"
    assert ModelEntry.objects.count() == 1
    assert transfers_reconcile() == 0


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        ({"lfs": {"oid": "0" * 64}}, "SHA-256"),
        ({"lfs": {"size": 5_000_000}, "size": 5_000_000}, "instead of"),
        ({"lfs": {"size": 1_000}, "size": 1_000}, "instead of"),
    ],
)
def test_files_that_differ_from_the_promised_hash_are_refused(
    hub: FakeHub, cast: Cast, api: Api, settings: Any, lie: dict[str, Any], words: str
) -> None:
    """FR-001e: size and SHA-256 of every file are compared with the hub's; nothing is registered otherwise."""
    settings.LLMOPS_HUB_ATTEMPTS = 2
    hub.repositories[REPO].lies = {"model.safetensors": lie}
    row = start(api(cast.ada)).data
    assert [work(row), work(row)] == ["queued", "failed"]
    failed = ModelImport.objects.get()
    assert failed.error_code == "hash_differs"
    assert words in failed.message
    assert not ModelEntry.objects.exists()


def test_small_files_are_compared_with_their_git_hash(hub: FakeHub, cast: Cast, api: Api, settings: Any) -> None:
    """FR-001e: files that the hub keeps in git have no SHA-256 there; their blob's name is checked instead."""
    settings.LLMOPS_HUB_ATTEMPTS = 1
    hub.repositories[REPO].lies = {"config.json": {"oid": "0" * 40}}
    row = start(api(cast.ada)).data
    assert work(row) == "failed"
    assert ModelImport.objects.get().error_code == "hash_differs"


def test_sizes_are_checked_before_anything_is_fetched(hub: FakeHub, cast: Cast, api: Api, settings: Any) -> None:
    """FR-001e: per file and in all; the hub is only asked for the list."""
    ada = api(cast.ada)
    settings.LLMOPS_HUB_MAX_BYTES = 1_000_000
    failed = finish(ada, start(ada))
    assert failed["errorCode"] == "too_large"
    assert "LLMOPS_HUB_MAX_BYTES" in failed["message"]
    settings.LLMOPS_HUB_MAX_BYTES = 10**12
    settings.UPLOAD_MAX_FILE_BYTES = 1_000
    assert finish(ada, start(ada))["errorCode"] == "too_large"
    settings.UPLOAD_MAX_FILE_BYTES = 10**12
    hub.repositories[REPO].lies = {"model.safetensors": {"lfs": {"size": 10**18}, "size": 10**18}}
    settings.LLMOPS_HUB_MAX_BYTES = 10**19
    settings.UPLOAD_MAX_FILE_BYTES = 10**19
    assert "has room for" in finish(ada, start(ada))["message"]
    assert {path for _, path, _, _ in hub.seen} == {f"/api/models/{REPO}/revision/main"}


@pytest.mark.parametrize(
    ("endpoint", "allow", "code"),
    [
        ("http://127.0.0.1:9", [], "address_refused"),
        ("http://localhost:9", [], "address_refused"),
        ("http://169.254.169.254", ["127.0.0.0/8"], "address_refused"),
        ("http://127.0.0.1:9", ["127.0.0.0/8"], "unreachable"),
        ("http://nowhere.invalid", ["127.0.0.0/8"], "name_unknown"),
    ],
)
def test_addresses_of_the_hub_pass_the_guard(
    hub: FakeHub, cast: Cast, api: Api, settings: Any, endpoint: str, allow: list[str], code: str
) -> None:
    """FR-001e: private addresses only where an operator lists them; DNS and refusals are told apart."""
    settings.HF_ENDPOINT = endpoint
    settings.LLMOPS_OUTBOUND_ALLOW = allow
    settings.LLMOPS_HUB_ATTEMPTS = 1
    row = start(api(cast.ada)).data
    assert work(row) == "failed"
    assert ModelImport.objects.get().error_code == code


@pytest.mark.parametrize("target", ["http://169.254.169.254/latest", "http://10.0.0.1/x", "file:///etc/passwd"])
def test_hub_cannot_redirect_into_the_network(hub: FakeHub, cast: Cast, api: Api, settings: Any, target: str) -> None:
    """FR-001e: redirects pass the same guard."""
    settings.LLMOPS_HUB_ATTEMPTS = 1
    hub.redirect_to = target
    row = start(api(cast.ada)).data
    assert work(row) == "failed"
    assert ModelImport.objects.get().error_code in {"address_refused", "broken"}


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b'{"id": "x"}', b'{"id": "x", "sha": "a", "siblings": [{"rfilename": "a"}]}', b"<html>"],
)
def test_answers_that_are_no_hubs_are_refused(hub: FakeHub, cast: Cast, api: Api, body: bytes) -> None:
    """FR-001e: a proxy's page or a half answer is named as what it is."""
    hub.info_body = body
    row = start(api(cast.ada)).data
    assert work(row) == "failed"
    assert ModelImport.objects.get().error_code in {"not_a_hub", "incomplete"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"repoId": "../etc"}, "repoId"),
        ({"repoId": "a/b/c"}, "repoId"),
        ({"repoId": "a--b/c"}, "repoId"),
        ({"repoId": "acme/x?y=1"}, "repoId"),
        ({"repoId": "acme/mödel"}, "repoId"),
        ({"repoId": ""}, "repoId"),
        ({"modelId": "acme/other"}, "repoId"),
        ({"revision": "../../main"}, "revision"),
        ({"revision": "a b"}, "revision"),
        ({"include": ["x" * 201]}, "include.0"),
        ({"include": ["*"] * 51}, "include"),
        ({"version": "one"}, "version"),
        ({"type": "external"}, "type"),
        ({"visibility": "world"}, "visibility"),
        ({"token": "a\nb"}, "token"),
        ({"token": "ü"}, "token"),
        ({"metadata": {"api_key": "sk-1"}}, "metadata.api_key"),
        ({"metadata": []}, "metadata"),
        ({"ownerTeam": "research"}, "ownerTeam"),
    ],
)
def test_wrong_requests_are_named_by_field(cast: Cast, api: Api, change: dict[str, Any], field: str) -> None:
    """FR-001e: refused at once, the hub unasked."""
    refused = start(api(cast.ada), **change)
    assert refused.status_code == 400, refused.content
    assert field in [error["field"] for error in refused.data["errors"]]
    assert not ModelImport.objects.exists()


def test_version_that_exists_is_refused_at_once(hub: FakeHub, cast: Cast, api: Api) -> None:
    """FR-001e: also while another import brings it."""
    ada = api(cast.ada)
    row = start(ada)
    assert start(ada).status_code == 409
    finish(ada, row)
    assert start(ada, version="v1.0.0").status_code == 409
    assert start(ada, version="1.1").status_code == 200


def test_others_can_neither_import_nor_see(hub: FakeHub, cast: Cast, api: Api) -> None:
    """P-3: by role in the team; imports of other teams do not exist."""
    for person in (cast.ben, cast.finn):
        assert start(api(person), ownerTeam="support").status_code in {400, 403}
    row = start(api(cast.ada)).data
    path = f"/catalog/models/imports/{row['id']}"
    assert api(cast.eve).get(path).status_code == 404
    assert api(cast.eve).delete(path).status_code == 404
    assert api(cast.ben).get(path).status_code == 200
    assert api(cast.ben).delete(path).status_code == 403
    assert api(cast.eve).get("/catalog/models/imports").data == []
    assert len(api(cast.ada).get("/catalog/models/imports?status=queued&repoId=small").data) == 1
    assert api(cast.ada).get("/catalog/models/imports?status=odd").status_code == 400


def test_import_ends_without_the_right_to_import(hub: FakeHub, cast: Cast, api: Api) -> None:
    """P-3: a role that was taken away before the end counts; nothing is registered, the denial is audited."""
    row = start(api(cast.ada)).data
    Membership.objects.filter(user=cast.ada).delete()
    assert work(row) == "failed"
    assert not ModelEntry.objects.exists()
    assert AuditEvent.objects.filter(result="denied").exists()


@pytest.mark.parametrize("token", ["hf_a\nX-Evil: 1", "hf_é", "h" * 1_001])
def test_token_of_a_repeated_import_is_checked_too(cast: Cast, api: Api, token: str) -> None:
    """FR-001e: what cannot be a header is refused here as at the first attempt; nothing starts."""
    row = ModelImport.objects.create(
        team=cast.support, source="hub", repo_id=REPO, revision="main", name="m", version="1.0", status="failed"
    )
    answer = api(cast.ada).post(f"/catalog/models/imports/{row.pk}/retry", {"token": token})
    assert (answer.status_code, answer.data["errors"][0]["field"]) == (400, "token")
    row.refresh_from_db()
    assert row.status == "failed"


def test_import_can_be_cancelled_while_it_runs(
    hub: FakeHub, cast: Cast, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FR-001e: the worker stops at its next file; what it had fetched goes."""
    ada = api(cast.ada)
    row = start(ada).data
    path = f"/catalog/models/imports/{row['id']}"
    answers: list[int] = []
    inside = import_run.__globals__
    fetch = inside["_fetch"]

    def cancelling(*arguments: Any) -> Any:
        if not answers:
            answers.append(ada.delete(path).status_code)
        return fetch(*arguments)

    monkeypatch.setitem(inside, "_fetch", cancelling)
    assert work(row) == "cancelled"
    assert answers == [200]
    commit_now()
    assert not ModelEntry.objects.exists()
    assert store().list("incoming") == []
    assert ada.delete(path).status_code == 409
    assert ada.get(f"/operations/{row['operationId']}").data["status"] == "cancelled"


def test_hostile_cards_do_not_stop_an_import(hub: FakeHub, cast: Cast, api: Api) -> None:
    """FR-001e: an unreadable front matter is noted; the model comes without it."""
    bomb = "---\na: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n---\ntext"
    hub.repositories[REPO].files["README.md"] = bomb.encode()
    hub.repositories[REPO].files["config.json"] = config()
    ada = api(cast.ada)
    done = finish(ada, start(ada))
    assert done["status"] == "succeeded"
    model = ModelEntry.objects.get()
    assert "license" not in model.metadata
    assert model.metadata["huggingface_model_id"] == REPO


@pytest.mark.s3
def test_import_into_an_s3_store(hub: FakeHub, cast: Cast, api: Api, settings: Any, s3_server: Any) -> None:
    """FR-001e: the same where files lie in S3; and a bundle of it."""
    parts = urlsplit(s3_server.endpoint)
    settings.STORAGE_URL = f"s3://{s3_server.access_key}:{s3_server.secret_key}@{parts.netloc}/import-test?tls=false"
    found = store()
    assert isinstance(found, S3Store)
    found.storage.connection.meta.client.create_bucket(Bucket="import-test")
    ada = api(cast.ada)
    done = finish(ada, start(ada))
    assert done["status"] == "succeeded", done["message"]
    model = ModelEntry.objects.get()
    assert model.scan_status == "safe"
    assert found.list("incoming") == []
    for file in model.files.all():
        with found.open(file.storage_key) as content:
            assert hashlib.sha256(content.read()).hexdigest() == file.sha256
    operation = ada.post(f"/catalog/models/{model.pk}/export").data
    commit_now()
    result = ada.get(f"/operations/{operation['id']}").data["result"]
    bundle = b"".join(ada.get(result["download"]).streaming_content)
    assert hashlib.sha256(bundle).hexdigest() == result["sha256"]
