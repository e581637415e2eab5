"""FR-003a: datasets by uploads in pieces — resumable, checked, all or none, swept when abandoned."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from apps.core import clock
from apps.core.models import AuditEvent, Operation, UploadSession, UploadStatus
from apps.core.storage import store
from apps.core.uploads import finishing, parts, sessions, tasks
from apps.datasets import services
from apps.datasets.models import Dataset
from tests.factories.datasets import clean_rows, make_approved_dataset, make_dataset, rows_bytes
from tests.support.cast import ApiClient, Cast, commit_now
from tests.support.uploads import begin, piece, send

pytestmark = pytest.mark.django_db
Api = Callable[..., ApiClient]
ROWS = rows_bytes(clean_rows(200))


def base_of(dataset: Dataset) -> str:
    """The dataset's address."""
    return f"/catalog/datasets/{dataset.pk}"


@pytest.fixture
def draft(cast: Cast) -> Dataset:
    """Ada's draft without files."""
    return make_dataset(cast.ada, rows=[])


def bytes_left() -> list[str]:
    """What lies in the place of uploads."""
    return store().list("uploads")


def test_ada_can_upload_in_pieces_and_resume(cast: Cast, api: Api, draft: Dataset) -> None:
    """FR-003a: pieces follow each other; after a break HEAD says where to go on; complete takes the file."""
    ada, base = api(cast.ada), base_of(draft)
    path = begin(ada, base, "rows.jsonl", len(ROWS), sha256=hashlib.sha256(ROWS).hexdigest())
    first = piece(ada, path, 0, ROWS[:4_000], checksum=ROWS[:4_000])
    assert (first.data["offset"], first.data["status"]) == (4_000, "receiving")
    assert first.headers["Upload-Offset"] == "4000"
    head = ada.client.head(ada._path(path), headers=ada.headers)
    assert (head.headers["Upload-Offset"], head.headers["Upload-Length"]) == ("4000", str(len(ROWS)))
    assert head.headers["Cache-Control"] == "no-store"
    last = piece(ada, path, 4_000, ROWS[4_000:])
    assert (last.data["status"], last.data["progress"]) == ("received", 100)
    assert Dataset.objects.get(pk=draft.pk).files.count() == 0
    done = ada.post(f"{base}/uploads/complete", {"uploadIds": [last.data["id"]]})
    assert done.status_code == 200, done.envelope
    assert (done.data["status"], done.data["kind"]) == ("succeeded", "dataset.upload")
    assert done.data["result"]["rows"] == 200
    assert done.data["result"]["uploadedFiles"][0]["checksum"] == hashlib.sha256(ROWS).hexdigest()
    commit_now()
    taken = Dataset.objects.get(pk=draft.pk)
    assert (taken.row_count, taken.pii_scan_status) == (200, "clean")
    assert taken.files.get().storage_key.startswith(f"datasets/{draft.pk}/1.0/files/")
    assert bytes_left() == []
    again = ada.post(f"{base}/uploads/complete", {"uploadIds": [last.data["id"]]})
    assert again.data["id"] == done.data["id"]
    assert Dataset.objects.get(pk=draft.pk).files.count() == 1


def test_pieces_must_follow_each_other(cast: Cast, api: Api, draft: Dataset) -> None:
    """FR-003a: a gap or a repetition is a 409 that says where to go on; too much is refused before it is read."""
    ada, path = api(cast.ada), ""
    path = begin(ada, base_of(draft), "rows.jsonl", 100)
    assert piece(ada, path, 0, b"x" * 40).status_code == 200
    for offset in (0, 39, 41, 100):
        wrong = piece(ada, path, offset, b"y" * 10)
        assert wrong.status_code == 409
        assert wrong.headers["Upload-Offset"] == "40"
        assert wrong.data["errors"][0]["code"] == "offset_mismatch"
    long = piece(ada, path, 40, b"y" * 61)
    assert long.status_code == 400
    assert "100" in long.envelope["message"]
    assert piece(ada, path, 40, b"y" * 60).data["status"] == "received"
    assert piece(ada, path, 100, b"y").status_code == 409


