"""FR-003c: statistics and quality stay true and bounded however many rows there are; robust statistics by kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.datasets.quality import Quality, assess, examine
from apps.datasets.quality.sketches import Distinct, Duplicates, Frequent, Lengths, Numbers, RowList
from tests.datasets.files import jsonl, pairs, rows_of


def part(quality: Quality, key: str) -> Any:
    """One component."""
    return next(component for component in quality.components if component.key == key)


@given(st.lists(st.integers(0, 40), max_size=200), st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_duplicates_in_files_are_those_in_memory(values: list[int], frame: int) -> None:
    """FR-003c: whether hashes fit into memory or wait in files, the same rows repeat an earlier one."""
    hashes = pl.Series(values, dtype=pl.UInt64).hash(seed=1).to_numpy()
    few, many = Duplicates(len(values), 1 << 20), Duplicates(len(values), 64)
    for start in range(0, len(values), frame):
        for found in (few, many):
            found.add(start, hashes[start : start + frame])
    expected = [n + 1 for n, value in enumerate(values) if value in values[:n]]
    for rows in (few.result(), many.result()):
        assert (rows.count, rows.first) == (len(expected), expected[:20])


def test_files_of_hashes_are_removed(tmp_path: Path) -> None:
    """FR-003c: nothing is left behind."""
    folder = tmp_path / "hashes"
    folder.mkdir()
    found = Duplicates(1_000, 64, folder)
    found.add(0, np.arange(1_000, dtype=np.uint64) << np.uint64(54))
    assert list(folder.iterdir())
    assert found.result().count == 0
    assert not list(folder.iterdir())


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=400), st.integers(1, 90), st.integers(8, 64))
@settings(max_examples=80, deadline=None)
def test_numbers_keep_exact_moments_in_bounded_memory(values: list[float], frame: int, capacity: int) -> None:
    """FR-003b: count, mean, deviation, extremes are exact; what is kept is every k-th number, and never too many."""
    seen = Numbers(capacity)
    array = np.array(values)
    for start in range(0, len(array), frame):
        seen.add(array[start : start + frame])
    assert seen.held == len(seen.values()) <= capacity
    assert (seen.count, seen.low, seen.high) == (len(array), array.min(), array.max())
    assert seen.mean == pytest.approx(array.mean(), rel=1e-9, abs=1e-6)
    assert seen.deviation == pytest.approx(array.std(ddof=1), rel=1e-6, abs=1e-3)
    assert seen.values().tolist() == array[:: seen.stride].tolist()


@pytest.mark.parametrize("count", [5, 8_192, 20_000, 300_000])
def test_distinct_values_are_counted_or_estimated(count: int) -> None:
    """FR-003b: exact for few, within a few percent for many, in 64 KB."""
    seen = Distinct()
    hashes = pl.Series(range(count)).hash(seed=17).to_numpy()
    for start in range(0, count, 50_000):
        seen.add(hashes[start : start + 50_000])
        seen.add(hashes[: start + 1])
    assert seen.smallest.nbytes <= 65_536
    assert seen.estimate() == pytest.approx(count, rel=0 if count < 8_192 else 0.05)


def test_lengths_frequent_values_and_row_lists_are_exact() -> None:
    """FR-003b: long and short lengths, the most frequent values, the first rows."""
    lengths = Lengths()
    lengths.add(np.array([3, 3, 70_000, 300], np.uint32))
    lengths.add(np.array([70_000, 0], np.uint32))
    assert [column.tolist() for column in lengths.table()] == [[0, 3, 300, 70_000], [1, 2, 1, 2]]
    frequent = Frequent()
    frequent.add(pl.Series(["a", "b", "a"]))
    frequent.add(pl.Series(["b", "b", "c"]))
    assert frequent.top(5) == [("b", 3), ("a", 2)]
    rows = RowList()
    rows.add(0, np.array([True, False]))
    rows.add(100, np.ones(50, bool))
    assert (rows.count, rows.first[:3], len(rows.first)) == (51, [1, 101, 102], 20)


def test_small_memory_changes_no_score(tmp_path: Path) -> None:
    """FR-003c: the bound costs time, not truth."""
    rows = [*pairs(400, size=1), *pairs(30, size=1)]
    rows[7]["response"] = ""
    content = rows_of(tmp_path, jsonl(rows))
    wide = examine(content, "sft_pair")
    narrow = examine(content, "sft_pair", memory=100, folder=tmp_path)
    assert wide[1].to_json() == narrow[1].to_json()
    assert wide[0] == narrow[0]


def test_outliers_beside_a_value_that_most_rows_share(tmp_path: Path) -> None:
    """FR-003c: with no median deviation, the middle half decides; with no width at all, nothing does."""
    rows = [{**row, "n": 5 if i % 3 else 5 + i % 7} for i, row in enumerate(pairs(200))]
    rows[50]["n"] = 10_000
    found = part(assess(rows_of(tmp_path, jsonl(rows)), "sft_pair"), "distribution")
    assert 51 in found.rows
    flat = [{**row, "n": 5} for row in pairs(200)]
    flat[50]["n"] = 6
    assert part(assess(rows_of(tmp_path, jsonl(flat), "flat.jsonl"), "sft_pair"), "distribution").score == 100


def test_lengths_that_hardly_differ_are_no_outliers(tmp_path: Path) -> None:
    """FR-003c: among texts of one length a somewhat longer one is nothing; one ten times as long is."""
    rows = pairs(60)
    for row in rows:
        row["response"] = "Hold the button for 3 seconds."
    rows[0]["response"] = "Hold the button for 3 or even 4 seconds."
    for number in range(1, 60, 2):
        rows[number]["response"] = "Hold the button for 12 seconds."
    content = rows_of(tmp_path, jsonl(rows))
    assert part(assess(content, "sft_pair"), "distribution").score == 100
    rows[7]["response"] *= 10
    assert part(assess(rows_of(tmp_path, jsonl(rows), "b.jsonl"), "sft_pair"), "distribution").rows == [8]


def test_rare_words_in_a_column_of_few_words_are_named(tmp_path: Path) -> None:
    """FR-003c: a slip in a column of categories is an anomaly; free text and balanced columns are not."""
    rows = [{**row, "lang": "en" if i % 3 else "de", "topic": f"t{i % 90}"} for i, row in enumerate(pairs(600))]
    rows[123]["lang"] = "ne"
    found = part(assess(rows_of(tmp_path, jsonl(rows)), "sft_pair"), "distribution")
    assert found.rows == [124]
    assert found.columns == [{"column": "lang", "problem": "rare value", "count": 1}]


def test_rows_over_many_groups_are_numbered_through(tmp_path: Path) -> None:
    """FR-003c: what is found in a later part of the file has the number of its row."""
    rows = pairs(70_000)
    rows[69_990]["response"] = "<b>late</b>"
    rows[69_995] = dict(rows[0])
    rows[69_997]["response"] = None
    quality = assess(rows_of(tmp_path, jsonl(rows)), "sft_pair")
    assert part(quality, "format").rows == [69_991]
    assert part(quality, "duplicates").rows == [69_996]
    assert part(quality, "missingValues").rows == [69_998]
    assert part(quality, "schemaCompliance").rows == [69_998]
