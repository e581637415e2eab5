"""FR-003b: paging, search and sort inside a version — bounded, of a remote store only what is needed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from apps.core.ranges import BLOCK, RangeFile, seekable
from apps.core.storage import S3Store, file_chunks, store
from apps.datasets.browsing import MAX_SORTED, Browse, BrowseRefused, browse
from apps.datasets.reading import RowsFile
from tests.datasets.files import jsonl, rows_of
from tests.factories.datasets import make_dataset
from tests.support.cast import ApiClient, Cast

ROWS: list[dict[str, Any]] = [
    {"text": "Banana", "n": 10, "tags": ["x", 'say "hi"']},
    {"text": "apple", "n": 9, "tags": ["Y"]},
    {"text": "Cherry (ripe)", "n": None, "tags": []},
    {"text": "a.c", "n": -1.5, "tags": ["ä"]},
    {"text": "abc", "n": 10, "tags": ["line\nend"]},
]


@pytest.fixture
def rows(tmp_path: Path) -> RowsFile:
    """Five rows with text, numbers and lists."""
    return rows_of(tmp_path, jsonl(ROWS), kind="pretrain_corpus")


@pytest.mark.parametrize(
    ("order", "numbers"),
    [
        ("n", [3, 1, 0, 4, 2]),
        ("-n", [0, 4, 1, 3, 2]),
        ("text", [3, 4, 1, 0, 2]),
        ("-text", [2, 0, 1, 4, 3]),
    ],
)
def test_rows_are_sorted_as_people_expect(rows: RowsFile, order: str, numbers: list[int]) -> None:
    """FR-003b: numbers as numbers, text in any case, missing values last both ways, equal ones in order."""
    assert browse(rows, Browse(order=order), 10, 0).numbers == numbers
    assert browse(rows, Browse(order=order), 2, 1).numbers == numbers[1:3]
    assert browse(rows, Browse(order=order), 2, 9).numbers == []


@pytest.mark.parametrize(
    ("query", "column", "numbers"),
    [
        ("APPLE", "", [1]),
        ("a.c", "", [3]),
        ("(ripe)", "text", [2]),
        ("10", "", [0, 4]),
        ("10", "text", []),
        ('"hi"', "", [0]),
        ("\n", "tags", [4]),
        ("Ä", "", [3]),
        (".*", "", []),
    ],
)
def test_text_is_found_literally(rows: RowsFile, query: str, column: str, numbers: list[int]) -> None:
    """FR-003b: patterns are only text; quotes and line ends inside lists are found as they read."""
    found = browse(rows, Browse(query, column), 10, 0)
    assert (found.numbers, found.total) == (numbers, len(numbers))
    if numbers:
        both = browse(rows, Browse(query, column, "-n"), 10, 0)
        assert sorted(both.numbers) == numbers


@pytest.mark.parametrize(
    ("asked", "field"),
    [(Browse(order="nope"), "orderBy"), (Browse("x", "nope"), "column"), (Browse("x" * 201), "q")],
)
def test_unknown_columns_are_named(rows: RowsFile, asked: Browse, field: str) -> None:
    """P-1: the refusal names the parameter and what there is."""
    with pytest.raises(BrowseRefused) as refused:
        browse(rows, asked, 10, 0)
    assert refused.value.field == field
    with pytest.raises(BrowseRefused, match="Search, or sort"):
        browse(rows, Browse(order="n"), 10, MAX_SORTED)


def test_pages_over_many_groups_agree_with_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FR-003b: across row groups, pages, single rows and sorted pages are the rows themselves."""
    monkeypatch.setattr("apps.datasets.reading.rows._GROUP_ROWS", 40)
    sent = [{"text": f"row {n}", "n": (n * 37) % 101} for n in range(500)]
    rows = rows_of(tmp_path, jsonl(sent), kind="pretrain_corpus")
    with rows.opened() as file:
        assert file.num_row_groups > 2
    for limit, offset in ((10, 0), (10, 95), (250, 90), (1, 499), (10, 495), (10, 500), (0, 5)):
        assert rows.page(limit, offset) == sent[offset : offset + limit]
    picked = [499, 0, 120, 121, 120]
    assert rows.take(picked) == [sent[n] for n in picked]
    wanted = sorted(range(500), key=lambda n: (sent[n]["n"], n))
    assert browse(rows, Browse(order="n"), 20, 130).numbers == wanted[130:150]
    assert browse(rows, Browse("row 4", "text"), 5, 100).total == 111


