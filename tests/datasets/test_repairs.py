"""FR-003c: recommendations one can act on — each a new version, counted beforehand, audited, with lineage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.core.errors import Conflict, NotFound, PermissionRefused, ValidationFailed
from apps.core.models import AuditEvent, Operation
from apps.datasets import services
from apps.datasets.mending import castable
from apps.datasets.models import Dataset, DatasetCheck
from apps.datasets.services import mend
from tests.datasets.files import jsonl, rows_of
from tests.factories.datasets import clean_rows, make_dataset, pii_rows
from tests.support.cast import ApiClient, Cast, commit_now


def untidy_rows() -> list[dict[str, Any]]:
    """Two repeated rows, one without a response, numbers and dates as text."""
    rows = [
        {
            **row,
            "year": str(1990 + n),
            "price": f"{n}.50",
            "ok": "True" if n % 2 else "false",
            "day": f"{n + 1:02}.03.2026",
        }
        for n, row in enumerate(clean_rows())
    ]
    rows[5] = dict(rows[4])
    rows[9] = dict(rows[4])
    rows[7]["response"] = " "
    rows[8]["price"] = None
    return rows


def shown(dataset: Dataset, cast: Cast) -> list[dict[str, Any]]:
    """All rows of a dataset."""
    return services.dataset_preview(actor=cast.ada, dataset_id=dataset.pk, limit=100).rows


def repair(cast: Cast, dataset: Dataset, kind: str, **more: Any) -> Dataset:
    """Do it and let the checks run."""
    made = services.dataset_repair(actor=cast.ada, dataset_id=dataset.pk, kind=kind, **more).datasets[0]
    commit_now()
    return Dataset.objects.get(pk=made.pk)


@pytest.mark.parametrize(
    ("values", "becomes"),
    [
        (["1", "-20", " 3 "], "integer"),
        (["1", "2.5", "1e3"], "number"),
        (["true", "FALSE"], "boolean"),
        (["31.12.2026", "1.2.2026"], "%d.%m.%Y"),
        (["2026/12/31"], "%Y/%m/%d"),
        (["31/12/2026", "01/02/2026"], "%d/%m/%Y"),
        (["12/31/2026", "01/02/2026"], "%m/%d/%Y"),
        (["1", None, ""], "integer"),
        (["03/04/2026"], ""),
        (["2026-12-31"], ""),
        (["007", "12"], ""),
        (["+1", "2"], ""),
        (["32.12.2026"], ""),
        (["1", "two"], ""),
        (["٣", "٤"], ""),
        (["1234567890123456789"], ""),
        ([None, None], ""),
        (["NaN", "1"], ""),
    ],
)
def test_types_are_offered_only_where_nothing_is_lost(tmp_path: Path, values: list[Any], becomes: str) -> None:
    """FR-003c: numbers, truth values and dates in one way of writing; codes, doubtful dates and mixtures stay text."""
    rows = rows_of(tmp_path, jsonl({"text": "t", "v": value} for value in values), kind="pretrain_corpus")
    assert castable(rows).get("v", "") == becomes


@pytest.mark.django_db
def test_program_sees_what_each_repair_changes_and_does_it(cast: Cast, api: Callable[..., ApiClient]) -> None:
    """FR-003c: offers with counts; each repair a version of its own whose checks run, with lineage and audit."""
    source = make_dataset(cast.ada, rows=untidy_rows())
    path = f"/catalog/datasets/{source.pk}/repair"
    ada = api(cast.ada)
    offers = {offer["kind"]: offer for offer in ada.get(path).data}
    assert {kind: offer["rows"] for kind, offer in offers.items()} == {
        "drop_duplicates": 2,
        "drop_missing": 1,
        "cast": 24,
    }
    assert offers["cast"]["columns"] == {"year": "integer", "price": "number", "ok": "boolean", "day": "%d.%m.%Y"}
    assert offers["drop_missing"]["columns"] == {"instruction": "needs a value", "response": "needs a value"}
    done = ada.post(path, {"kind": "drop_duplicates"})
    assert done.status_code == 200, done.envelope
    commit_now()
    copy = Dataset.objects.get(pk=done.data["datasets"][0]["id"])
    assert (copy.version, copy.row_count, copy.source_dataset) == ("1.0.1", 22, source)
    assert (copy.derivation["kind"], copy.derivation["changedRows"]) == ("drop_duplicates", 2)
    assert shown(copy, cast)[4:8] == [untidy_rows()[n] for n in (4, 6, 7, 8)]
    event = AuditEvent.objects.get(action="datasets.dataset.repaired")
    assert (event.metadata["kind"], event.metadata["rows"]) == ("drop_duplicates", 2)
    again = ada.post(path, {"kind": "cast", "version": "3.0"}).data["datasets"][0]
    assert again["version"] == "3.0"
    for body, status, field in (
        ({"kind": "polish"}, 400, "kind"),
        ({}, 400, "kind"),
        ({"kind": "cast", "columns": {"nope": "integer"}}, 400, "columns"),
        ({"kind": "cast", "columns": {"instruction": "integer"}}, 400, "columns"),
        ({"kind": "cast", "columns": {"year": "colour"}}, 400, "columns"),
        ({"kind": "cast", "columns": ["year"]}, 400, "columns"),
        ({"kind": "drop_missing", "columns": {"year": "x"}}, 400, "columns"),
        ({"kind": "drop_missing", "columns": [1]}, 400, "columns"),
        ({"kind": "drop_duplicates", "columns": ["year"]}, 400, "columns"),
        ({"kind": "cast", "version": "x"}, 400, "version"),
        ({"kind": "cast", "version": "3"}, 409, "version"),
    ):
        refused = ada.post(path, body)
        assert refused.status_code == status, body
        assert refused.data["errors"][0]["field"] == field, body
    assert Dataset.objects.count() == 3, "a refused repair leaves nothing"
    assert api(cast.ben).post(path, {"kind": "cast"}).status_code == 403
    assert api(cast.ben).get(path).status_code == 200
    assert api(cast.eve).get(path).status_code == 404


@pytest.mark.django_db
def test_types_are_given(cast: Cast) -> None:
    """FR-003c: numbers become numbers, dates ISO 8601, white space nothing; the rest stays as it was."""
    typed = repair(cast, make_dataset(cast.ada, rows=untidy_rows()), "cast")
    kinds = {column.name: column.kind for column in typed.column_list}
    assert (kinds["year"], kinds["price"], kinds["ok"], kinds["day"]) == ("integer", "number", "boolean", "string")
    row = shown(typed, cast)[3]
    assert (row["year"], row["price"], row["ok"], row["day"]) == (1993, 3.5, True, "2026-03-04")
    assert shown(typed, cast)[8]["price"] is None
    chosen = repair(cast, make_dataset(cast.ada, name="two", rows=untidy_rows()), "cast", columns={"year": "number"})
    assert shown(chosen, cast)[0]["year"] == 1990
    assert shown(chosen, cast)[0]["ok"] == "false"


@pytest.mark.django_db
def test_incomplete_rows_go(cast: Cast) -> None:
    """FR-003c: rows without a required value, or without one in named columns; never all of them."""
    source = make_dataset(cast.ada, rows=untidy_rows())
    assert repair(cast, source, "drop_missing").row_count == 23
    named = repair(cast, source, "drop_missing", columns=["price"])
    assert (named.version, named.row_count) == ("1.0.2", 23)
    assert all(row["price"] for row in shown(named, cast))
    hollow = make_dataset(cast.ada, name="hollow", rows=[{**row, "gap": None} for row in clean_rows()])
    with pytest.raises(Conflict, match="No row"):
        repair(cast, hollow, "drop_missing", columns=["gap"])


@pytest.mark.django_db
def test_csv_stays_csv_where_it_can(cast: Cast) -> None:
    """FR-003c: dropping rows keeps the file a CSV with text as sent; dates in it are rewritten in place."""
    content = b"instruction,response,code,day\na,b,007,31.12.2026\na,b,007,31.12.2026\nc,d,012,1.2.2026\n"
    source = make_dataset(cast.ada, filename="q.csv", content=content)
    unique = repair(cast, source, "drop_duplicates")
    assert (unique.format, unique.row_count) == ("csv", 2)
    assert shown(unique, cast)[0]["code"] == "007"
    dated = repair(cast, source, "cast")
    assert (dated.format, shown(dated, cast)[2]["day"]) == ("csv", "2026-02-01")


@pytest.mark.django_db
def test_masking_is_one_of_the_repairs(cast: Cast) -> None:
    """FR-003c: personal data is offered first, and masked through the same address."""
    source = make_dataset(cast.ada, rows=pii_rows())
    offers = services.dataset_repairs(actor=cast.ada, dataset_id=source.pk)
    assert (offers[0].kind, offers[0].rows) == ("redact", 3)
    copy = repair(cast, source, "redact")
    assert copy.pii_scan_status == "clean"
    assert copy.derivation["kind"] == "redaction"


@pytest.mark.django_db
def test_nothing_to_repair_is_said(cast: Cast) -> None:
    """P-1: clean data has no offers; asking anyway is a conflict with the reason; nobody else finds anything."""
    source = make_dataset(cast.ada)
    assert services.dataset_repairs(actor=cast.ada, dataset_id=source.pk) == []
    for kind, why in (
        ("drop_duplicates", "no row repeats"),
        ("drop_missing", "every row has"),
        ("cast", "no text column"),
    ):
        with pytest.raises(Conflict, match=why):
            services.dataset_repair(actor=cast.ada, dataset_id=source.pk, kind=kind)
    empty = make_dataset(cast.ada, name="empty", rows=[])
    with pytest.raises(Conflict, match="no files"):
        services.dataset_repair(actor=cast.ada, dataset_id=empty.pk, kind="cast")
    with pytest.raises(PermissionRefused):
        services.dataset_repair(actor=cast.finn, dataset_id=source.pk, kind="cast")
    with pytest.raises(NotFound):
        services.dataset_repair(actor=cast.eve, dataset_id=source.pk, kind="cast")
    with pytest.raises(ValidationFailed):
        services.dataset_repair(actor=cast.ada, dataset_id=source.pk, kind="")


@pytest.mark.django_db
def test_large_repair_is_done_by_a_worker(cast: Cast, settings: Any) -> None:
    """P-8: above the size an operation is answered, and its refusals are its message."""
    settings.DATASETS_DERIVE_INLINE_ROWS = 5
    source = make_dataset(cast.ada, rows=untidy_rows())
    asked: dict[str, Any] = {"dataset_id": source.pk, "actor": cast.ada}
    good = services.dataset_repair(kind="drop_duplicates", **asked).operation
    bad = services.dataset_repair(kind="cast", columns={"instruction": "integer"}, **asked).operation
    assert good is not None
    assert bad is not None
    commit_now()
    assert Operation.objects.get(pk=good.pk).result["datasets"][0]["version"] == "1.0.1"
    failed = Operation.objects.get(pk=bad.pk)
    assert failed.status == "failed"
    assert "“instruction”" in failed.message


@pytest.mark.django_db
def test_person_repairs_with_one_click(cast: Cast, page: Callable[[Any], Client]) -> None:
    """FR-003c: the dataset's page loads the offers; a button leads to the new version; readers see no buttons."""
    source = make_dataset(cast.ada, rows=untidy_rows())
    ada = page(cast.ada)
    offers = reverse("datasets:dataset-repairs", args=[source.pk])
    assert f'hx-get="{offers}"' in ada.get(source.get_absolute_url()).content.decode()
    part = ada.get(offers, headers={"HX-Request": "true", "HX-Target": "repairs"}).content.decode()
    assert "2 rows that repeat an earlier row" in part
    assert "<html" not in part
    done = ada.post(reverse("datasets:dataset-repair", args=[source.pk]), {"kind": "drop_duplicates"})
    copy = Dataset.objects.exclude(pk=source.pk).get()
    assert done.headers["Location"] == copy.get_absolute_url()
    commit_now()
    told = ada.get(copy.get_absolute_url()).content.decode()
    assert "Without the repeated rows of" in told
    assert "drop duplicates, 2 rows" in ada.get(source.get_absolute_url()).content.decode()
    assert "As a new version" not in page(cast.ben).get(offers).content.decode()
    assert (
        page(cast.ben).post(reverse("datasets:dataset-repair", args=[source.pk]), {"kind": "cast"}).status_code == 403
    )
    assert page(cast.eve).get(offers).status_code == 404


