"""FR-003a: compressed files, old encodings, and files that mean harm: clear answers, bounded memory."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apps.datasets.reading import (
    DataRefused,
    IncomingFile,
    Limits,
    ReadResult,
    RowsFile,
    apart,
    file_format,
    read_files,
)
from apps.datasets.reading.apart import read_bounded
from launcher.paths import ROOT
from tests.datasets.files import HOSTILE, SMALL, jsonl, pairs, parquet, rows_of

GOOD = jsonl(pairs(50))
CSV = b"instruction,response\none,two\n"
MIB = 1024 * 1024
TIGHT = Limits(max_unpacked=2_000_000, max_ratio=50, ratio_from=200_000, cells_from=10_000, max_cells_per_byte=50)
MEMORY = 2 * 1024 * MIB


def zstd(content: bytes) -> bytes:
    """As ``zstd`` packs it."""
    sink = io.BytesIO()
    with pa.CompressedOutputStream(sink, "zstd") as out:
        out.write(content)
        out.flush()
        packed = out
    del packed
    return sink.getvalue()


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP archive."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return sink.getvalue()


def read(tmp_path: Path, name: str, content: bytes, limits: Limits = SMALL) -> ReadResult:
    """Read one file, in the reading process where need be."""
    place = tmp_path / "place"
    place.mkdir(exist_ok=True)
    (place / "upload").write_bytes(content)
    return read_bounded(
        [IncomingFile(name, place / "upload")], "sft_pair", place / "rows.parquet", limits, memory_bytes=MEMORY
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl.gz", gzip.compress(GOOD)),
        ("two members.jsonl.gz", gzip.compress(GOOD[:1000]) + gzip.compress(GOOD[1000:])),
        ("a.JSONL.GZ", gzip.compress(GOOD)),
        ("a.jsonl.bz2", bz2.compress(GOOD)),
        ("a.jsonl.zip", zipped({"inside.jsonl": GOOD})),
        ("a.zip", zipped({"folder/": b"", "folder/inside.jsonl": GOOD, "__MACOSX/._inside.jsonl": b"?"})),
        ("stored.zip", zipped({"inside.jsonl": GOOD}, zipfile.ZIP_STORED)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_compressed_files_are_read(tmp_path: Path, name: str, content: bytes) -> None:
    """FR-003a: gzip (also of several members), bzip2, ZIP with one file give the rows of the plain file."""
    assert file_format(name)
    result = read(tmp_path, name, content)
    assert (result.rows, result.files[0].format) == (50, "jsonl")
    rows = RowsFile(tmp_path / "place" / "rows.parquet", result.columns)
    assert b"".join(rows.json_lines()) == GOOD


def test_zstd_is_read(tmp_path: Path) -> None:
    """FR-003a: zstd, as its own tool packs it, in one frame or several."""
    with pa.output_stream(str(tmp_path / "packed"), compression="zstd") as out:
        out.write(GOOD)
    packed = (tmp_path / "packed").read_bytes()
    assert read(tmp_path, "a.jsonl.zst", packed).rows == 50
    assert read(tmp_path, "a.jsonl.zst", packed + packed).rows == 100


def test_packed_parquet_and_csv_are_read(tmp_path: Path) -> None:
    """FR-003a: every format may be compressed; what is inside a ZIP decides."""
    assert read(tmp_path, "a.parquet.gz", gzip.compress(parquet(instruction=["a"], response=["b"]))).rows == 1
    assert read(tmp_path, "a.zip", zipped({"x.parquet": parquet(instruction=["a"], response=["b"])})).rows == 1
    assert read(tmp_path, "a.csv.gz", gzip.compress(CSV)).files[0].format == "csv"


def test_mistakes_inside_are_told_with_their_lines(tmp_path: Path) -> None:
    """FR-003a: row-level errors name the sent file and the line of its content."""
    with pytest.raises(DataRefused) as caught:
        read(tmp_path, "a.jsonl.gz", gzip.compress(GOOD + b"nonsense\n" * 120))
    assert str(caught.value.problems[0]).startswith("a.jsonl.gz, line 51:")
    assert (len(caught.value.problems), caught.value.more) == (100, 20)


@pytest.mark.parametrize("content", [b"caf\xe9,x\n", b"\x93quoted\x94 \x80 5,x\n"], ids=["latin-1", "windows-1252"])
def test_latin_1_tables_are_read(tmp_path: Path, content: bytes) -> None:
    """FR-003a: a table as old spreadsheets write it is understood, also far from its beginning."""
    rows = rows_of(tmp_path, b"instruction,response\n" + b"plain,x\n" * 200_000 + content, "a.csv")
    assert rows.page(1, 200_000)[0]["instruction"] == content.decode("windows-1252").split(",")[0]


def test_mixed_encodings_are_told_by_line(tmp_path: Path) -> None:
    """FR-003a: a Latin-1 table into which somebody pasted UTF-8 is refused with the line, not read as nonsense."""
    content = b"instruction,response\n" + b"caf\xe9,x\n" * 200_000 + "ä,x\n".encode()
    with pytest.raises(DataRefused) as caught:
        read(tmp_path, "a.csv", content)
    assert caught.value.problems[0].code == "encoding"
    assert "line 200002" in str(caught.value.problems[0])


def test_delta_encoded_parquet_is_read(tmp_path: Path) -> None:
    """FR-003a: encodings that Arrow cannot keep as dictionaries are read all the same."""
    values = [f"a question that begins like the others, number {n}" for n in range(2_000)]
    sink = io.BytesIO()
    encoding = {"instruction": "DELTA_BYTE_ARRAY", "response": "DELTA_LENGTH_BYTE_ARRAY"}
    table = pa.table({"instruction": values, "response": values})
    pq.write_table(table, sink, use_dictionary=False, column_encoding=encoding, row_group_size=300)
    assert read(tmp_path, "a.parquet", sink.getvalue()).rows == 2_000


def _zip_with(**changes: Any) -> bytes:
    """An archive whose entry lies: ``flag_bits``, ``filename``."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        info = zipfile.ZipInfo("inside.jsonl")
        info.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(info, GOOD)
        for name, value in changes.items():
            setattr(archive.filelist[0], name, value)
    return sink.getvalue()


