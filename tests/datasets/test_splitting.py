"""FR-003b: train, validation and test parts — fixed by the seed, balanced, without leaks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse

from apps.core.errors import Conflict, PermissionRefused, ValidationFailed
from apps.core.models import AuditEvent, Operation
from apps.datasets import services
from apps.datasets.models import Dataset
from apps.datasets.services import deriving
from apps.datasets.splitting import SplitPlan, SplitRefused, assign_parts
from tests.datasets.files import jsonl, rows_of
from tests.factories.datasets import clean_rows, make_dataset, rows_bytes
from tests.support.cast import ApiClient, Cast, commit_now

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}


def assign(tmp_path: Path, rows: list[dict[str, Any]], **plan: Any) -> list[int]:
    """The part of each row."""
    content = rows_of(tmp_path, jsonl({"text": "t", **row} for row in rows), kind="pretrain_corpus")
    checked = SplitPlan(plan.pop("shares", SHARES), **plan).checked(content.names)
    return assign_parts(content, checked).tolist()


def test_seed_decides_and_sizes_are_exact(tmp_path: Path) -> None:
    """FR-003b: the same seed gives the same parts, another seed others; sizes are the ratios to the row."""
    rows = [{"n": n} for n in range(1_003)]
    first = assign(tmp_path, rows, seed=42)
    assert first == assign(tmp_path, rows, seed=42)
    assert first != assign(tmp_path, rows, seed=43)
    assert Counter(first) == {0: 803, 1: 100, 2: 100}
    assert assign(tmp_path, rows[:10], seed=42) == [0, 0, 0, 0, 0, 0, 2, 0, 0, 1], "pinned: no library may change it"
    assert Counter(assign(tmp_path, rows[:9], shares={"train": 2 / 3, "test": 1 / 3})) == {0: 6, 1: 3}


def test_strata_are_balanced(tmp_path: Path) -> None:
    """FR-003b: each part has the mixture of the whole; missing values are a stratum of their own."""
    rows = [{"label": "rare" if n % 10 == 0 else None if n % 10 == 1 else "usual"} for n in range(1_000)]
    parts = assign(tmp_path, rows, stratify_by="label", seed=1)
    mixture = Counter((part, row["label"]) for part, row in zip(parts, rows, strict=True))
    assert [mixture[part, "rare"] for part in range(3)] == [80, 10, 10]
    assert [mixture[part, None] for part in range(3)] == [80, 10, 10]


@pytest.mark.parametrize("stratify", ["", "label"])
def test_groups_never_leak(tmp_path: Path, stratify: str) -> None:
    """FR-003b: rows of one value are in one part; a row without a value is on its own."""
    random = np.random.default_rng(5)
    rows = [
        {"user": f"u{random.integers(60)}" if n % 20 else None, "label": "a" if n % 4 else "b"} for n in range(2_000)
    ]
    parts = assign(tmp_path, rows, group_by="user", stratify_by=stratify, seed=3)
    homes: dict[str, set[int]] = {}
    for part, row in zip(parts, rows, strict=True):
        if row["user"]:
            homes.setdefault(row["user"], set()).add(part)
    assert all(len(found) == 1 for found in homes.values())
    assert len({part for part, row in zip(parts, rows, strict=True) if row["user"] is None}) == 3
    shares = [count / len(rows) for _part, count in sorted(Counter(parts).items())]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.04)


@pytest.mark.parametrize(
    ("plan", "field"),
    [
        ({"shares": {"train": 0.8, "test": 0.1}}, "ratios"),
        ({"shares": {"train": 1.0}}, "ratios"),
        ({"shares": {"train": 1.5, "test": -0.5}}, "ratios"),
        ({"shares": {"train": 0.5, "holdout": 0.5}}, "ratios"),
        ({"shares": {"train": float("nan"), "test": 0.5}}, "ratios"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"stratify_by": "nope"}, "stratifyBy"),
        ({"group_by": "nope"}, "groupBy"),
        ({"group_by": "n", "stratify_by": "n"}, "groupBy"),
        ({"stratify_by": "n"}, "stratifyBy"),
        ({"group_by": "text"}, "ratios"),
    ],
)
def test_impossible_split_is_explained(tmp_path: Path, plan: dict[str, Any], field: str) -> None:
    """P-1: every refusal names its parameter; empty parts and endless strata are refused."""
    with pytest.raises(SplitRefused) as refused:
        assign(tmp_path, [{"n": n} for n in range(1_200)], **plan)
    assert refused.value.field == field


@pytest.mark.django_db
def test_program_splits_a_dataset(cast: Cast, api: Callable[..., ApiClient]) -> None:
    """FR-003b: parts are checked drafts with lineage; together they are the source; audited; repeated names go on."""
    source = make_dataset(cast.ada)
    path = f"/catalog/datasets/{source.pk}/split"
    answer = api(cast.ada).post(path, {"ratios": {"train": 0.5, "validation": 0.25, "test": 0.25}, "seed": 7})
    assert answer.status_code == 200, answer.envelope
    commit_now()
    names = [(one["name"], one["version"], one["rows"]) for one in answer.data["datasets"]]
    assert names == [
        ("support-questions-train", "1.0", 12),
        ("support-questions-validation", "1.0", 6),
        ("support-questions-test", "1.0", 6),
    ]
    seen = []
    for one in answer.data["datasets"]:
        part = Dataset.objects.get(pk=one["id"])
        assert part.source_dataset == source
        assert (part.derivation["kind"], part.derivation["seed"], part.pii_scan_status) == ("split", 7, "clean")
        seen += services.dataset_preview(actor=cast.ada, dataset_id=part.pk).rows
    assert sorted(map(json.dumps, seen)) == sorted(map(json.dumps, clean_rows()))
    assert AuditEvent.objects.get(action="datasets.dataset.split").metadata["seed"] == 7
    again = api(cast.ada).post(path, {"ratios": {"train": 0.5, "test": 0.5}}).data
    assert [one["version"] for one in again["datasets"]] == ["1.0.1", "1.0.1"]
    taken = api(cast.ada).post(path, {"ratios": {"train": 0.5, "test": 0.5}, "version": "1.0.1"})
    assert (taken.status_code, taken.data["errors"][0]["field"]) == (409, "version")
    for body, field in (
        ({"ratios": {"train": 1}}, "ratios"),
        ({"ratios": "half"}, "ratios"),
        ({}, "ratios"),
        ({"ratios": SHARES, "seed": "x"}, "seed"),
        ({"ratios": SHARES, "stratifyBy": "nope"}, "stratifyBy"),
        ({"ratios": SHARES, "version": "latest"}, "version"),
    ):
        refused = api(cast.ada).post(path, body)
        assert refused.status_code == 400, body
        assert refused.data["errors"][0]["field"] == field
    assert api(cast.ben).post(path, {"ratios": SHARES}).status_code == 403
    assert api(cast.eve).post(path, {"ratios": SHARES}).status_code == 404


@pytest.mark.django_db
def test_csv_stays_csv_and_groups_hold(cast: Cast) -> None:
    """FR-003b: text as sent (007), quotes and line ends survive; the parts keep the columns' types."""
    lines = [f'"q {n}\n""x"", {n % 5}",a{n},00{n % 5},{n % 3}' for n in range(60)]
    content = ("instruction,response,code,n\n" + "\n".join(lines) + "\n").encode()
    source = make_dataset(cast.ada, filename="q.csv", content=content)
    done = services.dataset_split(
        actor=cast.ada, dataset_id=source.pk, ratios={"train": 0.5, "test": 0.5}, group_by="code", stratify_by="n"
    )
    commit_now()
    codes = []
    for part in done.datasets:
        assert part.format == "csv"
        assert part.columns == source.columns
        rows = services.dataset_preview(actor=cast.ada, dataset_id=part.pk, limit=100).rows
        codes.append({row["code"] for row in rows})
        assert all(row["instruction"].count('"') == 2 for row in rows)
    assert codes[0] | codes[1] == {"000", "001", "002", "003", "004"}
    assert not codes[0] & codes[1]