@pytest.mark.parametrize(
    ("offset", "headers", "status", "field"),
    [
        (None, {}, 400, "uploadOffset"),
        ("-1", {}, 400, "Upload-Offset"),
        ("1e3", {}, 400, "Upload-Offset"),
        ("٣", {}, 400, "Upload-Offset"),
        ("9" * 30, {}, 400, "Upload-Offset"),
        (0, {"Upload-Checksum": "crc32 AAAA"}, 400, "uploadChecksum"),
        (0, {"Upload-Checksum": "sha256 !!!"}, 400, "uploadChecksum"),
        (0, {"Upload-Checksum": "sha256 AAAA"}, 460, "uploadChecksum"),
        (0, {"Content-Type": "application/json"}, 415, ""),
    ],
)
def test_bad_piece_is_told_by_its_header(
    cast: Cast, api: Api, draft: Dataset, offset: Any, headers: dict[str, str], status: int, field: str
) -> None:
    """P-1: each header that is missing or nonsense is named, and nothing is kept."""
    ada = api(cast.ada)
    path = begin(ada, base_of(draft), "rows.jsonl", 100)
    answer = piece(ada, path, offset, b"x" * 10, headers=headers)
    assert answer.status_code == status, answer.envelope
    if field:
        assert answer.data["errors"][0]["field"] == field
    assert ada.get(path).data["offset"] == 0


def test_wrong_checksum_keeps_nothing(cast: Cast, api: Api, draft: Dataset) -> None:
    """FR-003a: a piece that is not what its checksum says is a 460; the same piece can be sent again."""
    ada = api(cast.ada)
    path = begin(ada, base_of(draft), "rows.jsonl", len(ROWS))
    assert piece(ada, path, 0, ROWS[:1_000]).status_code == 200
    assert piece(ada, path, 1_000, b"z" * 500, checksum=b"y" * 500).status_code == 460
    assert ada.get(path).data["offset"] == 1_000
    assert piece(ada, path, 1_000, ROWS[1_000:], checksum=ROWS[1_000:]).data["status"] == "received"
    assert ada.post(f"{base_of(draft)}/uploads/complete").data["result"]["rows"] == 200


class Breaking(io.RawIOBase):
    """A connection that breaks after some bytes."""

    def __init__(self, data: bytes, error: bool) -> None:
        self.data, self.error = data, error

    def read(self, size: int = -1, /) -> bytes:
        part, self.data = self.data[:size], self.data[size:]
        if not part and self.error:
            raise ConnectionResetError
        return part


@pytest.mark.parametrize("error", [True, False])
def test_broken_connection_keeps_what_arrived(cast: Cast, draft: Dataset, error: bool) -> None:
    """FR-003a: what came before the break is there; with a checksum the piece counts whole or not at all."""
    session = sessions.upload_create(
        actor=cast.ada, target_type="dataset", target_id=draft.pk, filename="rows.jsonl", size=1_000
    )

    def append(checksum: sessions.Checksum | None) -> None:
        with suppress(sessions.ValidationFailed):
            sessions.upload_append(
                session=session,
                offset=session.offset,
                stream=Breaking(b"x" * 300, error),
                length=900,
                checksum=checksum,
            )
        session.refresh_from_db()

    append(sessions.Checksum("sha256", b""))
    assert session.offset == 0
    append(None)
    assert session.offset == 300
    assert (session.status, session.writer) == (UploadStatus.RECEIVING, "")


def test_newer_request_takes_over_from_a_hanging_one(cast: Cast, draft: Dataset) -> None:
    """FR-003a: a client that comes back while its old connection hangs goes on; the old one writes nothing more."""
    session = sessions.upload_create(
        actor=cast.ada, target_type="dataset", target_id=draft.pk, filename="rows.jsonl", size=20
    )

    class Hanging(io.RawIOBase):
        sent = False

        def read(self, size: int = -1, /) -> bytes:
            if self.sent:
                return b""
            self.sent = True
            fresh = UploadSession.objects.get(pk=session.pk)
            sessions.upload_append(session=fresh, offset=0, stream=io.BytesIO(b"b" * 20), length=20)
            return b"a" * 20

    with pytest.raises(sessions.Conflict) as caught:
        sessions.upload_append(session=session, offset=0, stream=Hanging(), length=20)
    assert caught.value.code == "replaced"
    assert b"".join(store().open_range(session.key, 0, 20)) == b"b" * 20