@pytest.mark.django_db
def test_program_searches_and_sorts(cast: Cast, api: Callable[..., ApiClient]) -> None:
    """FR-003b: the parameters, the count of matches in the header, the numbers of the rows; unknown ones are a 400."""
    cache.clear()
    dataset = make_dataset(cast.ada)
    path = f"/catalog/datasets/{dataset.pk}/preview"
    ada = api(cast.ada)
    plain = ada.get(f"{path}?limit=3&offset=2").data
    assert plain["rowNumbers"] == [3, 4, 5]
    found = ada.get(f"{path}?q=MODEL%202&limit=2")
    assert found.headers["X-Total-Count"] == "5"
    assert found.data["rowNumbers"] == [3, 21]
    assert found.data["statistics"]["totalRows"] == 24
    assert found.data["matchingRows"] == 5
    again = ada.get(f"{path}?q=MODEL%202&limit=2&offset=4").data
    assert [row["instruction"] for row in again["sampleRows"]] == ["How do I restart the router model 23?"]
    ordered = ada.get(f"{path}?orderBy=-instruction&limit=1").data
    assert ordered["sampleRows"][0]["instruction"].endswith("model 9?")
    for query, field in (("orderBy=nope", "orderBy"), ("column=nope&q=x", "column"), ("sort=x", "sort")):
        refused = ada.get(f"{path}?{query}")
        assert refused.status_code == 400, query
        assert refused.data["errors"][0]["field"] == field


@pytest.mark.django_db
def test_person_searches_the_rows(cast: Cast, page: Callable[[Any], Client]) -> None:
    """FR-003b: search and sort live in the address; what is not found says so; odd values do no harm."""
    cache.clear()
    dataset = make_dataset(cast.ada)
    ada = page(cast.ada)
    url = reverse("datasets:dataset-detail", args=[dataset.pk])
    part = ada.get(url, {"q": "model 17"}, headers={"HX-Request": "true", "HX-Target": "preview"}).content.decode()
    assert "router model 17?" in part
    assert "router model 16?" not in part
    assert 'value="model 17"' in part
    shown = ada.get(url, {"order": "-instruction"}).content.decode()
    assert shown.index("router model 9?") < shown.index("router model 8?")
    assert 'aria-sort="descending"' in shown
    assert "No row holds this text" in ada.get(url, {"q": "zebra"}).content.decode()
    assert "There is no column" in ada.get(url, {"order": "nope"}).content.decode()
    for odd in ({"page": "-1"}, {"page": "x"}, {"page": "9" * 30}, {"q": "<b>"}, {"page": "99"}):
        assert ada.get(url, odd).status_code == 200
    assert "<b>" not in ada.get(url, {"q": "<b>"}).content.decode()


class CountingStore:
    """A store of one object that counts what is fetched."""

    def __init__(self, content: bytes) -> None:
        self.content, self.fetched, self.requests = content, 0, 0

    def size(self, key: str) -> int:
        """Of the object."""
        return len(self.content)

    def open_range(self, key: str, start: int, end: int) -> Any:
        """Some of it."""
        self.requests += 1
        self.fetched += end - start
        yield self.content[start:end]


def test_ranges_read_like_a_file() -> None:
    """FR-003b: any sequence of seeks and reads gives the bytes of the object, in few requests."""
    content = bytes(range(256)) * 8_192
    source = CountingStore(content)
    file = RangeFile(source, "key")  # type: ignore[arg-type]  # the part of a store that is used
    for start, count in ((0, 10), (BLOCK - 5, 10), (len(content) - 3, 10), (7, 2 * BLOCK), (len(content), 5)):
        file.seek(start)
        assert file.read(count) == content[start : start + count]
    assert file.seek(-4, 2) == len(content) - 4
    assert file.read() == content[-4:]
    assert source.requests <= 4
    assert source.fetched <= len(content)


@pytest.mark.django_db
@pytest.mark.s3
def test_first_page_on_s3_reads_a_part(cast: Cast, api: Callable[..., ApiClient], s3: None, tmp_path: Path) -> None:
    """FR-003b: of megabytes in the bucket a page fetches a fraction; search and sort work there as locally."""
    local = rows_of(tmp_path, jsonl(_incompressible(20_000)), kind="pretrain_corpus")
    with local.path.open("rb") as handle:
        stored = store().put("ranges/rows.parquet", file_chunks(handle))
    with seekable(stored.key) as source:
        assert isinstance(source, RangeFile)
        assert RowsFile(Path("x"), local.columns, source).page(10, 0) == local.page(10, 0)
        assert source.read_bytes < stored.size / 4
        assert browse(RowsFile(Path("x"), local.columns, source), Browse(order="-place"), 1, 0).numbers == [19_999]
        assert source.read_bytes < stored.size / 2
    cache.clear()
    dataset = make_dataset(cast.ada)
    path = f"/catalog/datasets/{dataset.pk}/preview"
    assert isinstance(store(), S3Store)
    assert api(cast.ada).get(f"{path}?q=model%2023").data["rowNumbers"] == [24]
    assert api(cast.ada).get(f"{path}?orderBy=-instruction&limit=1").data["rowNumbers"] == [10]


def _incompressible(count: int) -> list[dict[str, Any]]:
    """Rows that stay large in the store."""
    return [
        {"place": n, "text": "".join(hashlib.sha256(f"{n}-{k}".encode()).hexdigest() for k in range(16))}
        for n in range(count)
    ]
