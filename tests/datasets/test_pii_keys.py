"""FR-003c: personal data in the keys of nested values and in the names of columns is found, blocks and is redacted."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.errors import GateRefused
from apps.core.models import AuditEvent
from apps.datasets import services
from apps.datasets.models import PiiFinding
from apps.datasets.pii import DEFAULT_RULES, PiiRule, Span, redact_names, redact_value, scan_rows, spans
from apps.datasets.pii.keys import leaves
from apps.datasets.pii.names import NamedKind
from tests.datasets.files import jsonl, rows_of
from tests.factories.datasets import clean_rows, last_check, make_dataset
from tests.support.cast import ApiClient, Cast, commit_now

Api = Callable[..., ApiClient]
ALICE = "alice.smith@example.com"
BOB = "bob.smith@example.com"
NAMES = st.text("ab1_[]", max_size=4) | st.sampled_from(
    [ALICE, BOB, f"to {BOB}", "[EMAIL]", "[EMAIL]_2", "4111111111111111", "4111 1111 1111 1111", "role", "prompt"]
)
DIGITS = PiiRule("digit", "digit", "Any digit", "[0-9]", 1.0)


def with_keys(count: int = 30) -> list[dict[str, Any]]:
    """Rows with an address as a key, and another below it."""
    rows = clean_rows(count)
    for row in rows:
        row["meta"] = {"note": "x", ALICE: {"friends": [f"x {BOB}"]}}
    return rows


def test_keys_are_found_at_any_depth_and_their_text_is_kept_nowhere(tmp_path: Path) -> None:
    """FR-003c: the path says that it is a key and which one; neither it nor paths below it hold what was found."""
    result = scan_rows(rows_of(tmp_path, jsonl(with_keys(2))))
    places = [(found.row, found.column, found.path, found.start, found.example) for found in result.findings]
    assert places == [
        (1, "meta", ".(key 2)", 0, "a•••@e•••.com"),
        (1, "meta", ".(value of key 2).friends[0]", 2, "b•••@e•••.com"),
        (2, "meta", ".(key 2)", 0, "a•••@e•••.com"),
        (2, "meta", ".(value of key 2).friends[0]", 2, "b•••@e•••.com"),
    ]
    assert (result.total, result.rows_affected, result.names_affected) == (4, 2, 0)


@pytest.mark.parametrize("value", [[[{ALICE: 1}]], {"a": {"b": [{ALICE: None}]}}, {ALICE: True}, {ALICE: {}}])
def test_keys_are_found_whatever_stands_below_them(tmp_path: Path, value: Any) -> None:
    """FR-003c: also in lists of lists, and above values that are no text."""
    result = scan_rows(rows_of(tmp_path, jsonl([{"instruction": "a", "response": "b", "meta": value}])))
    assert [(found.row, found.type, found.path[-8:]) for found in result.findings] == [(1, "email", ".(key 1)")]


def test_names_of_columns_are_found_once_and_masked(tmp_path: Path) -> None:
    """FR-003c: a find in a name has row 0; finds in the cells of that column do not show the name either."""
    rows = [{"instruction": "a", "response": "b", BOB: f"ask {ALICE}"} for _ in range(3)]
    result = scan_rows(rows_of(tmp_path, jsonl(rows)))
    column = "column 3: b•••@e•••.com"
    assert [(found.row, found.column, found.path) for found in result.findings] == [
        (0, column, "(column name)"),
        *((row, column, "") for row in (1, 2, 3)),
    ]
    assert (result.total, result.rows_affected, result.names_affected) == (4, 3, 1)
    assert result.by_column == {(column, "email"): 4}


def test_names_that_we_prescribe_are_nobodys_data(tmp_path: Path) -> None:
    """FR-003c: a rule that takes any word can neither block nor rename required columns and the keys of chats."""
    rule = PiiRule("word", "word", "Any word", "(?:role|content|messages|prompt)", 1.0)
    chat = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    assert scan_rows(rows_of(tmp_path, jsonl([{"messages": chat}])), [rule]).total == 0
    assert redact_value(chat, [rule]) == (chat, 0)
    assert redact_names(["messages", "role_2"], [rule]) == (["messages", "[WORD]_2"], 1)


class _Lees:
    """Finds a name where a text is one, as a recogniser does."""

    def spans(self, texts: Sequence[str]) -> list[list[Span]]:
        """All of a text that is “Ann Lee”."""
        return [[Span(NamedKind("person", 0.9), 0, len(text), text)] * (text == "Ann Lee") for text in texts]


def test_names_of_people_are_found_in_keys_and_columns_too(tmp_path: Path) -> None:
    """FR-003c: where names are looked for, keys and column names are no exception."""
    rows = rows_of(tmp_path, jsonl([{"instruction": "a", "response": "b", "Ann Lee": {"Ann Lee": 1}}]))
    result = scan_rows(rows, recogniser=_Lees(), named_rows=10)
    assert [(found.row, found.type, found.path) for found in result.findings] == [
        (0, "person", "(column name)"),
        (1, "person", ".(key 1)"),
    ]
    assert redact_value({"Ann Lee": 1}, recogniser=_Lees()) == ({"[PERSON]": 1}, 1)
    assert scan_rows(rows).total == 0


def test_redacted_keys_that_become_the_same_are_numbered() -> None:
    """FR-003c: no entry is lost, and a key without a find keeps its name."""
    value = {ALICE: 1, "[EMAIL]": 2, BOB: [{f"x {BOB}": BOB}], "[EMAIL]_3": 4}
    changed, count = redact_value(value)
    assert changed == {"[EMAIL]_2": 1, "[EMAIL]": 2, "[EMAIL]_4": [{"x [EMAIL]": "[EMAIL]"}], "[EMAIL]_3": 4}
    assert list(changed) == ["[EMAIL]_2", "[EMAIL]", "[EMAIL]_4", "[EMAIL]_3"]
    assert count == 4


def test_numbers_of_redacted_keys_are_no_new_finds() -> None:
    """FR-003c: where any digit is a find, letters tell the keys apart."""
    names, _count = redact_names([str(number) for number in range(9)], [DIGITS])
    assert names == ["[DIGIT]", *(f"[DIGIT]_{letter}" for letter in "bcdefghi")]


def test_many_equal_keys_are_no_trap() -> None:
    """FR-003c: numbering grows with the keys, not with their square (this would take minutes)."""
    names, count = redact_names([f"p{number}@example.com" for number in range(5_000)])
    assert (count, len(set(names)), names[-1]) == (5_000, 5_000, "[EMAIL]_5000")


@given(st.recursive(NAMES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5)))
@settings(max_examples=200, deadline=None)
def test_redacted_value_is_clean_and_loses_nothing(value: Any) -> None:
    """FR-003c: after redaction nothing is found in values or keys, and everything is still there."""
    changed, count = redact_value(value)
    assert not [leaf for leaf in leaves(changed) if spans(leaf.text)]
    assert len(list(leaves(changed))) == len(list(leaves(value)))
    assert bool(count) == any(spans(leaf.text) for leaf in leaves(value))
    assert redact_value(changed) == (changed, 0)


@given(st.lists(NAMES, unique=True, max_size=8))
@settings(max_examples=200, deadline=None)
def test_redacted_names_stay_different(names: list[str]) -> None:
    """FR-003c: columns stay as many as they were, whatever their names become."""
    clean, _count = redact_names(names, (*DEFAULT_RULES, DIGITS))
    assert len(set(clean)) == len(names)


@pytest.mark.django_db
def test_an_address_as_a_key_blocks_until_it_is_redacted(cast: Cast, api: Api) -> None:
    """FR-003c: found in every row, refused at the gate, gone from the copy with nothing else lost."""
    dataset = make_dataset(cast.ada, rows=with_keys())
    assert dataset.pii_scan_status == "failed"
    assert last_check(dataset).pii["byType"] == {"email": 60}
    with pytest.raises(GateRefused):
        services.dataset_submit(actor=cast.ada, dataset_id=dataset.pk)
    report = api(cast.ada).get(f"/catalog/datasets/{dataset.pk}/validation").data["piiScan"]
    assert {place["path"] for place in report["locations"]} == {".(key 2)", ".(value of key 2).friends[0]"}
    assert "smith" not in json.dumps(report)

    copy = services.dataset_redact(actor=cast.ada, dataset_id=dataset.pk)
    commit_now()
    copy.refresh_from_db()
    assert (copy.pii_scan_status, copy.row_count, copy.derivation["replaced"]) == ("clean", 30, 60)
    texts = json.dumps(services.dataset_preview(actor=cast.ada, dataset_id=copy.pk).rows)
    assert "smith" not in texts
    assert "[EMAIL]" in texts


@pytest.mark.django_db
@pytest.mark.parametrize("filename", ["rows.jsonl", "rows.csv"])
def test_an_address_as_the_name_of_a_column_blocks_until_it_is_redacted(
    cast: Cast, api: Api, page: Any, filename: str
) -> None:
    """FR-003c: one finding without a row; the advice names it; the copy has the columns under clean names."""
    rows = [{**row, BOB: "x", ALICE: "y"} for row in clean_rows(30)]
    content = jsonl(rows)
    if filename.endswith(".csv"):
        content = "".join(",".join(line) + "\n" for line in [list(rows[0]), *(row.values() for row in rows)]).encode()
    dataset = make_dataset(cast.ada, content=content, filename=filename)
    assert dataset.pii_scan_status == "failed"
    found = list(PiiFinding.objects.filter(check_run=dataset.last_check).values_list("row", "path", "example"))
    assert found == [(0, "(column name)", "b•••@e•••.com"), (0, "(column name)", "a•••@e•••.com")]
    report = api(cast.ada).get(f"/catalog/datasets/{dataset.pk}/validation").data["piiScan"]
    assert [place["row"] for place in report["locations"]] == [0, 0]
    assert report["recommendations"] == ["Make a redacted version: the names of 2 columns hold e-mail address (2)."]
    with pytest.raises(GateRefused):
        services.dataset_submit(actor=cast.ada, dataset_id=dataset.pk)
    offer = services.dataset_repairs(actor=cast.ada, dataset_id=dataset.pk)[0]
    assert "2 columns are renamed" in offer.text
    assert "(column name)" in page(cast.ada).get(f"/datasets/{dataset.pk}/").content.decode()

    copy = services.dataset_redact(actor=cast.ada, dataset_id=dataset.pk)
    commit_now()
    copy.refresh_from_db()
    assert (copy.pii_scan_status, copy.derivation["replaced"]) == ("clean", 2)
    assert [column.name for column in copy.column_list][-2:] == ["[EMAIL]", "[EMAIL]_2"]
    row = services.dataset_preview(actor=cast.ada, dataset_id=copy.pk).rows[0]
    assert (row["[EMAIL]"], row["[EMAIL]_2"]) == ("x", "y")


@pytest.mark.django_db
def test_reviewer_can_mark_the_name_of_a_column(cast: Cast) -> None:
    """FR-003c: a name can be no personal data as well; the audit trail does not hold it."""
    dataset = make_dataset(cast.ada, rows=[{**row, "help@example.com": "x"} for row in clean_rows(30)])
    finding = PiiFinding.objects.get(check_run=dataset.last_check)
    assert str(finding) == "email in the name, column 3: h•••@e•••.com"
    mark = services.pii_mark_create(
        actor=cast.chen, dataset_id=dataset.pk, finding_id=finding.pk, reason="The help desk."
    )
    dataset.refresh_from_db()
    assert dataset.pii_scan_status == "clean"
    assert str(mark).endswith(", its name")
    event = AuditEvent.objects.get(action="datasets.dataset.pii_mark_confirmed")
    assert "help@" not in json.dumps(event.metadata)
