"""Tokens and labels (FR-004h): the loss looks at answers only, and at every token of a corpus."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from tests.workers.conftest import numbers, train_spec, write_rows
from workers.contracts import DatasetRef, DatasetType, TrainJobType, TrainMethod
from workers.runtime.rows import read_rows
from workers.trainer.data import IGNORED, Collator, prepare, split_rows

CONVERSATION = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "one"},
    {"role": "assistant", "content": "first answer"},
    {"role": "user", "content": "two"},
    {"role": "assistant", "content": "second answer"},
]


@pytest.fixture(scope="module")
def tokenizer(tiny_model_dir: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_model_dir)


def examples(path: Path, tokenizer: Any, length: int = 64) -> list[dict[str, list[int]]]:
    spec = train_spec(path, Path("out"), Path("base"), eval_fraction=0.0, hyperparameters=numbers(max_seq_len=length))
    prepared = prepare(spec, read_rows(spec.dataset), tokenizer, check_stop=lambda: None)
    return [prepared.train[place] for place in range(len(prepared.train))]


def learned(example: dict[str, list[int]], tokenizer: Any) -> str:
    return str(tokenizer.decode([label for label in example["labels"] if label != IGNORED]))


def test_trainer_can_learn_from_answers_only(tokenizer: Any, tmp_path: Path) -> None:
    """FR-004h: every assistant turn with its end mark is learned; system and user turns are not."""
    path = write_rows(tmp_path / "d.jsonl", [{"messages": CONVERSATION}])
    (example,) = examples(path, tokenizer, length=128)
    assert learned(example, tokenizer) == "first answer<|im_end|>\nsecond answer<|im_end|>\n"
    whole = tokenizer.apply_chat_template(CONVERSATION, tokenize=False)
    assert tokenizer.decode(example["input_ids"]) == whole


def test_trainer_can_learn_without_a_chat_template(tiny_model_dir: Path, tmp_path: Path) -> None:
    """FR-004h: a tokenizer without template gets a plain form that ends with the end token."""
    plain = AutoTokenizer.from_pretrained(tiny_model_dir)
    plain.chat_template = None
    path = write_rows(tmp_path / "d.jsonl", [{"prompt": "one", "completion": "answer"}])
    (example,) = examples(path, plain)
    assert learned(example, plain) == "answer<|im_end|>"


def test_trainer_can_use_a_template_that_rewrites_earlier_turns(tiny_model_dir: Path, tmp_path: Path) -> None:
    """FR-004h: where turns cannot be told apart, the last answer alone is learned."""
    odd = AutoTokenizer.from_pretrained(tiny_model_dir)
    odd.chat_template = "{{ messages | length }}{% for message in messages %}{{ message['content'] }}{% endfor %}"
    path = write_rows(tmp_path / "d.jsonl", [{"messages": CONVERSATION}])
    (example,) = examples(path, odd)
    assert learned(example, odd) == "second answer<|im_end|>"


def test_trainer_can_leave_out_rows_without_room_for_the_answer(tokenizer: Any, tmp_path: Path) -> None:
    """FR-004h: rows whose answer lies beyond the limit are left out; others are cut."""
    rows = [{"prompt": "long " * 100, "completion": "a"}, {"prompt": "x", "completion": "long " * 100}]
    path = write_rows(tmp_path / "d.jsonl", rows)
    (example,) = examples(path, tokenizer, length=32)
    assert len(example["input_ids"]) == len(example["labels"]) == 32


def test_trainer_can_pack_a_corpus(tokenizer: Any, tmp_path: Path) -> None:
    """FR-004h: texts are joined with end tokens and cut into full blocks; every token is learned."""
    path = write_rows(tmp_path / "d.jsonl", [{"text": f"Sentence {n} of the corpus."} for n in range(20)])
    spec = replace(
        train_spec(path, Path("out"), Path("base"), eval_fraction=0.0, hyperparameters=numbers(max_seq_len=16)),
        dataset=DatasetRef(path=str(path), type=DatasetType.PRETRAIN_CORPUS),
    )
    prepared = prepare(spec, read_rows(spec.dataset), tokenizer, check_stop=lambda: None)
    blocks = [prepared.train[place] for place in range(len(prepared.train))]
    assert all(len(block["input_ids"]) == 16 for block in blocks[:-1])
    assert all(block["input_ids"] == block["labels"] for block in blocks)
    joined = tokenizer.decode([token for block in blocks for token in block["input_ids"]])
    assert joined.startswith("Sentence 0 of the corpus.<|im_end|>Sentence 1 of the corpus.<|im_end|>")
    assert TrainJobType.FINETUNE is spec.job_type
    assert TrainMethod.LORA is spec.hyperparameters.method


def test_trainer_can_split_rows_the_same_way_twice(sft_file: Path) -> None:
    """FR-004h: the evaluation split is seeded, disjoint and complete."""
    rows = read_rows(DatasetRef(path=str(sft_file), type=DatasetType.SFT_PAIR))
    train, held = split_rows(rows, fraction=0.25, seed=1)
    assert (len(train), len(held)) == (15, 5)
    assert sorted(row.index for row in train + held) == list(range(20))
    assert split_rows(rows, fraction=0.25, seed=1) == (train, held)
    assert split_rows(rows, fraction=0.25, seed=2)[1] != held
    assert split_rows(rows[:1], fraction=0.5, seed=1) == (rows[:1], [])
    assert len(split_rows(rows[:2], fraction=0.01, seed=1)[1]) == 1


def test_trainer_can_pad_a_batch() -> None:
    """FR-004h: padding is masked from attention and from the loss."""
    batch = [{"input_ids": [1, 2, 3], "labels": [1, 2, 3]}, {"input_ids": [4], "labels": [4]}]
    tensors = {name: value.tolist() for name, value in Collator(9)(batch).items()}
    assert tensors == {
        "input_ids": [[1, 2, 3], [4, 9, 9]],
        "attention_mask": [[1, 1, 1], [1, 0, 0]],
        "labels": [[1, 2, 3], [4, IGNORED, IGNORED]],
    }
