"""FR-001e: unmodified clients of the Hugging Face Hub pull approved models from the portal, and nothing else."""

from __future__ import annotations

import hashlib
import re
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from typing import cast as cast_to
from urllib.parse import urlsplit

import pytest
from a2wsgi import WSGIMiddleware
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.accounts.services import token_issue
from apps.catalog import registry, services
from apps.core import clock
from apps.core.integrity import BytesChanged
from apps.core.models import AuditEvent
from apps.core.permissions import Scope
from apps.core.sending import SendingMiddleware
from apps.core.storage import S3Store, store_at
from apps.governance.services import policy_create
from tests.catalog.files import model_files, safetensors
from tests.catalog.support import make_approved, make_ready, share
from tests.support.asgi_server import AsgiServer
from tests.support.cast import Cast
from tests.support.hub_client import ask


@pytest.fixture(autouse=True)
def only_own_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gates of higher apps are tested there."""
    monkeypatch.setattr(registry, "_gates", [])


@pytest.fixture
def hub(transactional_db: None, tmp_path: Path) -> Iterator[str]:
    """The portal on a port, as the one-port server runs it; the address to give to clients."""
    server = AsgiServer(SendingMiddleware(WSGIMiddleware(cast_to("Any", get_wsgi_application()), workers=8))).start()
    yield f"{server.url}/hf"
    server.stop()


def token(user: User, *scopes: Scope) -> str:
    """A bearer value."""
    expires = clock.now() + timedelta(hours=1)
    return token_issue(user=user, name="pull", scopes=scopes or (Scope.READ,), expires_at=expires).value


def big_files() -> dict[str, bytes]:
    """A model whose weights go out in several pieces."""
    data = bytes(range(256)) * 13_000
    tensors = {"weight": {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}}
    return model_files(**{"model.safetensors": safetensors(tensors, data)})


EVERYTHING = [
    "whoami", "model_info", "list_repo_files", "paths_info", "refs", "list_models", "file_exists", "repo_exists",
    "auth_check", "resolve_revision", "download", "ranged", "resumed", "snapshot", "verify",
]  # fmt: skip


@pytest.mark.slow
def test_unmodified_client_can_pull_an_approved_model(hub: str, cast: Cast, tmp_path: Path) -> None:
    """FR-001e: whoami, info, lists, single files, ranges, resumed and whole downloads, by version and as main."""
    files = big_files()
    model = make_approved(cast, files=files)
    weights = files["model.safetensors"]
    said = ask(
        hub, token(cast.ada), tmp_path, repo="support/support-base", calls=EVERYTHING,
        begin=weights[:1_000].hex(), size=len(weights),
    )  # fmt: skip
    assert said["whoami"] == "ada"
    info = said["model_info"]
    assert (info["id"], info["private"]) == ("support/support-base", True)
    assert re.fullmatch("[0-9a-f]{40}", info["sha"])
    assert model.digest.startswith(info["sha"])
    assert info["files"]["model.safetensors"] == [len(weights), hashlib.sha256(weights).hexdigest()]
    assert info["card"]["license"] == "Apache-2.0"
    assert said["list_repo_files"] == ["README.md", *sorted(files)]
    assert said["paths_info"] == ["config.json"]
    assert said["refs"] == ["1.0"]
    assert said["list_models"] == ["support/support-base"]
    assert said["file_exists"] == [True, False]
    assert said["repo_exists"] is True
    assert said["auth_check"] is None
    assert said["resolve_revision"] == info["sha"]
    assert said["download"]["sha256"] == hashlib.sha256(files["config.json"]).hexdigest()
    assert said["ranged"] == [206, f"bytes 8-15/{len(weights)}", weights[8:16].hex()]
    assert said["resumed"] == hashlib.sha256(weights).hexdigest()
    pulled = dict(said["snapshot"])
    assert pulled.pop("README.md")
    assert pulled == {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    assert said["verify"] == 0

    trail = AuditEvent.objects.filter(action="catalog.model.downloaded", actor=cast.ada)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(
        trail.values_list("metadata__filename", flat=True)
    )
    assert trail.filter(metadata__bytes="8-15").count() == 1
    config = trail.filter(metadata__filename="config.json").first()
    assert config is not None
    assert "hf_hub/" in config.metadata["agent"]


@pytest.mark.slow
def test_unmodified_client_can_choose_the_version(hub: str, cast: Cast, tmp_path: Path) -> None:
    """FR-001e: a revision is a version or a commit; ``main`` is the newest approved one; transformers can read it."""
    old = make_approved(cast)
    new = make_approved(cast, version="1.1", files=big_files())
    make_ready(cast.ada, cast.support, version="2.0")
    ada = token(cast.ada)
    repo = "support/support-base"
    assert ask(hub, ada, tmp_path / "a", repo=repo, calls=["model_info"])["model_info"]["sha"] == new.digest[:40]
    for revision in ("v1.0.0", old.digest[:40]):
        said = ask(hub, ada, tmp_path / "b", repo=repo, calls=["model_info", "auto_config"], revision=revision)
        assert said["model_info"]["sha"] == old.digest[:40]
        assert said["auto_config"] == "llama"
    for revision in ("2.0", "refs/pr/1", "f" * 40):
        said = ask(hub, ada, tmp_path / "c", repo=repo, calls=["model_info", "snapshot"], revision=revision)
        assert said["model_info"]["error"] == "RevisionNotFoundError", revision


@pytest.mark.slow
def test_transformers_loads_an_approved_model_from_the_portal(
    hub: str, cast: Cast, tmp_path: Path, tiny_model_dir: Path
) -> None:
    """FR-001e: tokenizer and weights of a real model, by nothing but its name; the loaded model writes."""
    files = {path.name: path.read_bytes() for path in tiny_model_dir.iterdir() if path.is_file()}
    model = make_approved(cast, name="tiny", files=files)
    said = ask(hub, token(cast.ada), tmp_path, repo="support/tiny", calls=["auto_model"])
    parameters, length = said["auto_model"]
    assert parameters >= (model.parameter_count or 0) > 1_000_000
    assert length > 3


@pytest.mark.slow
def test_unmodified_client_cannot_pull_unapproved_or_invisible_models(hub: str, cast: Cast, tmp_path: Path) -> None:
    """FR-001e, P-3: drafts, other teams' models and bad tokens read as not found, in the client's own errors."""
    make_ready(cast.ada, cast.support, name="draft-model")
    approved = make_approved(cast)
    calls = ["model_info", "list_repo_files", "download", "snapshot"]
    missing = dict.fromkeys(calls, "RepositoryNotFoundError")

    def errors(user: User, repo: str, *scopes: Scope) -> dict[str, str]:
        said = ask(hub, token(user, *scopes), tmp_path, repo=repo, calls=calls)
        return {name: answer["error"] for name, answer in said.items()}

    assert errors(cast.ada, "support/draft-model") == missing
    assert errors(cast.eve, "support/support-base") == missing
    share(approved)
    shared = ask(hub, token(cast.eve), tmp_path / "e", repo="support/support-base", calls=["snapshot"])
    assert set(shared["snapshot"]) == {"README.md", *model_files()}, "open to the organisation once approved"
    services.model_reopen(actor=cast.ada, model_id=approved.pk)
    assert errors(cast.ada, "support/support-base") == missing, "its approval has lapsed"

    nobody = ask(hub, "llmops_wrong", tmp_path / "n", repo="support/support-base", calls=["whoami", "model_info"])
    assert nobody["whoami"]["message"].startswith("Invalid user token")
    assert nobody["model_info"]["error"] == "HfHubHTTPError"
    anonymous = ask(hub, "", tmp_path / "o", repo="support/support-base", calls=["model_info"])
    assert anonymous["model_info"]["error"] == "RepositoryNotFoundError"


def make_path(name: str = "model.safetensors", revision: str = "main") -> str:
    """The address of a file."""
    return f"/hf/support/support-base/resolve/{revision}/{name}"


Page = Callable[[User | None], Any]


def test_changed_bytes_are_never_completed(cast: Cast, api: Any, media: Path) -> None:
    """FR-001e: what differs from the approved bytes is not delivered; the approval ends by it and leaves a trace."""
    model = make_approved(cast, files=big_files())
    caller = api(cast.ada)
    path = media / model.storage_prefix / "model.safetensors"
    good = path.read_bytes()
    whole = caller.client.get(make_path(), headers=caller.headers)
    assert b"".join(whole.streaming_content) == good
    bad = bytearray(good)
    bad[5_000] ^= 1
    path.write_bytes(bad)
    answer = caller.client.get(make_path(), headers=caller.headers)
    got = bytearray()
    with pytest.raises(BytesChanged, match="not the one that was registered"):
        got.extend(byte for piece in answer.streaming_content for byte in piece)
    assert len(got) < len(good)
    assert AuditEvent.objects.filter(action="catalog.model.file_changed").count() == 1
    model.refresh_from_db()
    assert model.status == "draft"
    assert caller.client.get(make_path(), headers=caller.headers).status_code == 404


def test_cut_file_is_not_sent_at_all(cast: Cast, api: Any, media: Path) -> None:
    """FR-001e: a size that differs is seen before the first byte, also by HEAD."""
    model = make_approved(cast)
    caller = api(cast.ada)
    path = media / model.storage_prefix / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert caller.client.head(make_path(), headers=caller.headers).status_code == 502
    assert AuditEvent.objects.filter(action="catalog.model.file_changed").count() == 1


@pytest.mark.parametrize(
    ("header", "status", "content_range"),
    [
        ("bytes=0-0", 206, "bytes 0-0/{size}"),
        ("bytes=-4", 206, "bytes {tail}-{last}/{size}"),
        ("bytes=10-", 206, "bytes 10-{last}/{size}"),
        ("bytes=0-99999999", 206, "bytes 0-{last}/{size}"),
        ("bytes={size}-", 416, "bytes */{size}"),
        ("bytes=-0", 416, "bytes */{size}"),
        ("bytes=9-2", 200, ""),
        ("bytes=0-1,4-5", 200, ""),
        ("bytes=", 200, ""),
        ("bytes=-", 200, ""),
        ("rows=1-2", 200, ""),
        ("bytes=٣-٤", 200, ""),
        ("bytes=" + "9" * 400 + "-", 200, ""),
    ],
)
def test_client_can_ask_for_ranges(cast: Cast, api: Any, header: str, status: int, content_range: str) -> None:
    """FR-001e: well-formed ranges are honoured, nonsense is ignored, what lies outside is 416; HEAD says the same."""
    make_approved(cast)
    size = len(model_files()["model.safetensors"])
    numbers = {"size": size, "last": size - 1, "tail": size - 4}
    caller = api(cast.ada, scopes=[Scope.READ])
    for verb in ("get", "head"):
        answer = getattr(caller.client, verb)(
            make_path(), headers={**caller.headers, "Range": header.format(**numbers)}
        )
        assert answer.status_code == status
        assert answer.headers.get("Content-Range", "") == content_range.format(**numbers)
        if status != 416:
            assert answer.headers["X-Linked-Size"] == str(size)
            assert re.fullmatch('"[0-9a-f]{64}"', answer.headers["ETag"])
        if verb == "get" and status == 206:
            assert len(b"".join(answer.streaming_content)) == int(answer.headers["Content-Length"])


@pytest.mark.s3
def test_files_leave_an_s3_store(cast: Cast, api: Any, settings: Any, s3_server: Any) -> None:
    """FR-001e: the same from S3: whole, in part, and checked."""
    parts = urlsplit(s3_server.endpoint)
    settings.STORAGE_URL = f"s3://{s3_server.access_key}:{s3_server.secret_key}@{parts.netloc}/hub-test?tls=false"
    found = store_at(settings.STORAGE_URL)
    assert isinstance(found, S3Store)
    found.storage.connection.meta.client.create_bucket(Bucket="hub-test")
    files = big_files()
    model = make_approved(cast, files=files)
    caller = api(cast.ada)
    whole = caller.client.get(make_path(), headers=caller.headers)
    assert b"".join(whole.streaming_content) == files["model.safetensors"]
    part = caller.client.get(make_path(), headers={**caller.headers, "Range": "bytes=100-2000099"})
    assert b"".join(part.streaming_content) == files["model.safetensors"][100:2_000_100]
    changed = bytearray(files["config.json"])
    changed[-2] ^= 1
    found.put(model.storage_prefix + "config.json", iter([bytes(changed)]))
    refused = caller.client.get(make_path("config.json"), headers=caller.headers)
    with pytest.raises(BytesChanged):
        b"".join(refused.streaming_content)


def test_known_file_is_not_sent_again(cast: Cast, api: Any) -> None:
    """FR-001e: If-None-Match answers 304; If-Range with another ETag sends the whole."""
    make_approved(cast)
    caller = api(cast.ada)
    etag = caller.client.head(make_path(), headers=caller.headers).headers["ETag"]
    again = caller.client.get(make_path(), headers={**caller.headers, "If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    stale = caller.client.get(make_path(), headers={**caller.headers, "Range": "bytes=1-2", "If-Range": '"old"'})
    assert stale.status_code == 200


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/hf/support/support-base/resolve/main/nope.json", "EntryNotFound"),
        ("/hf/support/support-base/resolve/9.9/config.json", "RevisionNotFound"),
        ("/hf/support/support-base/resolve/main/../config.json", "EntryNotFound"),
        ("/hf/support/nobody/resolve/main/config.json", "RepoNotFound"),
        ("/hf/support/sup%00port/resolve/main/config.json", "RepoNotFound"),
        ("/hf/nowhere/support-base/resolve/main/config.json", "RepoNotFound"),
        ("/hf/api/models/support/support-base/tree/main/folder", "EntryNotFound"),
        ("/hf/api/datasets/support/x", "RepoNotFound"),
        ("/hf/api/models/support/support-base/revision/%00", "RevisionNotFound"),
    ],
)
def test_what_is_not_there_is_said_in_the_hubs_words(cast: Cast, api: Any, path: str, code: str) -> None:
    """FR-001e: 404 with the code that clients tell errors apart by."""
    make_approved(cast)
    caller = api(cast.ada)
    answer = caller.client.get(path, headers=caller.headers)
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, code)
    assert answer.json()["error"]


def test_tokens_need_the_read_scope_and_sessions_do_not_count(cast: Cast, api: Any, page: Page) -> None:
    """FR-001e, P-2: bearer tokens only; without 'read' nothing; a session identifies nobody here."""
    make_approved(cast)
    narrow = api(cast.ada, scopes=[Scope.INFERENCE])
    assert narrow.client.get(make_path(), headers=narrow.headers).status_code == 403
    answer = page(cast.ada).get(make_path())
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    elsewhere = api(cast.dana, team=cast.research)
    assert elsewhere.client.get(make_path(), headers=elsewhere.headers).status_code == 404, "token of another team"


def test_pulling_what_changed_since_its_approval_is_refused(cast: Cast, api: Any) -> None:
    """FR-001e: the digest that was approved must still be the model's."""
    model = make_approved(cast)
    type(model).objects.filter(pk=model.pk).update(metadata={**model.metadata, "purpose": "something else"})
    caller = api(cast.ada)
    answer = caller.client.get(make_path(), headers=caller.headers)
    assert answer.status_code == 422
    assert "changed since it was approved" in answer.headers["X-Error-Message"]


