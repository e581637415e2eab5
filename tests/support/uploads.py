"""Sending files in pieces, as programs do, and an S3 bucket to send them to."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from apps.core.storage import S3Store, store
from launcher.seaweed import Seaweed
from tests.support.cast import ApiClient, with_data

PIECE = "application/offset+octet-stream"


def piece(
    client: ApiClient,
    path: str,
    offset: int | str | None,
    data: bytes,
    *,
    checksum: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Any:
    """PATCH one piece; ``checksum`` is what is announced (its SHA-256 is computed from it)."""
    sent = {**client.headers, **(headers or {})}
    if offset is not None:
        sent["Upload-Offset"] = str(offset)
    if checksum is not None:
        sent["Upload-Checksum"] = "sha256 " + base64.b64encode(hashlib.sha256(checksum).digest()).decode()
    kind = sent.pop("Content-Type", PIECE)
    return with_data(client.client.patch(client._path(path), data, content_type=kind, headers=sent))


def begin(client: ApiClient, base: str, name: str, size: int, **fields: Any) -> str:
    """Announce a file; returns the path of its upload."""
    made = client.post(f"{base}/uploads", {"filename": name, "size": size, **fields})
    assert made.status_code == 200, made.envelope
    return f"{base}/uploads/{made.data['id']}"


def send(client: ApiClient, base: str, name: str, content: bytes, step: int = 5_000) -> str:
    """Announce a file and send all its pieces; returns the upload's id."""
    path = begin(client, base, name, len(content))
    for start in range(0, len(content), step):
        answer = piece(client, path, start, content[start : start + step])
        assert answer.status_code == 200, answer.envelope
    return path.rpartition("/")[2]


@pytest.fixture
def s3_store(s3_server: Seaweed, settings: Any, media: Path) -> str:
    """The object store is an empty S3 bucket of this test's own; its name."""
    bucket = f"test-{uuid4().hex[:12]}"
    netloc = urlsplit(s3_server.endpoint).netloc
    settings.STORAGE_URL = f"s3://{s3_server.access_key}:{s3_server.secret_key}@{netloc}/{bucket}?tls=false"
    found = store()
    assert isinstance(found, S3Store)
    found.storage.connection.meta.client.create_bucket(Bucket=bucket)
    return bucket
