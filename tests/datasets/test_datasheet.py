"""FR-003: the data sheet — required before review, readable in its retention, never lost by a form."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.core import clock
from apps.core.errors import GateRefused, ValidationFailed
from apps.datasets import services
from apps.datasets.datasheet import SHEET_FIELDS, read_retention, sheet_of, with_sheet
from tests.factories.datasets import SHEET, make_approved_dataset, make_dataset
from tests.support.cast import ApiClient, Cast


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("2028-12-31", date(2028, 12, 31)),
        ("until 2027-01-01, then deleted", date(2027, 1, 1)),
        ("24 months", date(2028, 1, 31)),
        ("one month: 1 month", date(2026, 2, 28)),
        ("P2Y", date(2028, 1, 31)),
        ("P1M10D", date(2026, 3, 10)),
        ("90 days after approval", date(2026, 5, 1)),
        ("2 Weeks", date(2026, 2, 14)),
        ("99999 years", None),
        ("unlimited", None),
        ("2028-13-45", None),
        ("as long as we need it", None),
        ("", None),
        ("1.5 years", None),
    ],
)
def test_retention_is_read_from_words(text: str, end: date | None) -> None:
    """FR-003: dates and periods have an end; everything else has none, and says whether it could be read."""
    retention = read_retention(text)
    assert retention.end(date(2026, 1, 31)) == end
    assert retention.readable is (end is not None or text in {"unlimited", "99999 years"})


def test_nobody_can_write_a_retention_that_takes_minutes_to_read() -> None:
    """FR-003: metadata may hold long texts; twenty thousand blanks took forty seconds on every page."""
    began = time.process_time()
    assert not read_retention("12" + " " * 20_000 + "x").readable
    assert not read_retention("1 " * 20_000).readable
    assert time.process_time() - began < 2


def test_sheet_is_read_where_people_keep_it() -> None:
    """FR-003: in metadata.datasheet, else at the top of the metadata, in either spelling; shapes do no harm."""
    assert sheet_of({"datasheet": SHEET}).complete
    old = {
        "description": "d",
        "source": ["a", "b"],
        "legalBasis": "x",
        "license": "MIT",
        "retentionUntil": "2030-01-01",
    }
    sheet = sheet_of({**old, "contact": {"name": "Ann", "mail": "a@b"}})
    assert sheet.complete
    assert sheet.values["source"] == "a, b"
    assert sheet.percent == 100
    for odd in ({}, {"datasheet": 7}, {"datasheet": {"what": 1, "source": [[]], "consent": "  "}}):
        assert [field.name for field in sheet_of(odd).missing] == [field.name for field in SHEET_FIELDS]
    both = sheet_of({"source": "top", "datasheet": {"source": "own"}})
    assert (both.values, both.percent) == ({"source": "own"}, 17)


def test_form_fields_replace_every_spelling_and_keep_the_rest() -> None:
    """FR-003: an edited field replaces its older spellings; what a form does not know stays."""
    merged = with_sheet({"a": 1, "datasheet": {"license": "MIT", "reviewer": "Bo"}}, {"licence": "CC0", "what": " "})
    assert merged == {"a": 1, "datasheet": {"licence": "CC0", "reviewer": "Bo"}}
    assert with_sheet({"a": 1, "datasheet": {"what": "x"}}, {"what": ""}) == {"a": 1}


@pytest.mark.django_db
def test_submitter_cannot_ask_for_review_without_the_sheet(cast: Cast, api: Callable[..., ApiClient]) -> None:
    """FR-003: the refusal and the detail name what is missing; filled in, it is taken."""
    ada = api(cast.ada)
    dataset = make_dataset(cast.ada, metadata={"datasheet": {"what": "Questions", "licence": "MIT"}})
    path = f"/catalog/datasets/{dataset.pk}"
    refused = ada.patch(f"{path}/status", {"status": "pending_review"})
    assert refused.status_code == 422
    assert refused.data["errors"][0]["field"] == "datasheet"
    assert "source, consent, retention, contact" in refused.data["errors"][0]["message"]
    shown = ada.get(path).data["dataSheet"]
    assert shown["missing"] == ["source", "consent", "retention", "contact"]
    assert (shown["percent"], shown["complete"]) == (33, False)
    with clock.frozen(datetime(2026, 5, 31, tzinfo=UTC)):
        changed = ada.patch(path, {"metadata": {"datasheet": {**SHEET, "retention": "2031-01-31"}}})
    assert changed.data["dataSheet"]["complete"] is True
    assert changed.data["retentionUntil"] == "2031-01-31"
    assert ada.patch(f"{path}/status", {"status": "pending_review"}).status_code == 200


@pytest.mark.django_db
def test_period_counts_from_the_approval(cast: Cast) -> None:
    """FR-003: “12 months” ends a year after the reviewer said yes; words without a date end nothing and say so."""
    with clock.frozen(datetime(2026, 2, 1, tzinfo=UTC)):
        dataset = make_dataset(cast.ada, metadata={"datasheet": {**SHEET, "retention": "12 months"}})
    assert dataset.retention_until == date(2027, 2, 1)
    services.dataset_submit(actor=cast.ada, dataset_id=dataset.pk)
    with clock.frozen(datetime(2026, 3, 15, tzinfo=UTC)):
        approved = services.dataset_decide(actor=cast.chen, dataset_id=dataset.pk, decision="approve")
    assert approved.retention_until == date(2027, 3, 15)
    with clock.frozen(datetime(2027, 3, 15, 23, tzinfo=UTC)):
        services.dataset_require_usable(dataset=approved)
    with clock.frozen(datetime(2027, 3, 16, tzinfo=UTC)), pytest.raises(GateRefused, match="retention"):
        services.dataset_require_usable(dataset=approved)
    words = make_approved_dataset(
        cast, version="2", metadata={"datasheet": {**SHEET, "retention": "as long as we need it"}}
    )
    assert words.retention_until is None


@pytest.mark.django_db
@pytest.mark.parametrize("sheet", ["text", 7, [], {"what": "x" * 4_001}])
def test_sheet_of_a_wrong_shape_is_refused(cast: Cast, sheet: Any) -> None:
    """P-1: what cannot be a sheet is named with the remedy, and nothing is made."""
    with pytest.raises(ValidationFailed, match="datasheet") as refused:
        make_dataset(cast.ada, metadata={"datasheet": sheet}, rows=[])
    assert refused.value.errors[0].field == "metadata"


@pytest.mark.django_db
def test_person_fills_in_the_sheet(cast: Cast, page: Callable[[Any], Client]) -> None:
    """FR-003: the page shows how complete it is and what is missing; the form fills it and keeps the other metadata."""
    dataset = make_dataset(cast.ada, metadata={"datasheet": {"what": "Old", "note": "kept"}, "language": "en"}, rows=[])
    ada = page(cast.ada)
    detail = reverse("datasets:dataset-detail", args=[dataset.pk])
    shown = ada.get(detail).content.decode()
    assert "17 % complete" in shown
    assert "Needed before review" in shown
    edit = reverse("datasets:dataset-update", args=[dataset.pk])
    assert 'value="Old"' in (form := ada.get(edit).content.decode()) or ">Old" in form or "\nOld" in form
    fields = {
        "name": dataset.name,
        "visibility": "team",
        "metadata": '{"language": "en", "datasheet": {"note": "kept"}}',
    }
    assert ada.post(edit, {**fields, **SHEET}).status_code == 302
    dataset.refresh_from_db()
    assert dataset.metadata == {"language": "en", "datasheet": {"note": "kept", **SHEET}}
    assert "100 % complete" in ada.get(detail).content.decode()