@pytest.mark.parametrize(
    ("fields", "status", "field"),
    [
        ({"filename": "rows.exe", "size": 5}, 400, "files"),
        ({"filename": "../../etc/rows.csv", "size": 5}, 400, "files"),
        ({"filename": "a\u202evsc.csv", "size": 5}, 400, "files"),
        ({"filename": "", "size": 5}, 400, "filename"),
        ({"filename": "rows.csv"}, 400, "size"),
        ({"filename": "rows.csv", "size": 0}, 400, "size"),
        ({"filename": "rows.csv", "size": -5}, 400, "size"),
        ({"filename": "rows.csv", "size": 2**61}, 413, "size"),
        ({"filename": "rows.csv", "size": 5, "sha256": "zz"}, 400, "sha256"),
    ],
)
def test_bad_announcement_names_the_field(
    cast: Cast, api: Api, draft: Dataset, fields: dict[str, Any], status: int, field: str
) -> None:
    """P-1, FR-003a: names, sizes and digests are checked before the first byte."""
    answer = api(cast.ada).post(f"{base_of(draft)}/uploads", fields)
    assert answer.status_code == status, answer.envelope
    assert answer.data["errors"][0]["field"] == field
    assert not UploadSession.objects.exists()


def test_files_that_are_not_what_was_announced_are_refused(cast: Cast, api: Api, draft: Dataset) -> None:
    """FR-003a: a digest given at the beginning is held against what arrived; the upload is over then."""
    ada, base = api(cast.ada), base_of(draft)
    path = begin(ada, base, "rows.jsonl", len(ROWS), sha256="0" * 64)
    piece(ada, path, 0, ROWS)
    answer = ada.post(f"{base}/uploads/complete")
    assert answer.status_code == 400
    assert answer.data["errors"][0]["code"] == "checksum_mismatch"
    assert ada.get(path).data["status"] == "cancelled"
    assert bytes_left() == []


def test_mistakes_leave_the_files_as_received(cast: Cast, api: Api, draft: Dataset) -> None:
    """FR-003a: of several files one is bad: nothing is taken, and the good one need not be sent again."""
    ada, base = api(cast.ada), base_of(draft)
    good = send(ada, base, "good.jsonl", ROWS)
    bad = send(ada, base, "bad.jsonl", ROWS + b"nonsense\n")
    refused = ada.post(f"{base}/uploads/complete", {"uploadIds": [good, bad]})
    assert refused.status_code == 400
    assert "bad.jsonl, line 201" in refused.data["errors"][0]["message"]
    assert Dataset.objects.get(pk=draft.pk).row_count is None
    assert not store().list("datasets")
    operation = Operation.objects.get(kind="dataset.upload")
    assert (operation.status, operation.result["errors"][0]["code"]) == ("failed", "bad_json")
    assert ada.delete(f"{base}/uploads/{bad}").status_code == 200
    better = send(ada, base, "better.jsonl", rows_bytes(clean_rows(3)))
    done = ada.post(f"{base}/uploads/complete", {"uploadIds": [good, better]})
    assert done.data["result"]["rows"] == 203


def test_complete_needs_all_bytes_and_own_uploads(cast: Cast, api: Api, draft: Dataset) -> None:
    """FR-003a: missing bytes and unknown uploads are named; nothing received is said so."""
    ada, base = api(cast.ada), base_of(draft)
    assert ada.post(f"{base}/uploads/complete").status_code == 409
    path = begin(ada, base, "rows.jsonl", 100)
    answer = ada.post(f"{base}/uploads/complete", {"uploadIds": [path.rpartition("/")[2]]})
    assert answer.status_code == 409
    assert "100 of 100 bytes" in answer.envelope["message"]
    for wrong in ("00000000-0000-4000-8000-000000000000", "nonsense"):
        answer = ada.post(f"{base}/uploads/complete", {"uploadIds": [wrong]})
        assert (answer.status_code, answer.data["errors"][0]["field"]) == (400, "uploadIds")


def test_two_files_of_one_name_are_refused(cast: Cast, api: Api, draft: Dataset) -> None:
    """FR-003a: names are unique within one taking."""
    ada, base = api(cast.ada), base_of(draft)
    ids = [send(ada, base, "rows.jsonl", ROWS) for _ in range(2)]
    assert ada.post(f"{base}/uploads/complete", {"uploadIds": ids}).status_code in (400, 409)
    assert Dataset.objects.get(pk=draft.pk).row_count is None


