"""FR-003b, FR-003c: statistics and the five components of the quality score, each with what caused it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from apps.datasets.quality import DEFAULT_WEIGHTS, Quality, assess, profile
from tests.datasets.files import jsonl, pairs, rows_of


def judge(tmp_path: Path, rows: list[dict[str, Any]], kind: str = "sft_pair", **more: Any) -> Quality:
    """Quality of rows."""
    return assess(rows_of(tmp_path, jsonl(rows), kind=kind), kind, **more)


def part(quality: Quality, key: str) -> Any:
    """One component."""
    return next(component for component in quality.components if component.key == key)


def test_clean_rows_score_a_hundred(tmp_path: Path) -> None:
    """FR-003c: nothing to complain about, nothing recommended."""
    quality = judge(tmp_path, pairs(60))
    assert quality.overall == 100
    assert set(quality.breakdown().values()) == {100}
    assert quality.recommendations == ()


def test_missing_required_values_cost_points_and_are_placed(tmp_path: Path) -> None:
    """FR-003c: empty, absent and blank cells; the rows and columns are named."""
    rows = pairs(40)
    rows[3]["response"] = None
    rows[5]["response"] = "   "
    rows[7]["instruction"] = ""
    rows[9]["response"] = ""
    quality = judge(tmp_path, rows)
    missing = part(quality, "missingValues")
    assert missing.score == 90
    assert missing.rows == [4, 6, 8, 10]
    assert {entry["column"]: entry["count"] for entry in missing.columns} == {"response": 3, "instruction": 1}
    assert part(quality, "schemaCompliance").score == 90
    assert "4 of 40 rows lack" in missing.explanation
    assert any("rows 4, 6, 8, 10" in text for text in quality.recommendations)


def test_sparse_optional_columns_cost_less(tmp_path: Path) -> None:
    """FR-003c: what nobody requires may be empty at half the price."""
    rows = pairs(40)
    rows[0]["note"] = "only here"
    missing = part(judge(tmp_path, rows), "missingValues")
    assert 80 < missing.score < 90
    assert missing.affected == 0


def test_duplicates_are_counted_after_the_first(tmp_path: Path) -> None:
    """FR-003c: every repetition of an earlier row, whatever the order of its keys."""
    rows = pairs(10)
    copy = {"response": rows[0]["response"], "instruction": rows[0]["instruction"]}
    duplicates = part(judge(tmp_path, [*rows, copy, rows[1], rows[1]]), "duplicates")
    assert duplicates.rows == [11, 12, 13]
    assert duplicates.score == pytest.approx(100 * (1 - 3 / 13), abs=0.1)


def test_outliers_and_constant_columns_are_anomalies(tmp_path: Path) -> None:
    """FR-003c: robust statistics: one absurd length, one absurd number, a column of one value."""
    rows = [{**row, "size": n} for n, row in enumerate(pairs(100))]
    rows[10]["response"] = "x" * 15_000
    rows[20]["size"] = 10**9
    for n, row in enumerate(rows):
        row["response"] = row["response"] + " indeed" * (n % 5)
    distribution = part(judge(tmp_path, rows), "distribution")
    assert set(distribution.rows) == {11, 21}
    assert {(entry["column"], entry["problem"]) for entry in distribution.columns} == {
        ("response", "outlying length"),
        ("size", "outlying value"),
    }
    same = part(judge(tmp_path, [{**row, "response": "yes"} for row in pairs(50)]), "distribution")
    assert same.score == 50
    assert same.columns[0]["problem"] == "constant"
    few = part(judge(tmp_path, pairs(5)), "distribution")
    assert (few.score, "cannot be judged" in few.explanation) == (100, True)


def test_rows_that_break_their_type_are_named(tmp_path: Path) -> None:
    """FR-003c: preference pairs without a preference, answers that repeat the question, mixed kinds."""
    rows = [{"prompt": f"p{n}", "chosen": f"good {n}", "rejected": f"bad {n}"} for n in range(10)]
    rows[4]["rejected"] = rows[4]["chosen"]
    compliance = part(judge(tmp_path, rows, "rlhf_pair"), "schemaCompliance")
    assert (compliance.score, compliance.rows) == (90, [5])
    asked = pairs(10)
    asked[2]["response"] = asked[2]["instruction"]
    asked[6]["level"] = 3
    for n in (0, 1, 3):
        asked[n]["level"] = "high"
    compliance = part(judge(tmp_path, asked), "schemaCompliance")
    assert compliance.rows == [3, 7]


def test_broken_text_is_found(tmp_path: Path) -> None:
    """FR-003c: replacement characters, mojibake, control characters, markup; stray space counts little."""
    rows = pairs(20)
    for n, text in enumerate(["bad \ufffd", "cafÃ©", "it\u00e2\u20ac\u2122s", "bell \x07", "<p>hi</p>", " pad "]):
        rows[n]["response"] = text
    text_format = part(judge(tmp_path, rows), "format")
    assert text_format.rows == [1, 2, 3, 4, 5]
    assert text_format.score == pytest.approx(100 * (1 - 5 / 20 - 0.1 / 20), abs=0.1)
    clean = pairs(5)
    clean[0]["response"] = "1 < 2 and 3 > 2; List<int>; naïve café – “quoted”; tab\tand\nline"
    assert part(judge(tmp_path, clean), "format").score == 100


def test_weights_decide_and_need_not_add_up(tmp_path: Path) -> None:
    """FR-003c: weights come from the settings."""
    rows = [*pairs(10), *pairs(10)]
    assert judge(tmp_path, rows, weights={"duplicates": 5}).overall == 50
    assert judge(tmp_path, rows, weights={"missingValues": 1}).overall == 100
    expected = 100 - DEFAULT_WEIGHTS["duplicates"] * 50
    assert judge(tmp_path, rows).overall == expected
    assert judge(tmp_path, rows, weights={}).overall == expected


def test_a_loss_is_never_rounded_away(tmp_path: Path) -> None:
    """FR-003c: one bad row in thousands leaves 99.9, not 100."""
    rows = pairs(3_000)
    rows[17]["response"] = "<br>"
    quality = judge(tmp_path, rows)
    assert part(quality, "format").score == 99.9
    assert quality.overall == 99.9


def test_statistics_of_columns(tmp_path: Path) -> None:
    """FR-003b: lengths of texts, values of numbers, histograms, frequent values; hostile numbers do no
    harm."""
    rows: list[dict[str, Any]] = [
        {"text": "word " * (n % 4 + 1), "n": n, "lang": "en" if n % 3 else "de"} for n in range(60)
    ]
    rows[0]["lang"] = None
    facts = {entry["name"]: entry for entry in profile(rows_of(tmp_path, jsonl(rows), kind="pretrain_corpus"))}
    assert (facts["n"]["min"], facts["n"]["max"], facts["n"]["mean"]) == (0, 59, 29.5)
    assert facts["n"]["measured"] == "value"
    assert (facts["text"]["min"], facts["text"]["max"]) == (5, 20)
    assert sum(bin_["count"] for bin_ in facts["n"]["histogram"]) == 60
    assert facts["lang"]["missing"] == 1
    assert facts["lang"]["distinct"] == 2
    assert facts["lang"]["topValues"][0] == {"value": "en", "count": 40}
    odd = b"text,x\na,1e308\nb,1e999\nc,-1\n"
    facts = {entry["name"]: entry for entry in profile(rows_of(tmp_path, odd, "odd.csv", "pretrain_corpus"))}
    assert facts["x"]["max"] is None
    assert facts["x"]["histogram"] == []


@pytest.mark.parametrize("name", ["^.*$", "c0", "*", "a.b", "n", "hit", "len", "value", "😀", "x" * 200])
def test_strange_column_names_do_no_harm(tmp_path: Path, name: str) -> None:
    """FR-003a: names that mean something to an engine are only names."""
    rows = [{**row, name: n} for n, row in enumerate(pairs(30))]
    content = rows_of(tmp_path, jsonl(rows))
    assert assess(content, "sft_pair").overall == 100
    assert {entry["name"] for entry in profile(content)} == {"instruction", "response", name}
    assert content.page(1, 3)[0][name] == 3