def _size_lies() -> bytes:
    raw = bytearray(zipped({"inside.jsonl": GOOD}))
    at = raw.rfind(b"PK\x01\x02")
    raw[at + 24 : at + 28] = struct.pack("<I", 10)
    return bytes(raw)


def _two_ends() -> bytes:
    """A directory of 30,000 files, of which only the end for large archives tells; the plain end says 100 bytes."""
    header = struct.pack("<HHHHHHIIIHHHHHII", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0)
    local, directory = b"PK\x03\x04" + bytes(26), (b"PK\x01\x02" + header + b"a") * 30_000
    place, size = len(local), len(directory)
    large = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 30_000, 30_000, size, place)
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, place + size, 1)
    plain = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, 100, place, 0)
    return local + directory + large + locator + plain


def _wide_parquet() -> bytes:
    return parquet(**{f"c{n}": [1] for n in range(1_500)})


def _list_bomb() -> bytes:
    values = pa.array(np.zeros(3_000_000, dtype=np.int8))
    lists = pa.ListArray.from_arrays(pa.array([0, 3_000_000], pa.int32()), values)
    return parquet(instruction=["a"], response=["b"], x=lists)


def _promises() -> bytes:
    return parquet(instruction=pa.nulls(200_000, pa.string()), response=pa.nulls(200_000, pa.string()))


def _deep_parquet() -> bytes:
    kind: pa.DataType = pa.int8()
    value: Any = 1
    for _ in range(90):
        kind, value = pa.list_(kind), [value]
    return parquet(instruction=["a"], response=["b"], x=pa.array([value], kind))


