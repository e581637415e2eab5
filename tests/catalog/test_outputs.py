"""FR-005h, FR-001a: registering a job's output, taking the files, on the file system and on S3."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from apps.catalog import registry, services
from apps.catalog.models import DiscardedFiles, LineageEdge, ModelEntry, ModelFile
from apps.catalog.services import cleanup, uploads
from apps.core import clock
from apps.core.errors import Conflict, GateRefused, Unavailable, ValidationFailed
from apps.core.models import Operation
from apps.core.storage import store
from tests.catalog.files import config, model_files, safetensors, write
from tests.catalog.support import CARD, make_approved, make_model, make_ready, upload
from tests.support.cast import Cast, commit_now

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def only_own_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gates of higher apps are tested there."""
    monkeypatch.setattr(registry, "_gates", [])


@pytest.fixture(params=["files", pytest.param("s3", marks=pytest.mark.s3)])
def any_store(request: pytest.FixtureRequest, settings: Any) -> Iterator[str]:
    """Both kinds of object store; S3 is a real server."""
    if request.param == "s3":
        server = request.getfixturevalue("s3_server")
        host = server.endpoint.removeprefix("http://")
        settings.STORAGE_URL = f"s3://{server.access_key}:{server.secret_key}@{host}/llmops?tls=false"
    return request.param


def test_upload_scan_replace_and_delete_on_either_store(cast: Cast, any_store: str, tmp_path: Path) -> None:
    """FR-001a, P-7: the same life on the file system and on S3."""
    model = make_ready(cast.ada, cast.support)
    assert model.scan_status == "safe"
    assert store().uri(model.storage_prefix).startswith("s3://" if any_store == "s3" else "file://")
    upload(cast.ada, model, {"config.json": config(hidden_size=16)})
    target = services.model_materialise(model=model, destination=tmp_path / "out")
    assert {path.name for path in target.iterdir()} == set(model_files())
    assert (target / "config.json").read_bytes() == config(hidden_size=16)
    assert store().list("incoming") == []
    services.model_delete(actor=cast.ada, model_id=model.pk)
    commit_now()
    assert store().list(f"models/{model.pk}") == []


def test_broken_upload_leaves_nothing(cast: Cast, any_store: str) -> None:
    """FR-001a: when the content breaks off in the middle, neither rows nor bytes stay."""

    class Broken:
        name = "model.safetensors"
        size = 100

        def chunks(self) -> Iterator[bytes]:
            yield b"half"
            raise ConnectionError("gone")

    class Whole:
        name = "config.json"
        size = 2

        def chunks(self) -> Iterator[bytes]:
            yield b"{}"

    model = make_model(cast.ada, cast.support)
    with pytest.raises(ConnectionError):
        services.model_upload(actor=cast.ada, model_id=model.pk, files=[Whole(), Broken()])
    assert not ModelFile.objects.exists()
    assert not DiscardedFiles.objects.exists()
    assert store().list("incoming") == store().list("models") == []


