"""FR-003b: a page of rows is bounded by bytes, whatever the cells hold."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from apps.datasets.comparison.paging import changes_at
from apps.datasets.reading import RowsFile
from apps.datasets.reading.base import Batch
from apps.datasets.reading.rows import RowsWriter
from apps.datasets.reading.showing import MAX_TEXT, PAGE_BYTES, Shown, same_cell
from apps.datasets.types import Column
from tests.datasets.files import jsonl, rows_of
from tests.factories.datasets import clean_rows, make_dataset
from tests.support.cast import ApiClient, Cast

ROOT = Path(__file__).resolve().parents[2]
MIB = 1024 * 1024
_MEASURE = """
import json, sys
from pathlib import Path
from apps.datasets.reading import RowsFile
from apps.datasets.types import Column
def high():
    return next(int(row.split()[1]) for row in open("/proc/self/status") if row.startswith("VmHWM")) // 1024
path, columns, numbers = json.loads(sys.stdin.read())
rows = RowsFile(Path(path), tuple(Column(*column) for column in columns))
rows.page(1, 0)
start = high()
shown = rows.take(numbers) if numbers else rows.page(1000, 0)
said = json.dumps(shown)
print(json.dumps([len(shown), len(said), high() - start]))
"""


def written(path: Path, columns: list[Column], rows: int, cell: Callable[[int], Any]) -> RowsFile:
    """A rows file whose cells are all ``cell(row)``, written a few rows at a time as the readers do."""
    with RowsWriter(path, columns) as writer:
        for number in range(rows):
            writer.write(Batch({column.name: [cell(number)] for column in columns}, 1))
    return RowsFile(path, tuple(columns))


def measured(rows: RowsFile, numbers: list[int]) -> tuple[int, int, int]:
    """Rows shown, characters of their JSON and MiB by which a process grows that shows them."""
    columns = [[one.name, one.kind, one.nullable, one.stored] for one in rows.columns]
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE],
        input=json.dumps([str(rows.path), columns, numbers]),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    count, said, grown = json.loads(done.stdout)
    return count, said, grown


LONG = [Column("text", "string", False, "text")]
NESTED = [Column("tags", "list", False, "json")]
MANY = [Column(f"text {n}", "string", False, "text") for n in range(20)]


@pytest.mark.parametrize(
    ("columns", "count", "cell"),
    [
        pytest.param(LONG, 150, lambda n: f"{n:06}" + "x" * (4 * MIB - 6), id="texts of 4 MiB"),
        pytest.param(LONG, 60, lambda n: f"{n:06}" + "😀" * MIB, id="wide texts of 4 MiB"),
        pytest.param(NESTED, 60, lambda n: [n, *[[]] * MIB], id="lists of 3 MiB"),
        pytest.param(NESTED, 1_000, lambda n: [n, *[[]] * 6_000], id="lists just short enough"),
        pytest.param(MANY, 1_000, lambda n: f"{n:06}" + "y" * 8_000, id="many middling texts"),
    ],
)
def test_page_of_huge_cells_holds_bounded_memory(
    tmp_path: Path, columns: list[Column], count: int, cell: Callable[[int], Any]
) -> None:
    """FR-003b: page by page or row by row, a process that shows hundreds of megabytes grows by a bounded amount; the
    peak is the kernel's, so what Arrow takes counts too. All rows are there."""
    rows = written(tmp_path / "rows", columns, count, cell)
    for numbers in ([], list(range(count))):
        shown, said, grown = measured(rows, numbers)
        assert shown == count
        assert said < 2.5 * PAGE_BYTES
        assert grown < 260, (numbers[:1], grown)


