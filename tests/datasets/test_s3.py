"""P-7, FR-003a: the same life on a real S3 store: upload, checks, preview, redaction, materialisation,
deletion."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from apps.core.errors import ValidationFailed
from apps.core.storage import store
from apps.datasets import services
from tests.factories.datasets import make_dataset, pii_rows
from tests.support.cast import Cast, commit_now

pytestmark = [pytest.mark.django_db, pytest.mark.s3]


def test_dataset_lives_on_s3(cast: Cast, s3: None, tmp_path: Path) -> None:
    """FR-003a: nothing depends on the store being a folder."""
    dataset = make_dataset(cast.ada, rows=pii_rows())
    assert dataset.pii_scan_status == "failed"
    assert len(store().list(f"datasets/{dataset.pk}")) == 2
    copy = services.dataset_redact(actor=cast.ada, dataset_id=dataset.pk)
    commit_now()
    services.dataset_submit(actor=cast.ada, dataset_id=copy.pk)
    copy = services.dataset_decide(actor=cast.chen, dataset_id=copy.pk, decision="approve")
    services.dataset_require_usable(dataset=copy)
    path = services.dataset_materialise(dataset=copy, destination=tmp_path / "work")
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 24
    assert len(services.dataset_preview(actor=cast.ada, dataset_id=copy.pk, limit=5).rows) == 5
    compared = services.dataset_compare(actor=cast.ada, dataset_id=copy.pk, before="1.0", after="1.0.1")
    assert compared.rows is not None
    assert compared.rows.modified == 2
    bad = services.Upload("bad.jsonl", [b"nonsense\n"])
    with pytest.raises(ValidationFailed):
        services.dataset_upload(actor=cast.ada, dataset_id=dataset.pk, files=[bad])
    assert len(store().list(f"datasets/{dataset.pk}")) == 2
    services.dataset_delete(actor=cast.ada, dataset_id=dataset.pk)
    commit_now()
    assert store().list(f"datasets/{dataset.pk}") == []
    assert len(store().list(f"datasets/{copy.pk}")) == 2