def test_only_the_owner_of_an_upload_knows_it(cast: Cast, api: Api, draft: Dataset) -> None:
    """P-3: an upload is its creator's; who may not upload learns nothing; read-only tokens write nothing."""
    ada, base = api(cast.ada), base_of(draft)
    path = begin(ada, base, "rows.jsonl", 100)
    assert api(None).get(path).status_code == 401
    for person, code in ((cast.eve, 404), (cast.ben, 403), (cast.finn, 403), (cast.dana, 404)):
        client = api(person)
        assert client.get(path).status_code == code
        assert piece(client, path, 0, b"x").status_code == code
        assert client.delete(path).status_code == code
    assert api(cast.eve).post(f"{base}/uploads", {"filename": "a.csv", "size": 1}).status_code == 404
    assert api(cast.ben).post(f"{base}/uploads", {"filename": "a.csv", "size": 1}).status_code == 403
    reader = api(cast.ada, scopes=("read",))
    assert piece(reader, path, 0, b"x").status_code == 403
    assert ada.get(path).data["offset"] == 0
    assert [row["id"] for row in ada.get(f"{base}/uploads").data] == [path.rpartition("/")[2]]
    assert api(cast.dana).get(f"{base}/uploads").data == []


def test_approved_dataset_takes_no_uploads(cast: Cast, api: Api) -> None:
    """FR-003a: immutable once approved, also for an upload that began before."""
    approved = make_approved_dataset(cast)
    answer = api(cast.ada).post(f"{base_of(approved)}/uploads", {"filename": "a.csv", "size": 1})
    assert answer.status_code == 409


def test_ada_can_cancel(cast: Cast, api: Api, draft: Dataset) -> None:
    """FR-003a: cancelling removes the bytes, is audited, and is final."""
    ada = api(cast.ada)
    path = begin(ada, base_of(draft), "rows.jsonl", 100)
    piece(ada, path, 0, b"x" * 50)
    assert ada.delete(path).status_code == 200
    assert bytes_left() == []
    assert piece(ada, path, 50, b"x" * 50).status_code == 409
    assert ada.delete(path).status_code == 200
    actions = list(AuditEvent.objects.filter(resource_type="upload").values_list("action", flat=True))
    assert sorted(actions) == ["core.upload.cancelled", "core.upload.started"]


def test_abandoned_uploads_are_swept(cast: Cast, api: Api, draft: Dataset) -> None:
    """FR-003a: what nobody goes on with is removed after its time, audited; living uploads stay."""
    ada, base = api(cast.ada), base_of(draft)
    path = begin(ada, base, "rows.jsonl", 100)
    piece(ada, path, 0, b"x" * 50)
    received = send(ada, base, "whole.jsonl", ROWS)
    with clock.frozen(clock.now() + timedelta(hours=23)):
        assert tasks.uploads_reconcile() == 0
        session = UploadSession.objects.get(pk=path.rpartition("/")[2])
        sessions.upload_append(session=session, offset=50, stream=io.BytesIO(b"x" * 10), length=10)
    with clock.frozen(clock.now() + timedelta(hours=25)):
        assert tasks.uploads_reconcile() == 1
    assert UploadSession.objects.get(pk=received).status == UploadStatus.EXPIRED
    assert ada.get(path).data["offset"] == 60
    assert bytes_left() == [f"uploads/{path.rpartition('/')[2]}/data"]
    event = AuditEvent.objects.get(action="core.upload.expired")
    assert (event.actor_name, event.metadata["filename"]) == ("system", "whole.jsonl")
    with clock.frozen(clock.now() + timedelta(days=10)):
        tasks.uploads_reconcile()
    with clock.frozen(clock.now() + timedelta(days=20)):
        tasks.uploads_reconcile()
    assert not UploadSession.objects.exists()
    assert bytes_left() == []


def test_large_files_are_read_by_a_worker(cast: Cast, api: Api, draft: Dataset, settings: Any) -> None:
    """FR-003a: above the limit complete answers at once with an operation; the worker takes the files."""
    settings.UPLOAD_INLINE_BYTES = 1_000
    ada, base = api(cast.ada), base_of(draft)
    send(ada, base, "rows.jsonl", ROWS)
    queued = ada.post(f"{base}/uploads/complete").data
    assert (queued["status"], queued["targetId"]) == ("queued", str(draft.pk))
    assert Dataset.objects.get(pk=draft.pk).row_count is None
    again = ada.post(f"{base}/uploads/complete", {"uploadIds": [str(UploadSession.objects.get().pk)]})
    assert again.data["id"] == queued["id"]
    commit_now()
    done = ada.get(f"/operations/{queued['id']}").data
    assert (done["status"], done["progress"], done["result"]["rows"]) == ("succeeded", 100, 200)
    assert Dataset.objects.get(pk=draft.pk).pii_scan_status == "clean"