def test_cells_are_cut_and_say_so(tmp_path: Path) -> None:
    """FR-003b: text, nested values and mixed ones at the same length, each with how long it is; what is short enough
    stays what it was."""
    text, tags = "ä" * (MAX_TEXT + 5), ["a"] * 6_000
    quoted = "\n" * (MAX_TEXT // 2 - 1) + '"' + "\\" * 10
    columns = [*LONG, *NESTED, Column("mixed", "mixed", True, "json")]
    with RowsWriter(tmp_path / "rows", columns) as writer:
        writer.write(Batch({"text": [text, "ä" * MAX_TEXT], "tags": [tags, [1]], "mixed": [quoted, None]}, 2))
    rows = RowsFile(tmp_path / "rows", tuple(columns))
    first, second = rows.page(10, 0)
    assert first["text"] == "ä" * MAX_TEXT + "… (20,005 characters)"
    assert first["tags"] == json.dumps(tags, separators=(",", ":"))[:MAX_TEXT] + "… (24,001 characters of JSON)"
    # The cut falls into the escape of the quotation mark, which goes whole.
    assert first["mixed"] == "\n" * (MAX_TEXT // 2 - 1) + "… (20,020 characters)"
    assert second == {"text": "ä" * MAX_TEXT, "tags": [1], "mixed": None}
    assert rows.take([1, 0, 7, 1]) == [second, first, second]


def test_full_page_is_cut_evenly() -> None:
    """FR-003b: when a page is full all its long cells become shorter, those taken before too; short ones stay."""
    shown = Shown([*LONG, *NESTED], most=50_000)
    schema = pa.schema([("c0", pa.large_string()), ("c1", pa.large_string())])
    for number in range(10):
        cells = [
            pa.array(["z" * 9_000, "short", None], pa.large_string()),
            pa.array(["[1]", "[]", None], schema[1].type),
        ]
        shown.add(pa.RecordBatch.from_arrays(cells, schema=schema))
        assert shown.held <= 50_000
        assert sum(array.nbytes for part in shown._parts for cells in part for array in cells) < 60_000, number
    rows = shown.rows()
    assert [row["text"] for row in rows[:3]] == ["z" * 2_500 + "… (9,000 characters)", "short", None]
    assert rows[27:] == rows[:3]
    assert [row["tags"] for row in rows[:3]] == [[1], [], None]


def test_pages_agree_with_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FR-003b: reading few rows at once changes nothing, whatever page or rows are asked for."""
    monkeypatch.setattr("apps.datasets.reading.rows._GROUP_ROWS", 40)
    monkeypatch.setattr("apps.datasets.reading.rows._SHOWN_BYTES", 300)
    sent = [{"text": f"row {n}", "n": n} for n in range(230)]
    rows = rows_of(tmp_path, jsonl(sent), kind="pretrain_corpus")
    for limit, offset in ((10, 0), (60, 95), (230, 0), (1, 229), (10, 230), (0, 3)):
        assert rows.page(limit, offset) == sent[offset : offset + limit]
    picked = [229, 0, 120, 121, 120, 500]
    assert rows.take(picked) == [sent[n] for n in picked[:-1]]
    assert rows.take([]) == []


def test_long_cells_are_compared_whole_and_shown_cut(tmp_path: Path) -> None:
    """FR-003b: a change behind the cut is found, none is invented, and pages of differences are cut like others."""
    long, tags = "w" * (2 * MAX_TEXT), ["a"] * MAX_TEXT
    old = [long, long, long, "short", "w" * MAX_TEXT]
    new = [long, long + "!", long[:-1] + "!", long, "w" * MAX_TEXT]
    files = []
    for name, texts in (("old", old), ("new", new)):
        with RowsWriter(tmp_path / name, [*LONG, *NESTED]) as writer:
            writer.write(Batch({"text": texts, "tags": [tags, [*tags, name], [name], tags, None]}, 5))
        files.append(RowsFile(tmp_path / name, (*LONG, *NESTED)))
    pages = changes_at(files[0], files[1], [(n, n) for n in range(5)])
    found = [[change["column"] for change in page["changes"]] for page in pages]
    assert found == [[], ["text", "tags"], ["text", "tags"], ["text"], []]
    assert pages[1]["changes"][0]["after"] == "w" * MAX_TEXT + "… (40,001 characters)"
    assert pages[3]["changes"][0]["before"] == "short"
    # One side is cut harder than the other: still the same cells.
    hard = Shown(LONG, most=10_000)
    hard.add(pa.RecordBatch.from_arrays([pa.array(["w" * MAX_TEXT], pa.large_string())], names=["c0"]))
    cut, whole = hard.rows()[0]["text"], files[0].take([4])[0]["text"]
    assert cut != whole
    assert same_cell(cut, whole, one_json=False, other_json=False)
    assert not same_cell(cut, whole[1:], one_json=False, other_json=False)
    assert not same_cell(cut, None, one_json=False, other_json=False)


@pytest.mark.django_db
def test_program_sees_where_a_cell_was_cut(cast: Cast, api: Callable[..., ApiClient]) -> None:
    """FR-003b: plain, searched and sorted previews cut alike, nested cells too, and keep every row."""
    rows = [{**row, "notes": ["n"] * 3} for row in clean_rows()]
    rows[3] |= {"response": "Hold it. " * 5_000, "notes": ["n"] * 9_000}
    dataset = make_dataset(cast.ada, rows=rows)
    ada = api(cast.ada)
    for query in ("limit=1000", "limit=1000&q=router", "limit=1000&orderBy=instruction"):
        answer = ada.get(f"/catalog/datasets/{dataset.pk}/preview?{query}").data
        found = dict(zip(answer["rowNumbers"], answer["sampleRows"], strict=True))
        assert len(found) == 24
        assert found[4]["response"].endswith("… (45,000 characters)")
        assert found[4]["notes"].endswith("… (36,001 characters of JSON)")
        assert max(len(json.dumps(row)) for row in found.values()) < 3 * MAX_TEXT
        assert found[5] == rows[4]