BOMB = b"0" * 3_000_000
PACKED: dict[str, tuple[str, Callable[[], bytes], str, str]] = {
    "gzip bomb": ("a.csv.gz", lambda: gzip.compress(BOMB), "unpacks_too_large", "times its size"),
    "bzip2 bomb": ("a.csv.bz2", lambda: bz2.compress(BOMB), "unpacks_too_large", "times its size"),
    "zip bomb": ("a.zip", lambda: zipped({"a.csv": BOMB}), "unpacks_too_large", "times its size"),
    "gzip of gzip": ("a.csv.gz", lambda: gzip.compress(gzip.compress(BOMB)), "wrong_format", "gzip"),
    "zip of zip": ("a.zip", lambda: zipped({"a.zip": zipped({"a.csv": CSV})}), "file_type", "inside"),
    "too large unpacked": (
        "a.jsonl.gz",
        lambda: gzip.compress(np.random.default_rng(1).bytes(2_100_000), 1),
        "unpacks_too_large",
        "Split it",
    ),
    "not gzip": ("a.csv.gz", lambda: CSV, "wrong_format", "gzip"),
    "not zstd": ("a.csv.zst", lambda: gzip.compress(CSV), "wrong_format", "zstd"),
    "not bzip2": ("a.csv.bz2", lambda: CSV, "wrong_format", "bzip2"),
    "not zip": ("a.zip", lambda: CSV, "wrong_format", "ZIP"),
    "cut gzip": ("a.jsonl.gz", lambda: gzip.compress(GOOD)[:-20], "corrupt", "cut off"),
    "bad checksum": ("a.jsonl.gz", lambda: gzip.compress(GOOD)[:-8] + b"\0" * 8, "corrupt", "damaged"),
    "cut bzip2": ("a.jsonl.bz2", lambda: bz2.compress(GOOD)[:-20], "corrupt", "cut off"),
    "damaged zstd": ("a.jsonl.zst", lambda: b"\x28\xb5\x2f\xfd" + b"\xff" * 40, "corrupt", "damaged"),
    "zip without directory": ("a.zip", lambda: zipped({"a.csv": CSV})[:-30], "corrupt", "damaged"),
    "zip magic only": ("a.zip", lambda: b"PK\x03\x04", "corrupt", "directory"),
    "zip size lies": ("a.zip", _size_lies, "corrupt", "damaged"),
    "empty zip": ("a.zip", lambda: zipped({}), "zip_content", "0 files"),
    "zip with two": ("a.zip", lambda: zipped({"a.csv": CSV, "b.csv": CSV}), "zip_content", "2 files"),
    "zip with many": (
        "a.zip",
        lambda: zipped({f"{n}-{'x' * 200}.csv": b"" for n in range(5_000)}),
        "zip_content",
        "too many files",
    ),
    "zip with two ends": ("a.csv.zip", _two_ends, "zip_content", "too many files"),
    "zip path": ("a.zip", lambda: zipped({"../../etc/cron.d/evil.csv": CSV}), "zip_content", "leads elsewhere"),
    "zip absolute path": ("a.zip", lambda: zipped({"/etc/evil.csv": CSV}), "zip_content", "leads elsewhere"),
    "zip drive path": ("a.zip", lambda: zipped({"C:\\evil.csv": CSV}), "zip_content", "leads elsewhere"),
    "zip of a program": ("a.zip", lambda: zipped({"evil.exe": CSV}), "file_type", "evil.exe"),
    "zip unicode trick": ("a.zip", lambda: zipped({"rows\u202evsc.exe": CSV}), "file_type", "taken"),
    "zip password": ("a.zip", lambda: _zip_with(flag_bits=1), "zip_content", "encrypted"),
    "zip by lzma": ("a.zip", lambda: zipped({"a.csv": CSV}, zipfile.ZIP_LZMA), "zip_content", "rare method"),
    "xz": ("a.csv.xz", lambda: lzma.compress(CSV), "file_type", ".zst"),
    "tar": ("a.tar.gz", lambda: gzip.compress(CSV), "file_type", ".gz"),
    "parquet too wide": ("a.parquet", _wide_parquet, "too_many_columns", "1,500"),
    "parquet list bomb": ("a.parquet", _list_bomb, "unpacks_too_large", "unpacks to more"),
    "parquet of promises": ("a.parquet", _promises, "unpacks_too_large", "promises"),
    "parquet nested": ("a.parquet", _deep_parquet, "corrupt", "cannot be read"),
    "cut packed parquet": ("a.parquet.gz", lambda: gzip.compress(b"PAR1" + b"\0" * 99), "corrupt", "Parquet"),
}


@pytest.mark.parametrize("label", PACKED)
def test_hostile_packed_file_is_refused(tmp_path: Path, label: str) -> None:
    """FR-003a: bombs, lies and traps in compressed files and Parquet are refused by name, nothing is left behind."""
    name, content, code, says = PACKED[label]
    with pytest.raises(DataRefused) as caught:
        read(tmp_path, name, content(), TIGHT)
    problem = caught.value.problems[0]
    assert problem.code == code, str(problem)
    assert says in str(problem)
    assert name in str(problem)
    assert "\u202e" not in str(problem)
    assert [path.name for path in (tmp_path / "place").iterdir()] == ["upload"]


