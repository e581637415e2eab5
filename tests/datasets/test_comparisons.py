"""FR-003d: large comparisons by a worker — bounded, cached by digests, visible in progress, by permission."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse

from apps.core.errors import Conflict, NotFound, ValidationFailed
from apps.core.models import Operation
from apps.core.storage import store
from apps.datasets import services
from apps.datasets.comparison import differences
from apps.datasets.comparison.hashing import MAX_PARTITIONS, partitions_for
from apps.datasets.models import Dataset, DatasetComparison
from tests.datasets.files import jsonl, rows_of
from tests.factories.datasets import clean_rows, make_dataset
from tests.support.cast import ApiClient, Cast, commit_now

Api = Callable[..., ApiClient]
Page = Callable[[Any], Client]


@pytest.fixture
def large(settings: Any) -> None:
    """Every dataset counts as large."""
    settings.DATASETS_COMPARE_INLINE_ROWS = 0


def pair(cast: Cast, **changes: Any) -> tuple[Dataset, Dataset]:
    """Two versions: row 3 changed, row 5 left out, one row new."""
    rows = clean_rows()
    later = [dict(row) for row in rows]
    later[3]["response"] = "Hold it longer."
    later[5] = {"instruction": "A new question?", "response": "A new answer."}
    return make_dataset(cast.ada, rows=rows), make_dataset(cast.ada, rows=later, version="1.1", **changes)


def test_partitions_give_the_same_answer(tmp_path: Path) -> None:
    """FR-003d: whatever memory there is, the same rows differ — by key and by row, with repeated rows."""
    source = np.random.default_rng(11)
    sides = []
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        rows = [{"id": n, "text": "abc"[source.integers(3)]} for n in source.permutation(600)[:400].tolist()]
        sides.append(rows_of(tmp_path / name, jsonl(rows), kind="pretrain_corpus"))
    for key in (["id"], []):
        # Without an id column of that name the whole rows are compared.
        asked = sides if key else [_without_id(side) for side in sides]
        found = [
            differences(asked[0], asked[1], "pretrain_corpus", key=key, memory=memory) for memory in (10**9, 4_000, 1)
        ]
        first = found[0]
        assert first.method == ("key" if key else "row")
        assert first.added.size
        for other in found[1:]:
            assert first.added.tolist() == other.added.tolist()
            assert first.removed.tolist() == other.removed.tolist()
            assert first.modified.tolist() == other.modified.tolist()
            assert first.unchanged == other.unchanged
    assert partitions_for(20_000_000, 256 * 2**20) > 10
    assert partitions_for(10**12, 1) == MAX_PARTITIONS
    assert partitions_for(0, 100) == 1


def _without_id(rows: Any) -> Any:
    """The same rows with the key column renamed, so that no key is found."""
    columns = tuple(type(c)("number", c.kind, c.nullable, c.stored) if c.name == "id" else c for c in rows.columns)
    return type(rows)(rows.path, columns)


@pytest.mark.django_db
def test_worker_compares_and_everybody_reads(cast: Cast, api: Api, large: None) -> None:
    """FR-003d: the first question starts a worker, later ones show progress and then pages of the result."""
    _old, new = pair(cast)
    path = f"/catalog/datasets/{new.pk}/versions/1.0/compare/1.1"
    ada = api(cast.ada)
    asked = ada.get(path)
    assert asked.status_code == 200
    assert (asked.data["status"], asked.data["addedRows"], asked.data["samples"]["added"]) == ("queued", None, [])
    assert asked.data["statistics"]["after"]["totalRows"] == 24
    operation = Operation.objects.get(pk=asked.data["operationId"])
    assert ada.get(path).data["operationId"] == str(operation.pk), "asking again starts nothing new"
    commit_now()
    operation.refresh_from_db()
    assert (operation.status, operation.result) == (
        "succeeded",
        {"addedRows": 1, "removedRows": 1, "modifiedRows": 1},
    )
    done = api(cast.ben).get(path)
    assert done.data["status"] == "succeeded"
    counts = [done.data[f"{name}Rows"] for name in ("added", "removed", "modified", "unchanged")]
    assert counts == [1, 1, 1, 22]
    assert done.data["comparedBy"] == {"method": "key", "columns": ["instruction"]}
    assert done.data["samples"]["modified"][0]["changes"][0]["after"] == "Hold it longer."
    assert done.data["samples"]["removed"][0]["row"] == 6
    assert done.data["samples"]["added"][0]["values"]["instruction"] == "A new question?"
    assert {entry["name"] for entry in done.data["statistics"]["drift"]} == {"instruction", "response"}
    assert done.headers["X-Total-Count"] == "1"
    assert ada.get(f"{path}?offset=5").data["samples"] == {"added": [], "removed": [], "modified": []}
    assert DatasetComparison.objects.count() == 1


@pytest.mark.django_db
def test_results_belong_to_contents(cast: Cast, large: None) -> None:
    """FR-003d: another dataset with the same rows needs no second comparison; another key does."""
    old, new = pair(cast)
    twin = make_dataset(cast.ada, name="twin", rows=clean_rows())
    for before in (old, twin):
        services.dataset_compare(actor=cast.ada, dataset_id=new.pk, before=str(before.pk), after=str(new.pk))
        commit_now()
    assert DatasetComparison.objects.count() == 1
    result = services.dataset_compare(
        actor=cast.ada, dataset_id=new.pk, before=str(twin.pk), after="1.1", key=["response"]
    )
    assert result.status == "queued"
    commit_now()
    with pytest.raises(ValidationFailed, match="not unique"):
        services.dataset_compare(actor=cast.ada, dataset_id=new.pk, before=str(twin.pk), after="1.1", key=["response"])
    assert DatasetComparison.objects.count() == 2


@pytest.mark.django_db
def test_any_two_visible_datasets_can_be_compared(cast: Cast, page: Page) -> None:
    """FR-003d: other names too, by id and in the page's list; what Eve may not see does not exist for her."""
    mine = make_dataset(cast.ada)
    other = make_dataset(cast.ada, name="other-name", rows=clean_rows(20))
    hers = make_dataset(cast.eve)
    result = services.dataset_compare(actor=cast.ada, dataset_id=mine.pk, before=str(other.pk), after=str(mine.pk))
    assert result.rows is not None
    assert result.rows.added == 4
    with pytest.raises(NotFound):
        services.dataset_compare(actor=cast.ada, dataset_id=mine.pk, before=str(hers.pk), after=str(mine.pk))
    url = reverse("datasets:dataset-compare", args=[mine.pk])
    shown = page(cast.ada).get(url, {"other": str(other.pk)}).content.decode()
    assert "other-name 1.0" in shown
    assert "Drift of the columns" in shown
    assert str(hers.pk) not in shown
    refused = page(cast.ada).get(url, {"other": str(hers.pk)}).content.decode()
    assert "Drift of the columns" not in refused
    empty = make_dataset(cast.ada, name="empty", rows=[])
    with pytest.raises(Conflict, match="no files"):
        services.dataset_compare(actor=cast.ada, dataset_id=mine.pk, before=str(empty.pk), after=str(mine.pk))


