"""From rows to token ids with labels: loss on answers only, or on every token of a corpus."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from workers.contracts import DatasetType, TrainJobSpec
from workers.runtime.errors import DatasetInvalid
from workers.runtime.prompts import encode, segments
from workers.runtime.rows import Row

IGNORED = -100
"""Label of a token that the loss does not look at."""
MAX_EVAL_ROWS = 500
MIN_BLOCK = 8


@dataclass(frozen=True, slots=True)
class Example:
    """One training sequence; `labels` is as long as `input_ids`."""

    input_ids: list[int]
    labels: list[int]


class Examples(torch.utils.data.Dataset[dict[str, list[int]]]):
    """A list of examples as the training loop wants it."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        example = self._examples[index]
        return {"input_ids": example.input_ids, "labels": example.labels}


@dataclass(frozen=True, slots=True)
class Prepared:
    """Both splits, ready to train on."""

    train: Examples
    evaluation: Examples | None
    skipped: int
    """Rows whose answer lies wholly beyond `max_seq_len`."""


def split_rows(rows: Sequence[Row], *, fraction: float, seed: int) -> tuple[list[Row], list[Row]]:
    """(train, evaluation) rows: a seeded choice, each part in file order."""
    if fraction <= 0 or len(rows) < 2:
        return list(rows), []
    count = min(MAX_EVAL_ROWS, max(1, round(len(rows) * fraction)), len(rows) - 1)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    chosen = set(order[:count].tolist())
    return (
        [row for place, row in enumerate(rows) if place not in chosen],
        [row for place, row in enumerate(rows) if place in chosen],
    )


def prepare(
    spec: TrainJobSpec,
    rows: Sequence[Row],
    tokenizer: Any,
    *,
    check_stop: Callable[[], None],
) -> Prepared:
    """Split and tokenise; raises `DatasetInvalid` when nothing is left to learn from."""
    train_rows, eval_rows = split_rows(rows, fraction=spec.eval_fraction, seed=spec.seed)
    length = spec.hyperparameters.max_seq_len
    build = _corpus if spec.dataset.type is DatasetType.PRETRAIN_CORPUS else _conversations
    train, skipped_train = build(train_rows, tokenizer, length, check_stop)
    evaluation, skipped_eval = build(eval_rows, tokenizer, length, check_stop)
    if not train:
        problem = f"No row has an answer within {length} tokens; raise max_seq_len or shorten the prompts."
        raise DatasetInvalid(problem, field="hyperparameters.max_seq_len")
    return Prepared(
        train=Examples(train),
        evaluation=Examples(evaluation) if evaluation else None,
        skipped=skipped_train + skipped_eval,
    )


def _conversations(
    rows: Sequence[Row], tokenizer: Any, length: int, check_stop: Callable[[], None]
) -> tuple[list[Example], int]:
    examples: list[Example] = []
    for row in rows:
        check_stop()
        input_ids: list[int] = []
        labels: list[int] = []
        for text, is_answer in segments(tokenizer, row.conversation):
            ids = encode(tokenizer, text)
            input_ids += ids
            labels += ids if is_answer else [IGNORED] * len(ids)
        if any(label != IGNORED for label in labels[1:length]):
            examples.append(Example(input_ids[:length], labels[:length]))
    return examples, len(rows) - len(examples)


def _corpus(
    rows: Sequence[Row], tokenizer: Any, length: int, check_stop: Callable[[], None]
) -> tuple[list[Example], int]:
    """Texts, each closed by the end token, joined and cut into blocks of `length` tokens."""
    end = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    stream: list[int] = []
    for row in rows:
        check_stop()
        stream += encode(tokenizer, row.text) + end
    blocks = list(_blocks(stream, length))
    return [Example(block, list(block)) for block in blocks], 0


def _blocks(stream: list[int], length: int) -> Iterator[list[int]]:
    for start in range(0, len(stream), length):
        block = stream[start : start + length]
        if start == 0 or len(block) >= MIN_BLOCK:
            yield block


class Collator:
    """Pads a batch on the right; padding is neither looked at nor learned."""

    def __init__(self, pad_token_id: int) -> None:
        self._pad = pad_token_id

    def __call__(self, batch: Sequence[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        """Tensors `input_ids`, `attention_mask`, `labels`, each (batch, longest sequence)."""
        width = max(len(item["input_ids"]) for item in batch)
        ids = [item["input_ids"] + [self._pad] * (width - len(item["input_ids"])) for item in batch]
        mask = [[1] * len(item["input_ids"]) + [0] * (width - len(item["input_ids"])) for item in batch]
        labels = [item["labels"] + [IGNORED] * (width - len(item["labels"])) for item in batch]
        return {
            "input_ids": torch.tensor(ids, dtype=torch.long),
            "attention_mask": torch.tensor(mask, dtype=torch.long),
            "labels": torch.tensor(labels, dtype=torch.long),
        }