def test_plain_upload_above_the_limit_is_read_by_a_worker(cast: Cast, api: Api, draft: Dataset, settings: Any) -> None:
    """FR-003a: the multipart upload answers in its contract's shape and names the operation to poll."""
    settings.UPLOAD_INLINE_BYTES = 1_000
    ada, base = api(cast.ada), base_of(draft)
    answer = ada.upload(f"{base}/upload", {"rows.jsonl": ROWS})
    assert answer.status_code == 200, answer.envelope
    assert answer.data["uploadedFiles"] == [
        {"filename": "rows.jsonl", "size": len(ROWS), "checksum": hashlib.sha256(ROWS).hexdigest(), "rows": None}
    ]
    assert (answer.data["rows"], answer.data["checkId"]) == (None, None)
    commit_now()
    assert ada.get(f"/operations/{answer.data['operationId']}").data["status"] == "succeeded"
    assert ada.get(f"{base}/preview").data["statistics"]["totalRows"] == 200
    assert bytes_left() == []
    bad = ada.upload(f"{base}/upload", {"bad.jsonl": b"nonsense\n" * 150})
    commit_now()
    failed = ada.get(f"/operations/{bad.data['operationId']}").data
    assert failed["status"] == "failed"
    assert len(failed["result"]["errors"]) == 101
    assert ada.get(f"{base}/preview").data["statistics"]["totalRows"] == 200


def test_worker_that_loses_its_permission_takes_nothing(cast: Cast, api: Api, draft: Dataset, settings: Any) -> None:
    """P-3: the worker acts for the person and asks again; the denial is audited."""
    settings.UPLOAD_INLINE_BYTES = 1_000
    ada, base = api(cast.ada), base_of(draft)
    send(ada, base, "rows.jsonl", ROWS)
    queued = ada.post(f"{base}/uploads/complete").data
    cast.ada.memberships.exclude(role="viewer").delete()
    commit_now()
    assert Operation.objects.get(pk=queued["id"]).status == "failed"
    assert Dataset.objects.get(pk=draft.pk).row_count is None


def test_taking_survives_a_killed_worker(cast: Cast, api: Api, draft: Dataset, settings: Any, monkeypatch: Any) -> None:
    """P-8: a worker that dies after the bytes have moved and before the rows are written is followed by another."""
    settings.UPLOAD_INLINE_BYTES = 1_000
    ada, base = api(cast.ada), base_of(draft)
    upload_id = send(ada, base, "rows.jsonl", ROWS)
    operation_id = ada.post(f"{base}/uploads/complete").data["id"]
    connection.run_on_commit = []  # the message is lost
    session = UploadSession.objects.get(pk=upload_id)
    operation = Operation.objects.get(pk=operation_id)
    folder = f"{int(operation.created_at.timestamp()):x}-{operation.pk.hex[:8]}"
    parts.part_store().finish(session)
    session.sha256 = hashlib.sha256(ROWS).hexdigest()
    session.save()
    store().move(session.key, f"{draft.storage_prefix}/files/{folder}/rows.jsonl")
    Operation.objects.filter(pk=operation_id).update(status="running", updated_at=clock.now())
    assert finishing.uploads_resend() == 0
    with clock.frozen(clock.now() + timedelta(minutes=6)):
        assert finishing.uploads_resend() == 1
        commit_now()
    assert Operation.objects.get(pk=operation_id).status == "succeeded"
    assert Dataset.objects.get(pk=draft.pk).row_count == 200


