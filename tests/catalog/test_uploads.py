"""FR-001a: model files by uploads in pieces, on the file system and on S3."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from apps.catalog.models import ModelEntry
from apps.core import clock
from apps.core.models import Operation, UploadSession, UploadStatus
from apps.core.storage import store
from apps.core.uploads import finishing, sessions, tasks
from tests.catalog.files import model_files
from tests.catalog.support import EXTERNAL, make_model
from tests.support.cast import ApiClient, Cast, commit_now
from tests.support.uploads import begin, piece, send

pytestmark = pytest.mark.django_db
Api = Callable[..., ApiClient]


def base_of(model: ModelEntry) -> str:
    """The model's address."""
    return f"/catalog/models/{model.pk}"


def test_ada_can_upload_a_model_in_pieces(cast: Cast, api: Api) -> None:
    """FR-001a: several files in pieces, taken together, hashed and scanned; repeated completion changes nothing."""
    model = make_model(cast.ada, cast.support)
    ada, base = api(cast.ada), base_of(model)
    files = model_files()
    ids = [send(ada, base, name, content, step=40) for name, content in files.items()]
    done = ada.post(f"{base}/uploads/complete", {"uploadIds": ids})
    assert done.data["status"] == "succeeded", done.envelope
    assert {row["filename"]: row["checksum"] for row in done.data["result"]["uploadedFiles"]} == {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items()
    }
    assert ada.post(f"{base}/uploads/complete", {"uploadIds": ids}).data["id"] == done.data["id"]
    commit_now()
    model.refresh_from_db()
    assert model.scan_status == "safe"
    assert sorted(store().list(model.storage_prefix)) == sorted(model.storage_prefix + name for name in files)
    assert store().list("uploads") == []


def test_file_of_the_same_name_is_replaced_or_kept_whole(cast: Cast, api: Api, monkeypatch: Any) -> None:
    """FR-001a: a replacement that breaks in the middle leaves the earlier bytes and their row."""
    model = make_model(cast.ada, cast.support)
    ada, base = api(cast.ada), base_of(model)
    send(ada, base, "config.json", b'{"a": 1}')
    assert ada.post(f"{base}/uploads/complete").status_code == 200
    key = model.storage_prefix + "config.json"
    send(ada, base, "config.json", b'{"a": 2}')

    def broken(**_: Any) -> None:
        raise RuntimeError("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr("apps.catalog.services.uploads.scan_start", broken)
        assert ada.post(f"{base}/uploads/complete").status_code == 500
    assert b"".join(store().open_range(key, 0, 99)) == b'{"a": 1}'
    assert model.files.get().sha256 == hashlib.sha256(b'{"a": 1}').hexdigest()
    assert Operation.objects.order_by("created_at").last().message.startswith("Taking the files broke down")  # type: ignore[union-attr]
    assert ada.post(f"{base}/uploads/complete").status_code == 200
    assert b"".join(store().open_range(key, 0, 99)) == b'{"a": 2}'
    assert store().list("uploads") == []


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("evil.exe", 415),
        ("../model.safetensors", 400),
        ("model.safetensors\n", 400),
        ("CON.bin", 400),
        ("x" * 300, 400),
    ],
)
def test_bad_names_are_refused_before_the_first_byte(cast: Cast, api: Api, name: str, status: int) -> None:
    """FR-001a: what can never be a model file is not received."""
    model = make_model(cast.ada, cast.support)
    answer = api(cast.ada).post(f"{base_of(model)}/uploads", {"filename": name, "size": 10})
    assert answer.status_code == status, answer.envelope
    assert not UploadSession.objects.exists()