def test_names_outside_the_hubs_alphabet_can_be_pulled(cast: Cast, api: Any) -> None:
    """FR-001e: a name that the clients would refuse is reachable under one they accept, unless two share it."""
    caller = api(cast.ada)
    make_approved(cast, name="Support model (v2)")
    path = "/hf/api/models/support/Support-model-v2"
    assert caller.client.get(path, headers=caller.headers).json()["id"] == "support/Support-model-v2"
    make_approved(cast, name="Support model [v2]")
    assert caller.client.get(path, headers=caller.headers).status_code == 404


def test_list_is_paged_by_link(cast: Cast, api: Any) -> None:
    """FR-001e: the next page stands in the Link header; nonsense is a 400."""
    for number in range(3):
        make_approved(cast, name=f"model-{number}")
    caller = api(cast.ada)
    first = caller.client.get("/hf/api/models?limit=2&search=model", headers=caller.headers)
    assert [row["id"] for row in first.json()] == ["support/model-0", "support/model-1"]
    found = re.fullmatch(r'<(.*)>; rel="next"', first.headers["Link"])
    assert found is not None
    second = caller.client.get(found.group(1).partition("testserver")[2], headers=caller.headers)
    assert [row["id"] for row in second.json()] == ["support/model-2"]
    assert caller.client.get("/hf/api/models?limit=x", headers=caller.headers).status_code == 400
    odd = caller.client.get("/hf/api/models?author=%00support&search=%00", headers=caller.headers)
    assert len(odd.json()) == 3


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b'{"paths": "x"}', "application/json"),
        (b'{"paths": [1]}', "application/json"),
        (b"[" * 100_000, "application/json"),
        (b"x", "multipart/form-data"),
        (b"x", "multipart/form-data; boundary=\xff"),
        (b"paths=a&" * 1_001, "application/x-www-form-urlencoded"),
    ],
)
def test_unreadable_questions_about_paths_are_refused(cast: Cast, api: Any, body: bytes, kind: str) -> None:
    """FR-001e: 400 in the Hub's form."""
    make_approved(cast)
    caller = api(cast.ada)
    path = "/hf/api/models/support/support-base/paths-info/main"
    answer = caller.client.post(path, body, content_type=kind, headers=caller.headers)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_policy_can_forbid_pulling(cast: Cast, api: Any) -> None:
    """FR-010: an active policy counts here too; the denial names it and is audited."""
    make_approved(cast)
    rules = {"allowed_actions": ["list", "create"]}
    policy_create(actor=cast.dana, name="No weights leave", scope="catalog", status="active", rules=rules)
    caller = api(cast.ada)
    answer = caller.client.get(make_path(), headers=caller.headers)
    assert answer.status_code == 403
    assert "No weights leave" in answer.headers["X-Error-Message"]
    assert AuditEvent.objects.filter(result="denied", metadata__policy="No weights leave").exists()


def test_sending_a_file_keeps_memory_and_queries_bounded(cast: Cast, api: Any) -> None:
    """FR-001e: a piece at a time, and the same few queries whatever the model's size."""
    zeros = bytes(48_000_000)
    tensors = {"weight": {"dtype": "U8", "shape": [len(zeros)], "data_offsets": [0, len(zeros)]}}
    files = model_files(**{"model.safetensors": safetensors(tensors, zeros)})
    make_approved(cast, files={**files, **{f"extra-{number}.json": b"{}" for number in range(30)}})
    caller = api(cast.ada)
    caller.client.head(make_path(), headers=caller.headers)
    with CaptureQueriesContext(connection) as queries:
        answer = caller.client.get(make_path(), headers=caller.headers)
    assert len(queries) <= 14, [query["sql"][:90] for query in queries]
    tracemalloc.start()
    size = sum(len(piece) for piece in answer.streaming_content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > len(zeros)
    assert peak < 8_000_000
