"""P-7, FR-003a: the same life on a real S3 store: upload, checks, preview, redaction, materialisation,
deletion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from apps.core.errors import ValidationFailed
from apps.core.models import AuditEvent
from apps.core.storage import store
from apps.datasets import services
from tests.factories.datasets import clean_rows, make_dataset, pii_rows
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


def test_versions_are_made_and_compared_on_s3(cast: Cast, s3: None, settings: Any) -> None:
    """FR-003b, FR-003d: splits, repairs, kept comparisons and the proof of deletion need no folder either."""
    settings.DATASETS_COMPARE_INLINE_ROWS = 0
    dataset = make_dataset(cast.ada, rows=[*clean_rows(), clean_rows()[0]])
    parts = services.dataset_split(actor=cast.ada, dataset_id=dataset.pk, ratios={"train": 0.8, "test": 0.2}).datasets
    assert sorted(part.row_count or 0 for part in parts) == [5, 20]
    unique = services.dataset_repair(actor=cast.ada, dataset_id=dataset.pk, kind="drop_duplicates").datasets[0]
    asked: dict[str, Any] = {
        "actor": cast.ada,
        "dataset_id": dataset.pk,
        "before": str(dataset.pk),
        "after": str(unique.pk),
    }
    assert services.dataset_compare(**asked).status == "queued"
    commit_now()
    rows = services.dataset_compare(**asked).rows
    assert rows is not None
    assert (rows.removed, rows.added, rows.unchanged) == (1, 0, 24)
    assert rows.removed_page[0]["values"] == clean_rows()[0]
    assert len(store().list("comparisons")) == 1
    services.dataset_delete(actor=cast.ada, dataset_id=dataset.pk)
    commit_now()
    assert store().list("comparisons") == []
    assert store().list(f"datasets/{dataset.pk}") == []
    assert AuditEvent.objects.get(action="datasets.dataset.files_removed").metadata["objectsLeft"] == 0
