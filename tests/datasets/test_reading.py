"""FR-003a: reading uploaded files — every good form is understood, every bad one refused with its place."""

from __future__ import annotations

import codecs
import json
import tracemalloc
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from apps.datasets.reading import DataRefused, IncomingFile, RowsFile, read_files
from tests.datasets.files import HOSTILE, SMALL, Hostile, jsonl, pairs, parquet, rows_of

TEXT = 'instruction,response\n"one, two",zwei\n"line\nbreak","say ""hi"""\nä,\n'
EXPECTED = [
    {"instruction": "one, two", "response": "zwei"},
    {"instruction": "line\nbreak", "response": 'say "hi"'},
    {"instruction": "ä", "response": None},
]


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        codecs.BOM_UTF32_LE + TEXT.encode("utf-32-le"),
    ],
    ids=["utf-8", "utf-8 mark", "utf-16-le mark", "utf-16-be mark", "utf-16-le", "utf-16-be", "utf-32 mark"],
)
def test_encodings_are_understood(tmp_path: Path, content: bytes) -> None:
    """FR-003a: UTF-8, UTF-16 and UTF-32 with and without marks give the same rows."""
    assert rows_of(tmp_path, content, "a.csv").page(10, 0) == EXPECTED


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_delimiters_and_line_ends_are_found(tmp_path: Path, delimiter: str, newline: str) -> None:
    """FR-003a: the delimiter is found by trying; old line ends are read too."""
    lines = [delimiter.join(cells) for cells in (("instruction", "response"), ("a b", "c"), ("d", '"e,;|f"'))]
    rows = rows_of(tmp_path, newline.join(lines).encode(), "a.csv")
    assert rows.page(10, 0) == [
        {"instruction": "a b", "response": "c"},
        {"instruction": "d", "response": "e,;|f"},
    ]


def test_text_with_commas_does_not_confuse_the_delimiter(tmp_path: Path) -> None:
    """FR-003a: a semicolon file full of commas is still a semicolon file."""
    content = "instruction;response\n" + "a, b, c;d, e\n" * 20
    rows = rows_of(tmp_path, content.encode(), "a.csv")
    assert rows.page(1, 0) == [{"instruction": "a, b, c", "response": "d, e"}]


def test_csv_keeps_text_as_sent_and_names_types(tmp_path: Path) -> None:
    """FR-003b: numbers in CSV are named as such and nothing is rewritten: 007 stays 007."""
    content = b"instruction,response,code,size,count,flag\na,b,007,1.5,1,true\nc,d,12,2,22,false\n"
    rows = rows_of(tmp_path, content, "a.csv")
    kinds = {column.name: column.kind for column in rows.columns}
    assert kinds == {
        "instruction": "string",
        "response": "string",
        "code": "number",
        "size": "number",
        "count": "integer",
        "flag": "boolean",
    }
    assert rows.page(1, 0)[0]["code"] == "007"


def test_json_values_come_back_as_sent(tmp_path: Path) -> None:
    """FR-003a: nested values, numbers, booleans and late columns keep their values and places."""
    sent = [
        {"instruction": "a", "response": "b", "meta": {"n": [1, 2.5, None, "x"]}, "score": 3, "ok": True},
        {"instruction": "c", "response": "d", "score": 3.5, "mixed": "7"},
        {"instruction": "e", "response": "f", "mixed": 7, "^.*$": "name"},
    ]
    rows = rows_of(tmp_path, jsonl(sent))
    back = [{key: value for key, value in row.items() if value is not None} for row in rows.page(10, 0)]
    assert back == sent
    kinds = {column.name: column.kind for column in rows.columns}
    assert kinds["meta"] == "object"
    assert kinds["mixed"] == "mixed"
    assert kinds["score"] == "number"
    lines = b"".join(rows.json_lines()).decode().splitlines()
    assert [{k: v for k, v in json.loads(line).items() if v is not None} for line in lines] == sent


def test_parquet_types_come_back_as_json(tmp_path: Path) -> None:
    """FR-003a: Parquet with nested types, times and decimals; not-a-number is a missing value."""
    content = parquet(
        instruction=["a", "b"],
        response=["c", None],
        tags=[["x", "y"], []],
        struct=[{"k": 1}, {"k": None}],
        when=[datetime(2026, 1, 2, tzinfo=UTC), None],
        price=[Decimal("1.50"), None],
        value=[1.5, float("nan")],
        count=[1, 2],
    )
    rows = rows_of(tmp_path, content, "a.parquet").page(10, 0)
    assert rows[0] == {
        "instruction": "a",
        "response": "c",
        "tags": ["x", "y"],
        "struct": {"k": 1},
        "when": "2026-01-02T00:00:00+00:00",
        "price": "1.50",
        "value": 1.5,
        "count": 1,
    }
    assert rows[1]["value"] is None
    assert rows[1]["response"] is None