def test_nobody_uploads_where_they_may_not(cast: Cast, api: Api) -> None:
    """P-3, FR-001a: strangers see nothing, viewers are refused, external and approved models take no files."""
    body = {"filename": "config.json", "size": 10}
    model = make_model(cast.ada, cast.support)
    assert api(cast.eve).post(f"{base_of(model)}/uploads", body).status_code == 404
    assert api(cast.ben).post(f"{base_of(model)}/uploads", body).status_code == 403
    external = make_model(cast.ada, cast.support, name="far", type="external", metadata=EXTERNAL)
    assert api(cast.ada).post(f"{base_of(external)}/uploads", body).status_code == 409
    approved = make_model(cast.ada, cast.support, name="done")
    approved.status, approved.digest = "approved", "0" * 64
    approved.save()
    assert api(cast.ada).post(f"{base_of(approved)}/uploads", body).status_code == 409
    assert api(cast.ada).post("/catalog/models/nonsense/uploads", body).status_code == 404


@pytest.mark.s3
def test_pieces_go_to_s3_as_parts(cast: Cast, api: Api, s3_store: str, settings: Any) -> None:
    """FR-001a: parts of a multipart upload, with pieces that fit no part, repeated pieces and a resumed tail."""
    model = make_model(cast.ada, cast.support)
    ada, base = api(cast.ada), base_of(model)
    content = bytes(range(256)) * 4096 * 19 + b"end"  # 19 MiB and a bit: two whole parts and a rest
    step = 5 * 1024 * 1024 + 12_345
    path = begin(ada, base, "model.bin", len(content))
    for start in range(0, len(content), step):
        part = content[start : start + step]
        assert piece(ada, path, start, b"?" * len(part), checksum=b"!").status_code == 460
        assert piece(ada, path, start, part, checksum=part).status_code == 200
    settings.UPLOAD_INLINE_BYTES = 1_000
    queued = ada.post(f"{base}/uploads/complete")
    assert queued.data["status"] == "queued"
    finishing.upload_finish_run(queued.data["id"])
    operation = Operation.objects.get(pk=queued.data["id"])
    assert operation.status == "succeeded", operation.message
    row = model.files.get()
    assert (row.size, row.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert b"".join(store().open_range(row.storage_key, 0, row.size)) == content
    assert store().list("uploads") == []


@pytest.mark.s3
def test_abandoned_parts_leave_s3(cast: Cast, api: Api, s3_store: str) -> None:
    """FR-001a: cancelled and expired uploads leave no parts behind that would be paid for."""
    model = make_model(cast.ada, cast.support)
    ada, base = api(cast.ada), base_of(model)
    given_up = begin(ada, base, "model.bin", 20_000_000)
    piece(ada, given_up, 0, b"x" * 9_000_000)
    forgotten = begin(ada, base, "other.bin", 20_000_000)
    piece(ada, forgotten, 0, b"x" * 100)
    client: Any = store().storage.connection.meta.client  # type: ignore[attr-defined]
    assert len(client.list_multipart_uploads(Bucket=s3_store).get("Uploads", [])) == 2
    assert len(store().list("uploads")) == 2
    assert ada.delete(given_up).status_code == 200
    with clock.frozen(clock.now() + timedelta(hours=25)):
        tasks.uploads_reconcile()
    assert {row.status for row in UploadSession.objects.all()} == {UploadStatus.CANCELLED, UploadStatus.EXPIRED}
    assert client.list_multipart_uploads(Bucket=s3_store).get("Uploads", []) == []
    assert store().list("uploads") == []


@pytest.mark.s3
def test_small_files_on_s3_are_one_part(cast: Cast, api: Api, s3_store: str) -> None:
    """FR-001a: also a file below the least size of a part; a second run of a broken completion finds it done."""
    model = make_model(cast.ada, cast.support)
    ada, base = api(cast.ada), base_of(model)
    upload_id = send(ada, base, "config.json", b'{"model_type": "llama"}', step=7)
    sessions.part_store().finish(UploadSession.objects.get(pk=upload_id))
    assert ada.post(f"{base}/uploads/complete").status_code == 200
    assert model.files.get().sha256 == hashlib.sha256(b'{"model_type": "llama"}').hexdigest()