def test_taking_that_keeps_dying_is_given_up(cast: Cast, api: Api, draft: Dataset, settings: Any) -> None:
    """P-8: a file that kills its worker three times does not get a fourth; its owner is told."""
    settings.UPLOAD_INLINE_BYTES = 1_000
    ada, base = api(cast.ada), base_of(draft)
    send(ada, base, "rows.jsonl", ROWS)
    operation_id = ada.post(f"{base}/uploads/complete").data["id"]
    UploadSession.objects.update(attempts=3)
    commit_now()
    operation = Operation.objects.get(pk=operation_id)
    assert operation.status == "failed"
    assert "3 times" in operation.message
    assert UploadSession.objects.get().status == UploadStatus.RECEIVED


def test_tus_client_is_answered_in_its_own_codes(cast: Cast, api: Api, draft: Dataset) -> None:
    """FR-003a: with Tus-Resumable the protocol of tus 1.0 is spoken: 201 with Location, 204, headers."""
    ada, base = api(cast.ada), base_of(draft)
    options = ada.client.options(ada._path(f"{base}/uploads"), headers=ada.headers)
    assert (options.status_code, options.headers["Tus-Version"]) == (204, "1.0.0")
    assert "creation" in options.headers["Tus-Extension"]
    name = base64.b64encode(b"rows.jsonl").decode()
    headers = {**ada.headers, "Tus-Resumable": "1.0.0"}
    made = ada.client.post(
        ada._path(f"{base}/uploads"),
        headers={**headers, "Upload-Length": str(len(ROWS)), "Upload-Metadata": f"filename {name},filetype dGV4dA=="},
    )
    assert (made.status_code, made.content) == (201, b"")
    location = made.headers["Location"].removeprefix("http://testserver")
    sent = piece(ada, location, 0, ROWS[:700], headers={"Tus-Resumable": "1.0.0"})
    assert (sent.status_code, sent.content, sent.headers["Upload-Offset"]) == (204, b"", "700")
    head = ada.client.head(location, headers=headers)
    assert (head.headers["Upload-Offset"], head.headers["Tus-Resumable"]) == ("700", "1.0.0")
    assert piece(ada, location, 9, b"x", headers={"Tus-Resumable": "1.0.0"}).status_code == 409
    assert piece(ada, location, 700, ROWS[700:], headers={"Tus-Resumable": "1.0.0"}).status_code == 204
    assert ada.post(f"{base}/uploads/complete").data["result"]["rows"] == 200
    other = ada.client.post(
        ada._path(f"{base}/uploads"), headers={**headers, "Upload-Length": "9", "Upload-Metadata": f"filename {name}"}
    )
    gone = ada.client.delete(other.headers["Location"].removeprefix("http://testserver"), headers=headers)
    assert (gone.status_code, gone.content) == (204, b"")
    bad = ada.client.post(
        ada._path(f"{base}/uploads"), headers={**headers, "Upload-Length": "9", "Upload-Metadata": "filename %%%"}
    )
    assert (bad.status_code, bad.json()["data"]["errors"][0]["field"]) == (400, "uploadMetadata")
    digest = base64.b64encode(b"a" * 64 + b"\n").decode()
    bad = ada.client.post(
        ada._path(f"{base}/uploads"),
        headers={**headers, "Upload-Length": "9", "Upload-Metadata": f"filename {name},sha256 {digest}"},
    )
    assert (bad.status_code, bad.json()["data"]["errors"][0]["field"]) == (400, "sha256")


def test_too_many_unfinished_uploads_are_refused(cast: Cast, api: Api, draft: Dataset, settings: Any) -> None:
    """FR-003a: one person cannot fill the store with beginnings."""
    settings.UPLOAD_MAX_OPEN = 2
    ada, base = api(cast.ada), base_of(draft)
    begin(ada, base, "a.csv", 1)
    begin(ada, base, "b.csv", 1)
    assert ada.post(f"{base}/uploads", {"filename": "c.csv", "size": 1}).status_code == 409


def test_service_is_not_fooled_by_lost_bytes(cast: Cast, api: Api, draft: Dataset, media: Path) -> None:
    """FR-003a: when the store has lost received bytes, the answer says so and nothing is taken."""
    ada, base = api(cast.ada), base_of(draft)
    upload_id = send(ada, base, "rows.jsonl", ROWS)
    (media / "uploads" / upload_id / "data").write_bytes(ROWS[:-5])
    answer = ada.post(f"{base}/uploads/complete")
    assert answer.status_code == 404
    assert "gone from the store" in answer.envelope["message"]
    assert services.dataset_preview(actor=cast.ada, dataset_id=draft.pk, limit=1).total == 0
