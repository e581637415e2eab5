"""FR-001a: signing and verification over a real S3 server, in bounded memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from apps.catalog import registry, services
from apps.catalog.models import ModelEntry, ModelFile, ModelSignature
from apps.catalog.services.integrity import stored_digests
from apps.core.errors import GateRefused
from apps.core.storage import store
from tests.catalog.support import make_approved
from tests.support.cast import Cast, commit_now

pytestmark = pytest.mark.django_db

BIG = 64 * 1024 * 1024


@pytest.fixture(autouse=True)
def on_s3(request: pytest.FixtureRequest, media: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The object store of this test is a bucket; gates of higher apps are tested there."""
    server = request.getfixturevalue("s3_server")
    server.ensure_bucket("signing-test")
    parts = urlsplit(server.endpoint)
    settings.STORAGE_URL = f"s3://{server.access_key}:{server.secret_key}@{parts.netloc}/signing-test?tls=false"
    monkeypatch.setattr(registry, "_gates", [])


def signed(cast: Cast) -> ModelEntry:
    """Approved and signed, its files in the bucket."""
    model = make_approved(cast)
    commit_now()
    assert ModelSignature.objects.get(model=model).status == "valid"
    return model


def test_changed_object_cannot_be_used(cast: Cast, tmp_path: Path) -> None:
    """FR-001a: signature beside the objects; a changed byte is found on demand and when a workload takes the files."""
    model = signed(cast)
    assert store().exists(f"{model.storage_prefix}model.sig")
    folder = services.model_materialise(model=model, destination=tmp_path / "good")
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert services.model_verify_run(model_id=model.pk) == "valid"
    key = f"{model.storage_prefix}config.json"
    raw = b"".join(store().open_range(key, 0, store().size(key)))
    store().put(key, [raw.replace(b"16", b"17", 1)])
    with pytest.raises(GateRefused):
        services.model_materialise(model=model, destination=tmp_path / "bad")
    assert services.model_verify_run(model_id=model.pk) == "broken"
    model.refresh_from_db()
    assert model.status == "draft"


def test_big_object_is_read_in_pieces(cast: Cast) -> None:
    """FR-001a: 64 MiB are hashed while a few of them are held."""
    model = signed(cast)
    key = f"{model.storage_prefix}big.safetensors"
    stored = store().put(key, (b"\0" * 1024 * 1024 for _ in range(BIG // 1024 // 1024)))
    ModelFile.objects.create(
        model=model, filename="big.safetensors", kind="weights", format="safetensors", size=BIG,
        sha256=stored.sha256, storage_key=key,
    )  # fmt: skip
    tracemalloc.start()
    try:
        found = stored_digests(model)
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.problems == []
    assert held < BIG // 4
