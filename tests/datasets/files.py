"""Files for the tests of datasets: good ones, and a corpus of hostile ones with what must be said about
them."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from apps.datasets.reading import IncomingFile, Limits, RowsFile, read_files

# Small bounds, so that hostile files stay small too.
SMALL = Limits(max_cell=20_000, max_line=100_000, max_columns=50, batch_rows=100, batch_bytes=100_000)


def jsonl(rows: Iterable[dict[str, Any]]) -> bytes:
    """Rows as JSON Lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def parquet(**columns: Any) -> bytes:
    """Columns as a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def pairs(count: int, **extra: Any) -> list[dict[str, Any]]:
    """Clean instruction pairs."""
    return [
        {
            "instruction": f"How do I reset device {n}?",
            "response": f"Hold the button for {n % 7 + 3} seconds.",
            **extra,
        }
        for n in range(count)
    ]


def pair(**values: Any) -> bytes:
    """One instruction pair with these values, as a line."""
    return jsonl([{"instruction": "a", "response": "b", **values}])


def rows_of(tmp_path: Path, content: bytes, name: str = "rows.jsonl", kind: str = "sft_pair") -> RowsFile:
    """Read ``content`` and give its rows file."""
    source = tmp_path / f"in-{name}"
    source.write_bytes(content)
    target = tmp_path / f"{name}.rows.parquet"
    result = read_files([IncomingFile(name, source)], kind, target, SMALL)
    return RowsFile(target, result.columns)


@dataclass(frozen=True)
class Hostile:
    """A file that must be refused: its name, content, and what the first problem's code and text must be."""

    label: str
    name: str
    content: Callable[[], bytes]
    code: str
    says: str

    def __str__(self) -> str:
        return self.label


def _zip() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.csv", b"0" * 1_000_000)
    return sink.getvalue()


def _parquet_bomb() -> bytes:
    # One value of half a million characters, repeated by the dictionary a thousand times: small on disk.
    return parquet(instruction=["x" * 500_000] * 1_000, response=["y"] * 1_000)


def _empty_parquet() -> bytes:
    return parquet(instruction=pa.array([], pa.string()), response=pa.array([], pa.string()))


def _many_columns() -> bytes:
    return b"instruction,response," + b",".join(b"c%d" % n for n in range(1_000)) + b"\n"


def _cut_parquet() -> bytes:
    return parquet(instruction=["a"], response=["b"])[:-20]