def test_model_submitted_during_an_upload_wins(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """FR-001d: the state is checked again under the lock, after the bytes came in."""
    model = make_ready(cast.ada, cast.support)
    stage = uploads._stage

    def slow(*args: Any) -> Any:
        services.model_submit(actor=cast.ada, model_id=model.pk)
        return stage(*args)

    monkeypatch.setattr(uploads, "_stage", slow)
    with pytest.raises(Conflict):
        upload(cast.ada, model, {"config.json": b"{}"})
    assert model.files.get(filename="config.json").sha256 == ModelFile.objects.get(filename="config.json").sha256
    with store().open(f"models/{model.pk}/1.0/config.json") as file:
        assert file.read() == config()


def test_leftovers_of_a_killed_upload_are_swept(cast: Cast) -> None:
    """P-8: a process that dies leaves a note, and the note is acted on a day later."""
    store().put("incoming/abc/model.safetensors", [b"half"])
    cleanup.files_discard(prefix="incoming/abc/", after=uploads.STAGING_LIFE)
    assert services.discarded_files_sweep() == 0
    with clock.frozen(clock.now() + timedelta(days=1, seconds=1)):
        assert services.discarded_files_sweep() == 1
    assert store().list("incoming") == []


def output(tmp_path: Path, cast: Cast, **changes: Any) -> dict[str, Any]:
    """Arguments of a registration."""
    return {
        "name": "support-assistant",
        "version": "1.0",
        "team": cast.support,
        "created_by": cast.ada,
        "model_family": "llama",
        "source_dir": write(tmp_path / "result", {**model_files(), "trainer.log": b"x", "optimizer.npz": b"x"}),
        "base_model_id": None,
        "dataset_ids": [],
        "job_id": uuid4(),
        "metadata": dict(CARD),
        **changes,
    }


def test_output_of_a_job_becomes_a_draft_with_lineage_once(cast: Cast, tmp_path: Path) -> None:
    """FR-005h, P-8: registered by itself, scanned, linked; doing it again changes nothing."""
    base = make_approved(cast, name="base")
    dataset_id = uuid4()
    arguments = output(tmp_path, cast, base_model_id=base.pk, dataset_ids=[dataset_id])
    model = services.model_register_output(**arguments)
    commit_now()
    model.refresh_from_db()
    assert (model.status, model.type, model.scan_status) == ("draft", "fine-tuned", "safe")
    assert set(model.files.values_list("filename", flat=True)) == set(model_files())
    edges = LineageEdge.objects.filter(target_id=model.pk).values_list("source_kind", "source_id", "relation")
    assert set(edges) == {
        ("dataset", dataset_id, "trained_on"),
        ("training_job", arguments["job_id"], "produced_by"),
        ("model", base.pk, "derived_from"),
    }
    assert services.model_register_output(**arguments).pk == model.pk
    assert ModelEntry.objects.count() == 2
    assert LineageEdge.objects.count() == 3
    assert Operation.objects.filter(target_id=str(model.pk)).count() == 1


def test_registration_goes_on_after_a_crash(cast: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """P-8: what was stored stays, what is missing follows."""
    arguments = output(tmp_path, cast)
    real = services.outputs.file_register
    calls = []

    def dies(**fields: Any) -> Any:
        calls.append(fields["filename"])
        if len(calls) == 2:
            raise Unavailable("The store is away.")
        return real(**fields)

    monkeypatch.setattr(services.outputs, "file_register", dies)
    with pytest.raises(Unavailable):
        services.model_register_output(**arguments)
    model = services.model_register_output(**arguments)
    commit_now()
    model.refresh_from_db()
    assert model.scan_status == "safe"
    assert model.files.count() == 3


def test_taken_version_moves_to_the_next_free_patch(cast: Cast, tmp_path: Path) -> None:
    """FR-005h: a finished training is not lost over a name."""
    make_model(cast.ada, cast.support, name="support-assistant", version="1.0", type="base")
    make_model(cast.ada, cast.support, name="support-assistant", version="1.0.1", type="base")
    assert services.model_register_output(**output(tmp_path, cast)).version == "1.0.2"


def test_incomplete_output_is_refused(cast: Cast, tmp_path: Path) -> None:
    """FR-005h: without weights nothing is registered."""
    folder = write(tmp_path / "bad", {"config.json": config()})
    with pytest.raises(ValidationFailed):
        services.model_register_output(**output(tmp_path, cast, source_dir=folder))
    assert not ModelEntry.objects.exists()


def test_changed_byte_in_the_store_stops_the_model(cast: Cast, media: Path, tmp_path: Path) -> None:
    """FR-001a: what was approved is what runs."""
    model = make_approved(cast)
    path = media / f"models/{model.pk}/1.0/model.safetensors"
    path.write_bytes(safetensors(data=b"\1" + b"\0" * 15))
    with pytest.raises(GateRefused) as refusal:
        services.model_materialise(model=model, destination=tmp_path / "out")
    assert refusal.value.code == "file_changed"


def test_stray_objects_are_not_handed_out(cast: Cast, tmp_path: Path) -> None:
    """FR-001a: only registered files reach a workload."""
    model = make_approved(cast)
    store().put(f"models/{model.pk}/1.0/sneaked.py", [b"import os"])
    target = services.model_materialise(model=model, destination=tmp_path / "out")
    assert not (target / "sneaked.py").exists()
    assert store().exists(f"models/{model.pk}/1.0/sneaked.py")


def test_lost_scan_is_sent_again(cast: Cast) -> None:
    """P-8: a message that the broker lost is repaired by the sweep."""
    model = make_ready(cast.ada, cast.support)
    ModelFile.objects.filter(model=model).update(scan_status="pending")
    ModelEntry.objects.filter(pk=model.pk).update(scan_status="pending")
    assert services.scans_resend() == 0
    with clock.frozen(clock.now() + timedelta(minutes=11)):
        assert services.scans_resend() == 1
        commit_now()
    model.refresh_from_db()
    assert model.scan_status == "safe"


def test_verdict_is_never_written_to_other_bytes(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """FR-001a: a file replaced while the scan runs stays unscanned."""
    model = make_model(cast.ada, cast.support)
    upload(cast.ada, model)
    ModelFile.objects.filter(model=model).update(scan_status="pending")
    real = services.scans.scan_directory

    def replaced(*args: Any, **kwargs: Any) -> Any:
        result = real(*args, **kwargs)
        ModelFile.objects.filter(model=model, filename="config.json").update(sha256="f" * 64)
        return result

    monkeypatch.setattr(services.scans, "scan_directory", replaced)
    assert services.model_scan_run(model_id=model.pk) == "pending"
    assert model.files.get(filename="config.json").scan_status == "pending"
    assert model.files.get(filename="model.safetensors").scan_status == "safe"


def test_file_that_is_gone_from_the_store_is_corrupt(cast: Cast) -> None:
    """FR-001a: missing bytes are found by the scan."""
    model = make_ready(cast.ada, cast.support)
    store().delete(f"models/{model.pk}/1.0/tokenizer.json")
    services.model_rescan(actor=cast.ada, model_id=model.pk)
    commit_now()
    model.refresh_from_db()
    assert model.scan_status == "corrupt"
    assert model.files.get(filename="tokenizer.json").scan_reasons[0]["code"] == "missing"


def test_external_model_has_nothing_to_materialise(cast: Cast, tmp_path: Path) -> None:
    """FR-001c: external models have no files."""
    metadata = {**CARD, "provider": "ollama", "model_name": "llama3", "base_url": "http://127.0.0.1:11434/"}
    model = make_model(cast.ada, cast.support, type="external", metadata=metadata)
    with pytest.raises(GateRefused):
        services.model_materialise(model=model, destination=tmp_path)
    services.model_require_runnable(model=model)
    assert services.model_external_target(model=model).base_url == "http://127.0.0.1:11434"
