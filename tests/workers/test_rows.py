"""Reading datasets (FR-004h): every accepted shape, and errors that name line and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.workers.conftest import write_rows
from workers.contracts import DatasetRef, DatasetType
from workers.runtime.errors import DatasetInvalid
from workers.runtime.rows import read_rows

CHAT = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]


@pytest.mark.parametrize(
    ("kind", "row", "question", "answer"),
    [
        (DatasetType.SFT_PAIR, {"instruction": "a", "response": "b", "more": 1}, "a", "b"),
        (DatasetType.SFT_PAIR, {"prompt": "a", "completion": "b"}, "a", "b"),
        (DatasetType.SFT_PAIR, {"messages": [*CHAT, {"role": "user", "content": "?"}]}, "hi", "hello"),
        (DatasetType.BENCHMARK, {"input": "a", "reference": 7}, "a", "7"),
        (DatasetType.BENCHMARK, {"question": "a", "answer": "b"}, "a", "b"),
        (DatasetType.RAG_QA, {"question": "q", "context": "c", "answer": "a"}, "c\n\nq", "a"),
        (DatasetType.PRETRAIN_CORPUS, {"text": "once"}, "once", ""),
    ],
)
def test_trainer_can_read_every_dataset_shape(
    tmp_path: Path, kind: DatasetType, row: dict[str, Any], question: str, answer: str
) -> None:
    """FR-003a: the columns of each dataset type are found by themselves."""
    path = write_rows(tmp_path / "d.jsonl", [row])
    (found,) = read_rows(DatasetRef(path=str(path), type=kind))
    assert (found.question, found.reference) == (question, answer)


def test_trainer_can_be_told_the_columns(tmp_path: Path) -> None:
    """FR-003a: other column names are given by role."""
    path = write_rows(tmp_path / "d.jsonl", [{"q": "a", "a": "b"}])
    columns = {"prompt": "q", "response": "a"}
    (found,) = read_rows(DatasetRef(path=str(path), type=DatasetType.SFT_PAIR, columns=columns))
    assert (found.question, found.reference) == ("a", "b")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no rows"),
        (b"\n\n", "holds no rows"),
        (b"{broken\n", "Line 1 is not valid JSON"),
        (b'"text"\n', "Line 1 is not a JSON object"),
        (b"\xff\xfe\n", "Line 1 is not"),
        (b'{"a": 1}\n', "lacks the columns of sft_pair data: instruction+response or prompt+completion"),
        (b'{"instruction": "a", "response": "b"}\n\n{"instruction": "a"}\n', "Line 3 has no column 'response'"),
        (b'{"instruction": null, "response": "b"}\n', "column 'instruction': must be text, not null"),
        (b'{"instruction": ["a"], "response": "b"}\n', "must be text, not list"),
        (b'{"instruction": " ", "response": "b"}\n', "is empty"),
        (b'{"messages": "x"}\n', "must be a list of messages"),
        (b'{"messages": [{"role": "robot", "content": "x"}]}\n', "message 1 needs a role"),
        (b'{"messages": [{"role": "user", "content": "x"}]}\n', "needs a user message and an assistant"),
        (b"[" * 100_000, "Line 1 is not valid JSON"),
    ],
)
def test_trainer_cannot_be_given_a_broken_dataset(tmp_path: Path, content: bytes, words: str) -> None:
    """FR-004h: a bad row is named by its line; nothing is guessed or skipped silently."""
    path = tmp_path / "d.jsonl"
    path.write_bytes(content)
    with pytest.raises(DatasetInvalid, match=words.replace("+", r"\+")):
        read_rows(DatasetRef(path=str(path), type=DatasetType.SFT_PAIR))


def test_trainer_cannot_read_a_dataset_that_is_not_there(tmp_path: Path) -> None:
    """FR-004h: a missing file and a folder are told in words."""
    for path in (tmp_path / "missing.jsonl", tmp_path):
        with pytest.raises(DatasetInvalid, match="cannot be read"):
            read_rows(DatasetRef(path=str(path), type=DatasetType.SFT_PAIR))
