"""FR-001e: a model leaves as one file and comes back; hostile bundles are refused, nothing is half-registered."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apps.catalog import registry
from apps.catalog.bundles import BLOCK, BundleBad, BundleReader, Member, bundle_pieces, json_document
from apps.catalog.import_models import ModelImport
from apps.catalog.models import LineageEdge, ModelEntry, ModelSignature
from apps.catalog.services import exports, import_run, model_export_run
from apps.core.models import AuditEvent, Operation
from apps.core.storage import store
from apps.datasets.models import Dataset
from tests.catalog.files import model_files
from tests.catalog.support import CARD, EXTERNAL, make_approved, make_model, make_ready, upload
from tests.support.cast import Cast, commit_now

pytestmark = pytest.mark.django_db
Api = Callable[..., Any]


@pytest.fixture(autouse=True)
def only_own_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gates of higher apps are tested there."""
    monkeypatch.setattr(registry, "_gates", [])


def exported(api: Any, model: ModelEntry) -> tuple[dict[str, Any], bytes]:
    """Ask for a bundle, let the worker write it, fetch it."""
    operation = api.post(f"/catalog/models/{model.pk}/export").data
    commit_now()
    ended = api.get(f"/operations/{operation['id']}").data
    assert ended["status"] == "succeeded", ended
    fetched = api.get(ended["result"]["download"])
    assert fetched.status_code == 200
    return ended["result"], b"".join(fetched.streaming_content)


def imported(api: Any, bundle: bytes, **fields: str) -> dict[str, Any]:
    """Send a bundle and let the worker work."""
    answer = send(api, bundle, **fields)
    assert answer.status_code == 200, answer.content
    commit_now()
    data: dict[str, Any] = api.get(f"/catalog/models/imports/{answer.json()['data']['id']}").data
    return data


def send(api: Any, bundle: bytes, **fields: str) -> Any:
    """The multipart request."""
    file = io.BytesIO(bundle)
    file.name = "model.llmops.tar"
    return api.client.post("/llm-ops/v1/catalog/models/import", {"bundle": file, **fields}, headers=api.headers)


def test_model_can_be_carried_to_another_team(cast: Cast, api: Api) -> None:
    """FR-001e: files, card, lineage, evaluations, approvals and hashes out; files and card in, as a draft."""
    model = make_approved(cast, files={**model_files(), "x" * 190 + ".json": b"{}"})
    commit_now()
    result, bundle = exported(api(cast.ada), model)
    assert result["sha256"] == hashlib.sha256(bundle).hexdigest()
    assert result["size"] == len(bundle)
    with tarfile.open(fileobj=io.BytesIO(bundle)) as tar:
        names = tar.getnames()
        read = {name: tar.extractfile(name).read() for name in names}  # type: ignore[union-attr]
    assert names[0] == "bundle.json"
    manifest = json.loads(read["bundle.json"])
    for row in manifest["members"]:
        assert (len(read[row["path"]]), hashlib.sha256(read[row["path"]]).hexdigest()) == (row["size"], row["sha256"])
    assert {"README.md", "model.json", "lineage.json", "evaluations.json", "approvals.json"} <= set(names)
    assert manifest["digest"] == model.digest
    [review] = json.loads(read["approvals.json"])
    assert review["decisions"][0]["by"] == "chen"
    assert json.loads(read["lineage.json"])["nodes"]
    assert json.loads(read["evaluations.json"]) == []
    assert read["files/model.safetensors"] == model_files()["model.safetensors"]
    assert read["model.sig"].decode() == ModelSignature.objects.get(model=model).bundle

    done = imported(api(cast.eve), bundle, ownerTeam="research")
    assert done["status"] == "succeeded", done
    copy = ModelEntry.objects.get(pk=done["modelId"])
    assert (copy.team, copy.status, copy.scan_status, copy.created_by) == (cast.research, "draft", "safe", cast.eve)
    assert copy.metadata["purpose"] == CARD["purpose"]
    assert copy.metadata["bundle_origin"]["digest"] == model.digest
    assert copy.files.count() == 4
    assert store().list("incoming") == []
    assert {"catalog.model.exported", "catalog.model.export_downloaded", "catalog.model.imported"} <= set(
        AuditEvent.objects.values_list("action", flat=True)
    )
    again = imported(api(cast.eve), bundle)
    assert (again["status"], again["errorCode"]) == ("failed", "exists")
    renamed = imported(api(cast.eve), bundle, name="other", version="3.0")
    assert ModelEntry.objects.get(pk=renamed["modelId"]).name == "other"