@pytest.mark.django_db
def test_page_waits_for_the_worker(cast: Cast, page: Page, large: None) -> None:
    """FR-003d: while it is compared the page shows how far it is and asks again; then the result takes its place."""
    old, new = pair(cast)
    url = reverse("datasets:dataset-compare", args=[new.pk])
    query = {"other": str(old.pk), "key": ""}
    waiting = page(cast.ada).get(url, query).content.decode()
    assert 'hx-trigger="every 2s"' in waiting
    assert "Progress of the comparison" in waiting
    commit_now()
    part = page(cast.ada).get(url, query, headers={"HX-Request": "true", "HX-Target": "compared"}).content.decode()
    assert 'hx-trigger="every 2s"' not in part
    assert "<html" not in part
    assert "Rows are recognised by instruction" in part


@pytest.mark.django_db
def test_comparison_survives_its_worker(cast: Cast, large: None) -> None:
    """P-8: a lost or silent comparison is sent again, three times at most; asking later starts it anew."""
    _old, new = pair(cast)

    def ask() -> Any:
        return services.dataset_compare(actor=cast.ada, dataset_id=new.pk, before="1.0", after="1.1")

    ask()
    row = DatasetComparison.objects.get()
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    DatasetComparison.objects.update(status="running", heartbeat_at=row.created_at, attempts=1)
    services.comparison_run(row.pk)
    assert DatasetComparison.objects.get().status == "running", "a lively one is left alone"
    DatasetComparison.objects.update(heartbeat_at=long_ago)
    assert services.comparisons_reconcile() == 1
    commit_now()
    assert ask().rows.modified == 1
    DatasetComparison.objects.update(status="running", heartbeat_at=long_ago, attempts=3)
    services.comparison_run(row.pk)
    with pytest.raises(Conflict, match="interrupted"):
        ask()
    DatasetComparison.objects.update(finished_at=long_ago)
    assert ask().status == "queued"
    commit_now()
    assert ask().rows.added == 1


@pytest.mark.django_db
def test_lost_rows_and_old_results_are_handled(cast: Cast, large: None) -> None:
    """P-8: rows that the store lost fail in words; results a month old, or of deleted datasets, go with their files."""
    old, new = pair(cast)
    services.dataset_compare(actor=cast.ada, dataset_id=new.pk, before="1.0", after="1.1")
    commit_now()
    assert len(store().list("comparisons")) == 1
    DatasetComparison.objects.update(created_at=datetime(2020, 1, 1, tzinfo=UTC))
    assert services.comparisons_reconcile() == 1
    commit_now()
    assert store().list("comparisons") == []
    store().delete(old.rows_key)
    services.dataset_compare(actor=cast.ada, dataset_id=new.pk, before="1.0", after="1.1")
    commit_now()
    with pytest.raises(Conflict, match="failed: The store has no object"):
        services.dataset_compare(actor=cast.ada, dataset_id=new.pk, before="1.0", after="1.1")
    services.dataset_delete(actor=cast.ada, dataset_id=old.pk)
    commit_now()
    assert not DatasetComparison.objects.exists()