def test_several_files_become_one_set_of_rows(tmp_path: Path) -> None:
    """FR-003a: files of different forms are read in order; columns are united."""
    (tmp_path / "a.csv").write_bytes(b"prompt,completion\none,1\n")
    (tmp_path / "b.jsonl").write_bytes(jsonl([{"prompt": "two", "completion": "2", "lang": "en"}]))
    files = [IncomingFile(name, tmp_path / name) for name in ("a.csv", "b.jsonl")]
    result = read_files(files, "sft_pair", tmp_path / "rows.parquet", SMALL)
    rows = RowsFile(tmp_path / "rows.parquet", result.columns)
    assert [row["prompt"] for row in rows.page(10, 0)] == ["one", "two"]
    assert [info.rows for info in result.files] == [1, 1]
    assert result.required == ("prompt", "completion")
    assert [row["prompt"] for row in rows.take([1, 0])] == ["two", "one"]


def test_files_must_agree_on_the_spelling(tmp_path: Path) -> None:
    """FR-003a: one dataset uses one spelling of its required columns."""
    (tmp_path / "a.csv").write_bytes(b"prompt,completion\none,1\n")
    (tmp_path / "b.csv").write_bytes(b"instruction,response\ntwo,2\n")
    files = [IncomingFile(name, tmp_path / name) for name in ("a.csv", "b.csv")]
    with pytest.raises(DataRefused) as caught:
        read_files(files, "sft_pair", tmp_path / "rows", SMALL)
    assert caught.value.problems[0].file == "b.csv"
    assert "prompt" in str(caught.value.problems[0])


@pytest.mark.parametrize("hostile", HOSTILE, ids=str)
def test_hostile_file_is_refused(tmp_path: Path, hostile: Hostile) -> None:
    """FR-003a: a bad file gets its clear answer, within bounded memory, and nothing is written."""
    source = tmp_path / "upload"
    source.write_bytes(hostile.content())
    target = tmp_path / "rows.parquet"
    tracemalloc.start()
    try:
        with pytest.raises(DataRefused) as caught:
            read_files([IncomingFile(hostile.name, source)], "sft_pair", target, SMALL)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    problem = caught.value.problems[0]
    assert problem.code == hostile.code, str(problem)
    assert hostile.says in str(problem)
    assert hostile.name in str(problem)
    assert not target.exists()
    assert peak < 30_000_000


def test_mistakes_are_counted_beyond_a_hundred(tmp_path: Path) -> None:
    """FR-003a: up to a hundred mistakes with their lines, and the number of the rest."""
    source = tmp_path / "a.jsonl"
    source.write_bytes(jsonl(pairs(10)) + b"nonsense\n" * 250 + jsonl(pairs(1)))
    with pytest.raises(DataRefused) as caught:
        read_files([IncomingFile("a.jsonl", source)], "sft_pair", tmp_path / "r", SMALL)
    assert len(caught.value.problems) == 100
    assert caught.value.more == 150
    assert [problem.line for problem in caught.value.problems[:2]] == [11, 12]


CHAT = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("pretrain_corpus", {"text": "a"}),
        ("sft_pair", {"prompt": "a", "completion": "b"}),
        ("sft_pair", {"messages": CHAT}),
        ("rag_qa", {"question": "a", "context": ["b", "c"], "answer": "d"}),
        ("rlhf_pair", {"prompt": "a", "chosen": "b", "rejected": "c"}),
        ("benchmark", {"input": "a", "reference": "b", "slice": "x"}),
        ("benchmark", {"question": "a", "answer": 4}),
    ],
)
def test_each_type_takes_its_columns(tmp_path: Path, kind: str, row: dict[str, object]) -> None:
    """FR-003a: the required columns by dataset type, in their accepted spellings; other columns are kept."""
    assert rows_of(tmp_path, jsonl([row]), kind=kind).page(1, 0) == [row]


def test_memory_stays_bounded_over_many_rows(tmp_path: Path) -> None:
    """FR-003a: reading forty megabytes holds far less than that."""
    source = tmp_path / "big.jsonl"
    with source.open("wb") as handle:
        for _part in range(40):
            handle.write(jsonl({"text": "word " * 200, "n": n} for n in range(1_000)))
    files = [IncomingFile("big.jsonl", source)]
    tracemalloc.start()
    try:
        result = read_files(files, "pretrain_corpus", tmp_path / "rows.parquet", SMALL)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.rows == 40_000
    assert peak < 20_000_000