def test_bundle_of_an_external_model_holds_no_key(cast: Cast, api: Api) -> None:
    """FR-001c, FR-001e: secrets are never exported."""
    model = make_model(cast.ada, cast.support, type="external", metadata={**CARD, **EXTERNAL})
    _, bundle = exported(api(cast.ada), model)
    assert b"sk-secret-0001" not in bundle
    assert b"gpt-4o-mini" in bundle


def test_export_stops_at_changed_bytes(cast: Cast, api: Api, media: Path) -> None:
    """FR-001e: a bundle never carries other bytes than were registered; nothing of it is kept."""
    model = make_ready(cast.ada, cast.support)
    path = media / model.storage_prefix / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    operation = api(cast.ada).post(f"/catalog/models/{model.pk}/export").data
    commit_now()
    ended = Operation.objects.get(pk=operation["id"])
    assert ended.status == "failed"
    assert "not the one that was registered" in ended.message
    assert store().list("exports") == []


def test_who_may_not_export_cannot_fetch_either(cast: Cast, api: Api) -> None:
    """P-3: by role, and only what is there."""
    model = make_ready(cast.ada, cast.support)
    result, _ = exported(api(cast.ada), model)
    assert api(cast.ben).post(f"/catalog/models/{model.pk}/export").status_code == 403
    assert api(cast.ben).get(result["download"]).status_code == 403
    assert api(cast.eve).get(result["download"]).status_code == 404
    assert api(cast.finn).get(result["download"]).status_code == 403
    other = make_ready(cast.ada, cast.support, version="2.0")
    swapped = result["download"].replace(str(model.pk), str(other.pk))
    assert api(cast.ada).get(swapped).status_code == 404
    store().delete_prefix("exports")
    gone = api(cast.ada).get(result["download"])
    assert gone.status_code == 404
    assert "Export the model again" in gone.envelope["message"]
    waiting = api(cast.ada).post(f"/catalog/models/{model.pk}/export").data
    assert api(cast.ada).post(f"/catalog/models/{model.pk}/export").data["id"] == waiting["id"], "asked twice"
    assert api(cast.ada).get(f"/catalog/models/{model.pk}/exports/{waiting['id']}").status_code == 404


def test_bundle_is_fetched_by_who_asked_for_it(cast: Cast, api: Api) -> None:
    """P-3: a bundle names what its maker sees, here another team's dataset; Ada fetches her own, without the name."""
    study = Dataset.objects.create(team=cast.research, created_by=cast.eve, name="secret-study", version="1.0")
    model = make_ready(cast.ada, cast.support)
    LineageEdge.objects.create(
        source_kind="dataset", source_id=study.pk, target_kind="model", target_id=model.pk, relation="trained_on"
    )
    result, bundle = exported(api(cast.dana), model)
    assert b"secret-study" in bundle
    assert api(cast.ada).get(result["download"]).status_code == 404
    assert b"secret-study" not in exported(api(cast.ada), model)[1]