HEAD = b"instruction,response\n"
GOOD = HEAD + b"hello,world\n"
CSV, JSONL, PARQUET = "a.csv", "a.jsonl", "a.parquet"
HOSTILE: tuple[Hostile, ...] = (
    Hostile("empty", CSV, lambda: b"", "empty_file", "empty"),
    Hostile("only white space", JSONL, lambda: b" \n\n \n", "empty_file", "empty"),
    Hostile("header only", CSV, lambda: HEAD, "no_rows", "no rows"),
    Hostile("zip called csv", CSV, _zip, "wrong_format", "ZIP"),
    Hostile("gzip called jsonl", JSONL, lambda: gzip.compress(b"{}" * 99), "wrong_format", "gzip"),
    Hostile("pdf called csv", CSV, lambda: b"%PDF-1.7 whatever", "wrong_format", "PDF"),
    Hostile("parquet called csv", CSV, lambda: parquet(a=[1]), "wrong_format", "Parquet"),
    Hostile("program called jsonl", JSONL, lambda: b"\x7fELF\x02\x01", "wrong_format", "program"),
    Hostile("unknown extension", "a.exe", lambda: GOOD, "file_type", ".csv"),
    Hostile("no extension", "data", lambda: GOOD, "file_type", ".csv"),
    Hostile("spreadsheet", "a.xlsx", _zip, "file_type", ".csv"),
    Hostile("broken utf-8", CSV, lambda: HEAD + "ä,x\n".encode() + b"caf\xe9,x\n", "encoding", "UTF-8"),
    Hostile("latin-1, then utf-8", CSV, lambda: HEAD + b"caf\xe9,x\n" * 9 + "ä,x\n".encode(), "encoding", "line 2"),
    Hostile("latin-1 json", JSONL, lambda: b'{"instruction": "caf\xe9", "response": "b"}\n', "encoding", "UTF-8"),
    Hostile("binary noise", CSV, lambda: HEAD + b"a\x01\xe9,x\n", "encoding", "UTF-8"),
    Hostile("NUL in csv", CSV, lambda: HEAD + b"a\x00b,c\n", "nul_byte", "NUL"),
    Hostile("NUL in json", JSONL, lambda: pair(response="a\x00"), "bad_value", "NUL"),
    Hostile("NUL deep in json", JSONL, lambda: pair(x={"y": ["\x00"]}), "bad_value", "NUL"),
    Hostile("NUL in a key", JSONL, lambda: pair(x={"\x00": 1}), "bad_value", "NUL"),
    Hostile("ragged row", CSV, lambda: HEAD + b"a,b\na,b,c\n", "ragged_row", "line 3"),
    Hostile("short row", CSV, lambda: b"instruction,response,x\na,b\n", "ragged_row", "2 fields"),
    Hostile("open quote", CSV, lambda: HEAD + b'a,b\n"c,d\n', "bad_quoting", "quot"),
    Hostile("stray quote", CSV, lambda: HEAD + b'"a"b,c\n', "bad_quoting", "quot"),
    Hostile("quote never closed", CSV, lambda: HEAD + b'"a,b\n' + b"c,d\n" * 50_000, "row_too_long", "quote"),
    Hostile("wrong columns", CSV, lambda: b"question,reply\na,b\n", "missing_columns", "instruction"),
    Hostile("wrong case", CSV, lambda: b"Instruction,RESPONSE\na,b\n", "missing_columns", "Rename"),
    Hostile("no name", CSV, lambda: b"instruction,response,\na,b,c\n", "bad_header", "no name"),
    Hostile("double name", CSV, lambda: b"instruction,response,x,x\na,b,c,d\n", "bad_header", "Two columns"),
    Hostile("a thousand columns", CSV, _many_columns, "too_many_columns", "columns"),
    Hostile("endless name", CSV, lambda: b"instruction,response," + b"n" * 500 + b"\na,b,c\n", "bad_header", "500"),
    Hostile("endless line", CSV, lambda: GOOD + b"x" * 200_000, "line_too_long", "line 3"),
    Hostile("endless json", JSONL, lambda: b'{"instruction":"' + b"x" * 200_000, "line_too_long", "line 1"),
    Hostile("huge cell", CSV, lambda: GOOD + b"x" * 30_000 + b",y\n", "cell_too_large", "30,000"),
    Hostile("huge json value", JSONL, lambda: pair(response="x" * 30_000), "bad_value", "30,0"),
    Hostile("chat in csv", CSV, lambda: b'messages\n"[]"\n', "wrong_format", "JSONL"),
    Hostile("json array", JSONL, lambda: b'[{"instruction":"a"}]', "json_array", "per line"),
    Hostile("pretty json array", "a.json", lambda: b'[\n {"instruction":"a"}\n]', "json_array", "per line"),
    Hostile("pretty json object", "a.json", lambda: b'{\n "instruction":"a"\n}', "bad_json", "line 1"),
    Hostile("cut json", JSONL, lambda: jsonl(pairs(3)) + b'{"instruction":"a"', "bad_json", "line 4"),
    Hostile("number line", JSONL, lambda: b"1\n2\n", "not_an_object", "object"),
    Hostile("not a number", JSONL, lambda: b'{"instruction": NaN, "response": "b"}', "bad_json", "line 1"),
    Hostile("lone surrogate", JSONL, lambda: rb'{"text": "\ud800"}', "bad_json", "line 1"),
    Hostile("absent key", JSONL, lambda: jsonl([*pairs(2), {"instruction": "a"}]), "missing_columns", "line 3"),
    Hostile("number for text", JSONL, lambda: pair(response=5), "wrong_type", "number"),
    Hostile("object for text", JSONL, lambda: pair(response={"a": 1}), "wrong_type", "object"),
    Hostile(
        "deep nesting", JSONL, lambda: pair()[:-2] + b', "x":' + b"[" * 200 + b"]" * 200 + b"}", "bad_value", "deeper"
    ),
    Hostile(
        "endless nesting",
        JSONL,
        lambda: pair()[:-2] + b', "x":' + b"[" * 40_000 + b"]" * 40_000 + b"}",
        "bad_json",
        "line 1",
    ),
    Hostile(
        "a key per row", JSONL, lambda: b"".join(pair(**{f"k{n}": n}) for n in range(60)), "too_many_columns", "keys"
    ),
    Hostile("empty key", JSONL, lambda: pair(**{"": 1}), "bad_name", "name"),
    Hostile("empty chat", JSONL, lambda: jsonl([{"messages": []}]), "bad_messages", "at least one message"),
    Hostile(
        "chat without answer",
        JSONL,
        lambda: jsonl([{"messages": [{"role": "user", "content": "hi"}]}]),
        "bad_messages",
        "assistant",
    ),
    Hostile(
        "unknown role",
        JSONL,
        lambda: jsonl([{"messages": [{"role": "wizard", "content": "hi"}]}]),
        "bad_messages",
        "wizard",
    ),
    Hostile("not parquet", PARQUET, lambda: GOOD, "wrong_format", "PAR1"),
    Hostile("cut parquet", PARQUET, _cut_parquet, "corrupt", "damaged"),
    Hostile("magic only", PARQUET, lambda: b"PAR1" + b"\xff" * 60 + b"PAR1", "corrupt", "damaged"),
    Hostile("empty parquet", PARQUET, _empty_parquet, "no_rows", "no rows"),
    Hostile(
        "binary column",
        PARQUET,
        lambda: parquet(instruction=["a"], response=["b"], x=[b"\x00"]),
        "binary_column",
        "binary",
    ),
    Hostile("parquet numbers", PARQUET, lambda: parquet(instruction=[1], response=["b"]), "wrong_type", "number"),
    Hostile("parquet bomb", PARQUET, _parquet_bomb, "cell_too_large", "500,000"),
    Hostile("parquet NUL", PARQUET, lambda: parquet(instruction=["a\x00"], response=["b"]), "bad_value", "NUL"),
)
