"""What several tests of datasets stand on."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from apps.core.storage import S3Store, store


@pytest.fixture
def s3(s3_server: Any, settings: Any, media: Path) -> None:
    """The object store is an S3 bucket."""
    netloc = urlsplit(s3_server.endpoint).netloc
    settings.STORAGE_URL = f"s3://{s3_server.access_key}:{s3_server.secret_key}@{netloc}/datasets-test?tls=false"
    found = store()
    assert isinstance(found, S3Store)
    client = found.storage.connection.meta.client
    if "datasets-test" not in {row["Name"] for row in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket="datasets-test")
