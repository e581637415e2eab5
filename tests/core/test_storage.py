"""The object store on both adapters, with the real S3 server."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from apps.core.errors import NotFound, TooLarge, ValidationFailed
from apps.core.storage import ObjectStore, S3Store, safe_filename, store, store_at


@pytest.fixture(params=["file", "s3"])
def any_store(request: pytest.FixtureRequest, settings: Any) -> ObjectStore:
    """The same behaviour on both."""
    if request.param == "file":
        return store()
    server = request.getfixturevalue("s3_server")
    parts = urlsplit(server.endpoint)
    settings.STORAGE_URL = f"s3://{server.access_key}:{server.secret_key}@{parts.netloc}/portal-test?tls=false"
    found = store_at(settings.STORAGE_URL)
    assert isinstance(found, S3Store)
    client = found.storage.connection.meta.client
    if "portal-test" not in {row["Name"] for row in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket="portal-test")
    found.delete_prefix("t")
    return found


def test_content_is_streamed_hashed_and_read_back(any_store: ObjectStore, tmp_path: Path) -> None:
    """FR-001a, FR-003a: streamed in pieces with its SHA-256; ranges, lists, downloads."""
    pieces = [b"a" * 3_000_000, b"b" * 9_000_000, b"c"]
    stored = any_store.put("t/models/1/w.bin", iter(pieces))
    whole = b"".join(pieces)
    assert (stored.size, stored.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())
    with any_store.open("t/models/1/w.bin") as file:
        assert file.read() == whole
    assert b"".join(any_store.open_range("t/models/1/w.bin", 2_999_999, 3_000_001)) == b"ab"
    assert any_store.list("t/models/1") == ["t/models/1/w.bin"]
    assert any_store.size("t/models/1/w.bin") == len(whole)
    [path] = any_store.download_prefix("t/models/1", tmp_path / "out")
    assert path.read_bytes() == whole
    with any_store.local_path("t/models/1/w.bin") as local:
        assert local.stat().st_size == len(whole)
    assert any_store.delete_prefix("t/models") == 1
    assert not any_store.exists("t/models/1/w.bin")
    any_store.check()


def test_broken_upload_leaves_nothing(any_store: ObjectStore) -> None:
    """FR-001a: a broken connection or an overlong file leaves no object."""

    def broken() -> Iterator[bytes]:
        yield b"x" * 10
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        any_store.put("t/broken", broken())
    with pytest.raises(TooLarge):
        any_store.put("t/long", iter([b"x" * 100]), max_bytes=50)
    assert any_store.list("t") == []


def test_absent_object_is_not_found(any_store: ObjectStore) -> None:
    """P-1: absent is NotFound, deleting it is fine."""
    with pytest.raises(NotFound):
        any_store.open("t/none")
    any_store.delete("t/none")


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../x", "a//b", "a/../b", "a\x00b", "."])
def test_caller_cannot_leave_the_store(key: str) -> None:
    """FR-001a: keys stay inside."""
    with pytest.raises(ValidationFailed):
        store().put(key, iter([b"x"]))


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../a",
        "a/b",
        "a\\b",
        "C:x",
        "a\x00",
        "a\nb",
        "a\u202eb",
        " a",
        "a ",
        "con",
        "NUL.txt",
        "x" * 256,
        "é" * 128,
    ],
)
def test_uploader_cannot_use_dangerous_names(name: str) -> None:
    """FR-001a, FR-003a: names are one safe component, or refused by name."""
    with pytest.raises(ValidationFailed):
        safe_filename(name)


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "model-00001-of-00002.safetensors",
        "Fragen & Antworten.csv",
        "données.jsonl",
        ".gitattributes",
    ],
)
def test_uploader_can_use_ordinary_names(name: str) -> None:
    """FR-001a: ordinary names pass unchanged."""
    assert safe_filename(name) == name
