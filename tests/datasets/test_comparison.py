"""FR-003d: what happened to rows and columns between two versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.datasets.comparison import KeyUnusable, RowComparison, compare_rows, schema_changes
from tests.datasets.files import jsonl, rows_of


def compare(tmp_path: Path, old: list[dict[str, Any]], new: list[dict[str, Any]], **more: Any) -> RowComparison:
    """Compare two lists of rows as corpora."""
    sides = []
    for name, rows in (("old", old), ("new", new)):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        sides.append(rows_of(folder, jsonl(rows), kind="pretrain_corpus"))
    return compare_rows(sides[0], sides[1], "pretrain_corpus", **more)


def counts(result: RowComparison) -> tuple[int, int, int, int]:
    """Added, removed, modified, unchanged."""
    return result.added, result.removed, result.modified, result.unchanged


def test_rows_are_recognised_by_an_id_column(tmp_path: Path) -> None:
    """FR-003d: with a key, a changed row is one change, cell by cell."""
    old = [{"id": n, "text": f"text {n}"} for n in range(10)]
    new = [{"id": n, "text": "changed" if n == 4 else f"text {n}"} for n in range(1, 11)]
    result = compare(tmp_path, old, list(reversed(new)))
    assert (result.method, result.key) == ("key", ("id",))
    assert counts(result) == (1, 1, 1, 8)
    assert result.modified_page[0]["rowBefore"] == 5
    assert result.modified_page[0]["changes"] == [{"column": "text", "before": "text 4", "after": "changed"}]
    assert result.added_page[0]["values"] == {"id": 10, "text": "text 10"}
    assert result.removed_page[0]["row"] == 1


def test_rows_without_key_are_compared_whole(tmp_path: Path) -> None:
    """FR-003d: repeated rows are counted one by one."""
    old = [{"text": "a"}, {"text": "a"}, {"text": "b"}]
    new = [{"text": "a"}, {"text": "a"}, {"text": "a"}, {"text": "c"}]
    result = compare(tmp_path, old, new)
    assert (result.method, counts(result)) == ("row", (2, 1, 0, 2))


def test_new_columns_are_no_changed_rows(tmp_path: Path) -> None:
    """FR-003d: a column that came or went is a change of schema."""
    old = [{"id": n, "text": "t", "gone": 1} for n in range(3)]
    new = [{"id": n, "text": "t", "lang": "en"} for n in range(3)]
    assert counts(compare(tmp_path, old, new)) == (0, 0, 0, 3)


def test_text_and_number_of_the_same_look_differ(tmp_path: Path) -> None:
    """FR-003d: values are compared, not spellings of storage."""
    result = compare(
        tmp_path, [{"id": 1, "text": "5"}, {"id": 2, "text": "x"}], [{"id": 1, "text": "5"}, {"id": 2, "text": "x"}]
    )
    assert counts(result) == (0, 0, 0, 2)
    mixed = compare(tmp_path, [{"id": 1, "text": "a", "v": "5"}], [{"id": 1, "text": "a", "v": 5}])
    assert counts(mixed) == (0, 0, 1, 0)


@pytest.mark.parametrize(("key", "says"), [("nope", "no column"), ("text", "not unique"), ("note", "empty")])
def test_unusable_key_is_explained(tmp_path: Path, key: str, says: str) -> None:
    """FR-003d: why a named key does not identify rows."""
    rows = [{"id": n, "text": "same", "note": None if n else "x"} for n in range(3)]
    with pytest.raises(KeyUnusable, match=says):
        compare(tmp_path, rows, rows, key=[key])


def test_differences_are_paged(tmp_path: Path) -> None:
    """FR-003d: counts are of all rows, examples come by the page, in order."""
    old = [{"id": n, "text": "old"} for n in range(100)]
    new = [{"id": n, "text": "new"} for n in range(100)]
    result = compare(tmp_path, old, new, limit=10, offset=20)
    assert result.modified == 100
    assert [entry["rowAfter"] for entry in result.modified_page] == list(range(21, 31))


def test_schema_changes_are_named(tmp_path: Path) -> None:
    """FR-003d: added, removed, another type, may be empty."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    old = rows_of(tmp_path / "a", jsonl([{"text": "a", "n": 1, "gone": "x"}]), kind="pretrain_corpus")
    new = rows_of(tmp_path / "b", jsonl([{"text": "a", "n": "1"}, {"text": None, "n": "2"}]), kind="pretrain_corpus")
    assert {(entry["column"], entry["change"]) for entry in schema_changes(old.columns, new.columns)} == {
        ("gone", "removed"),
        ("n", "type"),
        ("text", "nullable"),
    }


ROWS = st.lists(st.tuples(st.integers(0, 6), st.sampled_from("abc")), max_size=12)


@given(old=ROWS, new=ROWS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_counts_add_up(tmp_path: Path, old: list[tuple[int, str]], new: list[tuple[int, str]]) -> None:
    """FR-003d: every row of either side is in exactly one group, with a key and without."""
    first = [{"text": f"{letter}", "n": number} for number, letter in [(0, "a"), *old]]
    second = [{"text": f"{letter}", "n": number} for number, letter in [(0, "a"), *new]]
    result = compare(tmp_path, first, second)
    assert result.unchanged + result.modified + result.removed == len(first)
    assert result.unchanged + result.modified + result.added == len(second)
    keyed_first = list({row["n"]: {"id": row["n"], "text": row["text"]} for row in first}.values())
    keyed_second = list({row["n"]: {"id": row["n"], "text": row["text"]} for row in second}.values())
    keyed = compare(tmp_path, keyed_first, keyed_second)
    before = {row["id"]: row["text"] for row in keyed_first}
    after = {row["id"]: row["text"] for row in keyed_second}
    assert counts(keyed) == (
        len(after.keys() - before.keys()),
        len(before.keys() - after.keys()),
        sum(before[key] != after[key] for key in before.keys() & after.keys()),
        sum(before[key] == after[key] for key in before.keys() & after.keys()),
    )