def test_reader_that_dies_is_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FR-003a: a file on which the reading process breaks down or falls silent is refused, and nothing is left."""
    content = parquet(instruction=["a"], response=["b"])
    for python in ("/bin/false", "/bin/cat"):
        monkeypatch.setattr(apart.sys, "executable", python)
        with pytest.raises(DataRefused) as caught:
            read(tmp_path, "a.parquet", content)
        assert caught.value.problems[0].code == "too_expensive"
    monkeypatch.setattr(apart.sys, "executable", "/bin/sleep")
    monkeypatch.setattr(apart, "SILENCE", 0.05)
    with pytest.raises(DataRefused):
        read(tmp_path, "a.parquet", content)
    assert [path.name for path in (tmp_path / "place").iterdir()] == ["upload"]


def test_one_enormous_value_in_parquet_is_bounded(tmp_path: Path) -> None:
    """FR-003a: a page of a few kilobytes that unpacks to very much ends the reading process, not the worker."""
    sink = io.BytesIO()
    table = pa.table({"instruction": ["x" * 160 * MIB], "response": ["b"]})
    pq.write_table(table, sink, compression="zstd", use_dictionary=False, write_statistics=False)
    source = tmp_path / "upload"
    source.write_bytes(sink.getvalue())
    with pytest.raises(DataRefused) as caught:
        read_bounded(
            [IncomingFile("a.parquet", source)], "sft_pair", tmp_path / "rows", Limits(), memory_bytes=1000 * MIB
        )
    assert caught.value.problems[0].code in {"too_expensive", "cell_too_large"}


def test_progress_goes_over_both_readings(tmp_path: Path) -> None:
    """FR-003a: progress is told in bytes, over checking and writing, for every format."""
    for name, content in (
        ("a.jsonl", GOOD * 40),
        ("a.parquet", parquet(instruction=["a"] * 999, response=["b"] * 999)),
    ):
        source = tmp_path / name
        source.write_bytes(content)
        seen: list[tuple[int, int]] = []
        read_bounded(
            [IncomingFile(name, source)],
            "sft_pair",
            tmp_path / "rows",
            SMALL,
            memory_bytes=MEMORY,
            progress=lambda done, whole: seen.append((done, whole)),  # noqa: B023 (called before the next round)
        )
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
        assert seen[-1] == (2 * len(content), 2 * len(content))


_MEASURE = """
import json, sys
from pathlib import Path
from apps.datasets.reading import DataRefused, IncomingFile, Limits, read_files
before = None
for line in sys.stdin:
    name, kind, path = json.loads(line)
    try:
        read_files([IncomingFile(name, Path(path))], kind, Path(path + ".rows"), Limits())
        said = "taken"
    except DataRefused as refused:
        said = refused.problems[0].code
    high = next(int(row.split()[1]) for row in open("/proc/self/status") if row.startswith("VmHWM"))
    print(json.dumps([name, said, high // 1024]), flush=True)
"""


def test_memory_stays_bounded_whatever_is_sent(tmp_path: Path) -> None:
    """FR-003a: a process that reads the whole corpus with the real limits, a gigabyte of line, cell, header and bomb
    included, stays small; its peak is read from the kernel, so what C libraries take counts too."""
    cases: list[tuple[str, str]] = [("small.jsonl", "taken")]
    (tmp_path / "0").write_bytes(GOOD)
    for number, hostile in enumerate(HOSTILE, start=1):
        if not hostile.name.endswith(".parquet"):
            (tmp_path / str(number)).write_bytes(hostile.content())
            cases.append((hostile.name, str(number)))
    large = {
        "line of a gigabyte.jsonl": b'{"instruction": "',
        "cell of a gigabyte.csv": CSV + b"x",
        "quoted cell of a gigabyte.csv": CSV + b'"',
    }
    for name, content in large.items():
        path = tmp_path / name
        path.write_bytes(content)
        with path.open("r+b") as handle:
            handle.truncate(1024 * MIB)  # sparse: reads as NUL bytes
        cases.append((name, name))
    with (tmp_path / "header").open("wb") as handle:
        handle.write(b"instruction,response," + b",".join(b"c%d" % n for n in range(1_000_000)) + b"\n")
    cases.append(("a million columns.csv", "header"))
    with gzip.open(tmp_path / "bomb", "wb", 9) as out:
        for _ in range(100):
            out.write(b"\0" * MIB)
    cases.append(("bomb.csv.gz", "bomb"))
    (tmp_path / "lists").write_bytes(b'{"instruction":"a","response":"b","x":[' + b"[]," * 5_000_000 + b"[]]}\n")
    cases.append(("lists.jsonl", "lists"))
    orders = [
        json.dumps([name, "sft_pair", str(tmp_path / ("0" if where == "taken" else where))]) for name, where in cases
    ]
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE],
        input="\n".join(orders),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == len(cases)
    assert told[0][1] == "taken"
    assert [name for name, said, _high in told[-6:] if said == "taken"] == []
    start, peak = told[0][2], told[-1][2]
    assert peak - start < 700, told[-8:]
    assert len(HOSTILE) + len(PACKED) >= 40


def test_big_files_do_not_add_up(tmp_path: Path) -> None:
    """FR-003a: many hostile files in one upload give one bounded list of mistakes."""
    files = []
    for number in range(20):
        path = tmp_path / str(number)
        path.write_bytes(b"nonsense\n" * 50)
        files.append(IncomingFile(f"{number}.jsonl", path))
    with pytest.raises(DataRefused) as caught:
        read_files(files, "sft_pair", tmp_path / "rows", SMALL)
    assert len(caught.value.problems) + caught.value.more == 1_000
    assert len(caught.value.problems) == 100