@pytest.mark.django_db
def test_large_dataset_is_offered_repairs_from_its_checks(cast: Cast, settings: Any) -> None:
    """FR-003c: of a large dataset nothing is read again for the offers; masking, too, is a worker's."""
    settings.DATASETS_DERIVE_INLINE_ROWS = 5
    rows = untidy_rows()
    rows[2]["response"] = "Write to ann.lee@example.com and we will help."
    source = make_dataset(cast.ada, rows=rows)
    offers = {str(one.kind): one for one in services.dataset_repairs(actor=cast.ada, dataset_id=source.pk)}
    assert {kind: one.rows for kind, one in offers.items()} == {
        "redact": 1,
        "drop_duplicates": 2,
        "drop_missing": 1,
        "cast": 24,
    }
    assert offers["cast"].columns["year"] == "integer"
    started = services.dataset_repair(actor=cast.ada, dataset_id=source.pk, kind="redact")
    assert started.operation is not None
    commit_now()
    done = Operation.objects.get(pk=started.operation.pk)
    assert done.status == "succeeded"
    assert Dataset.objects.get(pk=done.result["datasets"][0]["id"]).derivation["replaced"] == 1


@pytest.mark.django_db
@pytest.mark.parametrize("large", ["rows", "bytes"])
def test_viewer_cannot_make_a_request_read_a_large_dataset(
    cast: Cast,
    settings: Any,
    api: Callable[..., ApiClient],
    page: Callable[[Any], Client],
    monkeypatch: pytest.MonkeyPatch,
    large: str,
) -> None:
    """FR-003b: asking what can be repaired never reads all rows of a dataset with many of them, or few large ones;
    before the checks are done the answer says who finds out, afterwards it is theirs."""
    source = make_dataset(cast.ada, rows=untidy_rows())
    path, view = f"/catalog/datasets/{source.pk}/repair", reverse("datasets:dataset-repairs", args=[source.pk])
    ada = api(cast.ada)
    counted = {one["kind"]: one["rows"] for one in ada.get(path).data}
    if large == "rows":
        settings.DATASETS_DERIVE_INLINE_ROWS = 5
    else:
        monkeypatch.setattr(mend, "INLINE_BYTES", 100)
    monkeypatch.setattr(mend, "rows_opened", read_by_nobody)
    offers = {one["kind"]: one["rows"] for one in ada.get(path).data}
    assert offers == {**counted, "cast": 24}
    DatasetCheck.objects.filter(dataset=source).delete()
    waiting = ada.get(path)
    assert waiting.data == []
    assert "a worker finds out with its checks" in waiting.json()["message"]
    told = page(cast.ada).get(view).content.decode()
    assert "a worker finds out with its checks" in told
    assert "Nothing here can be repaired" not in told


def read_by_nobody(_dataset: Dataset) -> Any:
    """Instead of opening all rows."""
    raise AssertionError("all rows were asked for")