def test_lost_export_is_written_by_the_next_worker(cast: Cast, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """P-8: sent again when nobody works on it; a second run changes nothing."""
    model = make_ready(cast.ada, cast.support)
    operation = api(cast.ada).post(f"/catalog/models/{model.pk}/export").data
    assert exports.exports_resend() == 0
    monkeypatch.setattr(exports, "OVERDUE", exports.OVERDUE * 0)
    assert exports.exports_resend() == 1
    commit_now()
    assert Operation.objects.get(pk=operation["id"]).status == "succeeded"
    assert model_export_run(operation_id=operation["id"]) == "ended"


def rebuilt(change: Callable[[dict[str, Any], dict[str, bytes]], None]) -> bytes:
    """A bundle from plain parts after *change* to (manifest, members)."""
    entry = {"name": "m", "version": "1.0", "type": "base", "metadata": dict(CARD)}
    members = {"model.json": json.dumps(entry).encode()}
    members |= {f"files/{name}": content for name, content in model_files().items()}
    rows = [
        {"path": path, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for path, content in members.items()
    ]
    manifest: dict[str, Any] = {"format": "llm-ops-model-bundle", "formatVersion": 1, "members": rows}
    change(manifest, members)
    return tar({"bundle.json": json.dumps(manifest).encode(), **members})


def tar(members: dict[str, bytes], **attributes: Any) -> bytes:
    """A tar of plain files, or of something else by *attributes* of the last member."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for number, (name, content) in enumerate(members.items(), start=1):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if number == len(members):
                for key, value in attributes.items():
                    setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content) if info.isreg() else None)
    return buffer.getvalue()


def listed(path: str, content: bytes) -> Callable[[dict[str, Any], dict[str, bytes]], None]:
    """One more member, properly listed."""

    def change(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
        members[path] = content
        digest = hashlib.sha256(content).hexdigest()
        manifest["members"].append({"path": path, "size": len(content), "sha256": digest})

    return change


def entry(**fields: Any) -> Callable[[dict[str, Any], dict[str, bytes]], None]:
    """Another model.json."""

    def change(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
        document = {**json.loads(members["model.json"]), **fields}
        members["model.json"] = json.dumps(document).encode()
        manifest["members"][0] |= {
            "size": len(members["model.json"]),
            "sha256": hashlib.sha256(members["model.json"]).hexdigest(),
        }

    return change


def in_manifest(**fields: Any) -> Callable[[dict[str, Any], dict[str, bytes]], None]:
    """Another manifest."""
    return lambda manifest, members: manifest.update(fields)


def swapped(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
    """Other bytes of the same length."""
    members["files/config.json"] = b" " * len(members["files/config.json"])


def longer(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
    """More bytes than listed."""
    members["files/config.json"] += b" "


def unlisted(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
    """A member that the list does not hold."""
    members["files/extra.json"] = b"{}"


def dropped(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
    """A listed member that is not there."""
    del members["files/tokenizer.json"]


ROW = {"path": "files/a.json", "size": 2, "sha256": "0" * 64}
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"\0" * 10_240, "ends before"),
    "text": (lambda: b"hello" * 500, "no tar header"),
    "gzip": (lambda: b"\x1f\x8b" + b"\0" * 2_000, "no tar header"),
    "cut header": (lambda: rebuilt(lambda *_: None)[:300], "cut off"),
    "cut body": (lambda: rebuilt(lambda *_: None)[:2_000], "cut off"),
    "no manifest": (lambda: tar({"model.json": b"{}"}), "begins with"),
    "manifest is a list": (lambda: tar({"bundle.json": b"[]"}), "JSON object"),
    "manifest is no JSON": (lambda: tar({"bundle.json": b"{"}), "cannot be read"),
    "manifest with doubled keys": (lambda: tar({"bundle.json": b'{"a":1,"a":2}'}), "cannot be read"),
    "deep manifest": (lambda: tar({"bundle.json": b"[" * 200_000}), "cannot be read"),
    "huge manifest": (lambda: tar({"bundle.json": b" " * 4_194_305}), "larger than"),
    "other format": (lambda: rebuilt(in_manifest(format="zip")), "does not say so"),
    "later layout": (lambda: rebuilt(in_manifest(formatVersion=2)), "layout 2"),
    "members no list": (lambda: rebuilt(in_manifest(members={})), "must list"),
    "too many members": (lambda: rebuilt(in_manifest(members=[ROW] * 2_001)), "at most"),
    "doubled member": (lambda: rebuilt(in_manifest(members=[ROW, ROW])), "cannot be"),
    "negative size": (lambda: rebuilt(in_manifest(members=[{**ROW, "size": -1}])), "cannot be"),
    "size is true": (lambda: rebuilt(in_manifest(members=[{**ROW, "size": True}])), "cannot be"),
    "no hash": (lambda: rebuilt(in_manifest(members=[{**ROW, "sha256": "x"}])), "cannot be"),
    "climbing name": (lambda: rebuilt(listed("files/../../etc/passwd.json", b"{}")), "cannot be taken"),
    "absolute name": (lambda: rebuilt(listed("files//etc/x.json", b"{}")), "cannot be taken"),
    "folder": (lambda: rebuilt(listed("files/a/b.json", b"{}")), "cannot be taken"),
    "reserved name": (lambda: rebuilt(listed("files/nul.json", b"{}")), "cannot be taken"),
    "program": (lambda: rebuilt(listed("files/run.py", b"import os")), "not a model file"),
    "two spellings": (lambda: rebuilt(listed("files/CONFIG.json", b"{}")), "same name"),
    "empty file": (lambda: rebuilt(listed("files/empty.json", b"")), "is empty"),
    "swapped bytes": (lambda: rebuilt(swapped), "SHA-256"),
    "longer than listed": (lambda: rebuilt(longer), "bundle.json says"),
    "unlisted member": (lambda: rebuilt(unlisted), "goes on behind"),
    "missing member": (lambda: rebuilt(dropped), "ends before"),
    "symlink": (
        lambda: tar({"bundle.json": b"{}"}, type=tarfile.SYMTYPE, linkname="/etc/passwd", size=0),
        "not a plain file",
    ),
    "hard link": (lambda: tar({"bundle.json": b""}, type=tarfile.LNKTYPE, linkname="x"), "not a plain file"),
    "device": (lambda: tar({"bundle.json": b""}, type=tarfile.CHRTYPE), "not a plain file"),
    "huge header": (lambda: _lying(tarfile.XHDTYPE, 10**12), "not a plain file"),
    "huge long name": (lambda: _lying(tarfile.GNUTYPE_LONGNAME, 10**12), "not a plain file"),
    "lying size": (lambda: _lying(tarfile.REGTYPE, 10**15), "larger than"),
    "external": (lambda: rebuilt(entry(type="external")), "base or fine-tuned"),
    "no name": (lambda: rebuilt(entry(name=None)), "name, version and type"),
    "control characters": (lambda: rebuilt(entry(name="a\nb")), "one line"),
    "name too long": (lambda: rebuilt(entry(name="x" * 201)), "at most 200"),
    "version too long": (lambda: rebuilt(entry(version="1." + "1" * 300)), "longer than 64"),
    "names that name nothing": (lambda: _lying(tarfile.GNUTYPE_LONGNAME, 1, b"\0" * BLOCK) * 3_000, "is empty"),
    "bad version": (lambda: rebuilt(entry(version="one")), "numbers with dots"),
    "a key in the metadata": (lambda: rebuilt(entry(metadata={"api_key": "sk-1"})), "without keys"),
    "metadata no object": (lambda: rebuilt(entry(metadata=[])), "without keys"),
    "NUL in metadata": (lambda: rebuilt(entry(metadata={"a": "\0"})), "NUL"),
    "unsafe weights are taken and scanned": (
        lambda: rebuilt(listed("files/evil.bin", b"cos\nsystem\n(S'id'\ntR.")),
        "",
    ),
}


def _lying(kind: bytes, size: int, body: bytes = b"\0" * 4_096) -> bytes:
    info = tarfile.TarInfo("bundle.json")
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT) + body


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bundles_are_refused(cast: Cast, api: Api, name: str) -> None:
    """FR-001e: each with its reason; memory stays bounded; nothing is left in catalog or store."""
    make, words = HOSTILE[name]
    bundle = make()
    tracemalloc.start()
    done = imported(api(cast.ada), bundle)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80_000_000
    if words:
        assert done["status"] == "failed"
        assert words in done["message"], done["message"]
        assert not ModelEntry.objects.exists()
        assert store().list("models") == []
    else:
        assert ModelEntry.objects.get().scan_status == "unsafe"
    commit_now()
    assert store().list("incoming") == []


def test_import_that_breaks_down_ends(cast: Cast, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """FR-001e, P-8: whatever a file makes of the worker, the import ends with a word and is not sent for ever."""

    def broken(*args: Any, **kwargs: Any) -> None:
        raise RecursionError

    monkeypatch.setitem(import_run.__globals__, "read_bundle", broken)
    done = imported(api(cast.ada), rebuilt(lambda *_: None))
    assert (done["status"], done["errorCode"]) == ("failed", "unexpected")
    assert Operation.objects.get().status == "failed"
    commit_now()
    assert store().list("incoming") == []


def test_sizes_of_bundles_are_limited(cast: Cast, api: Api, settings: Any) -> None:
    """FR-001e: as sent (413), and as listed."""
    bundle = rebuilt(lambda *_: None)
    settings.LLMOPS_HUB_MAX_BYTES = len(bundle) - 1
    assert send(api(cast.ada), bundle).status_code == 413
    settings.LLMOPS_HUB_MAX_BYTES = 10**9
    settings.UPLOAD_MAX_FILE_BYTES = 100
    assert imported(api(cast.ada), bundle)["errorCode"] == "too_large"
    assert not ModelImport.objects.filter(status="succeeded").exists()


def test_bundle_needs_a_file_a_team_and_the_right(cast: Cast, api: Api) -> None:
    """FR-001e, P-3: each missing thing by name."""
    ada = api(cast.ada)
    empty = ada.client.post("/llm-ops/v1/catalog/models/import", {"name": "x"}, headers=ada.headers)
    assert (empty.status_code, empty.json()["data"]["errors"][0]["field"]) == (400, "bundle")
    assert send(api(cast.ben), b"x").status_code == 403
    assert send(ada, b"x", ownerTeam="research").status_code == 400
    assert send(ada, b"x", visibility="world").status_code == 400
    for field, value in (("ownerTeam", "a\0"), ("name", "a\0b"), ("name", "x" * 201), ("version", "one")):
        assert send(ada, b"x", **{field: value}).status_code == 400, field
    commit_now()
    assert store().list("incoming") == []
    assert ada.post("/catalog/models/import", {"repoId": "acme/m", "version": "x"}).status_code == 400


def test_writing_a_bundle_keeps_memory_flat() -> None:
    """FR-001e: one piece at a time, however large the member."""
    piece = b"x" * 1_048_576

    def pieces() -> Any:
        for _ in range(64):
            yield bytes(piece)

    member = Member("files/a.bin", 64 * len(piece), "0" * 64, pieces)
    tracemalloc.start()
    size = sum(len(part) for part in bundle_pieces({}, [member], moment=0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 64 * len(piece)
    assert peak < 6 * len(piece)


def test_reader_refuses_what_follows_the_last_member() -> None:
    """FR-001e: bytes behind the end are no part of the list."""
    whole = b"".join(bundle_pieces({}, [json_document("model.json", {})], moment=0))
    reader = BundleReader(io.BytesIO(whole[:-1_024] + b"y" * 1_024))
    with pytest.raises(BundleBad, match="goes on behind"):
        [b"".join(content) for _, _, content in reader]


def test_upload_of_a_readme_fills_the_card(cast: Cast) -> None:
    """FR-001: front matter in: what is empty on the card is filled; what people wrote stays."""
    model = make_model(cast.ada, cast.support, metadata={"purpose": "Written by a person."})
    readme = "---\nlicense: mit\ntags: [a, b]\nllm_ops: {purpose: other, scope: Here., contact: a@b.c}\n---\n# T\n"
    upload(cast.ada, model, {**model_files(), "README.md": readme.encode()})
    assert model.metadata == {
        "purpose": "Written by a person.", "scope": "Here.", "contact": "a@b.c", "license": "mit", "tags": ["a", "b"],
    }  # fmt: skip
    assert AuditEvent.objects.get(action="catalog.model.card_filled").metadata["fields"] == [
        "contact", "license", "scope", "tags",
    ]  # fmt: skip
    broken = make_model(cast.ada, cast.support, name="broken")
    upload(cast.ada, broken, {**model_files(), "README.md": b"---\na: *b\n---\n"})
    assert broken.metadata == CARD
    assert "YAML references" in Operation.objects.filter(target_id=str(broken.pk)).latest("created_at").message