@pytest.mark.django_db
def test_failed_part_leaves_nothing(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """FR-003b: all parts or none: when the second cannot be stored the first goes too."""
    source = make_dataset(cast.ada)
    real = deriving.content_take

    def failing(**asked: Any) -> Any:
        if asked["dataset"].name.endswith("-test"):
            raise ConnectionError("store away")
        return real(**asked)

    monkeypatch.setattr(deriving, "content_take", failing)
    with pytest.raises(ConnectionError):
        services.dataset_split(actor=cast.ada, dataset_id=source.pk, ratios={"train": 0.5, "test": 0.5})
    assert list(Dataset.objects.all()) == [source]


@pytest.mark.django_db
def test_large_dataset_is_split_by_a_worker(cast: Cast, api: Callable[..., ApiClient], settings: Any) -> None:
    """P-8: above the size an operation is answered; a lost one is sent again, one that cannot work says why."""
    settings.DATASETS_DERIVE_INLINE_ROWS = 5
    source = make_dataset(cast.ada)
    path = f"/catalog/datasets/{source.pk}/split"
    answer = api(cast.ada).post(path, {"ratios": SHARES}).data
    assert answer["datasets"] == []
    operation = Operation.objects.get(pk=answer["operationId"])
    assert operation.status == "queued"
    commit_now()
    operation.refresh_from_db()
    assert operation.status == "succeeded"
    assert [one["name"] for one in operation.result["datasets"]] == [f"support-questions-{part}" for part in SHARES]
    digests = [Dataset.objects.get(pk=one["id"]).rows_sha256 for one in operation.result["datasets"]]
    settings.DATASETS_DERIVE_INLINE_ROWS = 100
    inline = services.dataset_split(actor=cast.ada, dataset_id=source.pk, ratios=SHARES)
    assert [one.rows_sha256 for one in inline.datasets] == digests, "a worker divides the rows as the request does"
    Dataset.objects.filter(pk__in=[one.pk for one in inline.datasets]).delete()
    settings.DATASETS_DERIVE_INLINE_ROWS = 5
    deriving.derivation_run(operation.pk)
    assert Dataset.objects.count() == 4, "running it again makes nothing"
    second = api(cast.ada).post(path, {"ratios": {"train": 0.5, "test": 0.5}}).data["operationId"]
    services.dataset_upload(
        actor=cast.ada, dataset_id=source.pk, files=[services.Upload("more.jsonl", [rows_bytes(clean_rows(30)[25:])])]
    )
    commit_now()
    failed = Operation.objects.get(pk=second)
    assert failed.status == "failed"
    assert "has changed" in failed.message
    Operation.objects.filter(pk=operation.pk).update(status="running", updated_at=source.created_at.replace(year=2020))
    Operation.objects.filter(pk=operation.pk).update(created_at=source.created_at.replace(year=2020))
    assert services.derivations_reconcile() == 0
    operation.refresh_from_db()
    assert operation.status == "failed", "a day of interruptions is enough"


@pytest.mark.django_db
def test_person_splits_a_dataset(cast: Cast, page: Callable[[Any], Client]) -> None:
    """FR-003b: the form in percent, with its columns; refusals at their field; the parts are on the source's page."""
    source = make_dataset(cast.ada)
    ada = page(cast.ada)
    url = reverse("datasets:dataset-split", args=[source.pk])
    assert "instruction" in ada.get(url).content.decode()
    form = {"train": "50", "validation": "25", "test": "20", "seed": "1"}
    refused = ada.post(url, form)
    assert refused.status_code == 422
    assert "add up to" in refused.content.decode()
    done = ada.post(url, {**form, "test": "25"})
    assert done.headers["Location"] == source.get_absolute_url()
    shown = ada.get(source.get_absolute_url()).content.decode()
    assert "support-questions-validation 1.0" in shown
    part = Dataset.objects.get(name="support-questions-test")
    assert "The test part of" in ada.get(part.get_absolute_url()).content.decode()
    assert page(cast.ben).post(url, form).status_code == 403
    assert page(cast.eve).get(url).status_code == 404


@pytest.mark.django_db
def test_who_may_not_create_cannot_split(cast: Cast) -> None:
    """P-3: splitting makes datasets, so it needs that permission; without files there is nothing to split."""
    source = make_dataset(cast.ada)
    with pytest.raises(PermissionRefused):
        services.dataset_split(actor=cast.chen, dataset_id=source.pk, ratios=SHARES)
    with pytest.raises(Conflict, match="no files"):
        services.dataset_split(
            actor=cast.ada, dataset_id=make_dataset(cast.ada, name="empty", rows=[]).pk, ratios=SHARES
        )
    with pytest.raises(ValidationFailed, match="no rows"):
        services.dataset_split(
            actor=cast.ada, dataset_id=make_dataset(cast.ada, name="tiny", rows=clean_rows(3)).pk, ratios=SHARES
        )
