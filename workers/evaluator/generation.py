"""Answers and losses from a model, in batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from workers.contracts import EvaluateJobSpec
from workers.runtime.models import DTYPES, load_model, load_tokenizer, max_positions
from workers.runtime.prompts import encode, prompt_text, segments
from workers.runtime.rows import Messages, Row

FIELD = "model_dir"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said to one prompt. `text` is None where it could not be asked."""

    text: str | None
    prompt_tokens: int
    completion_tokens: int
    latency_ms: float
    error: str = ""


class Model:
    """A loaded model with its tokenizer."""

    def __init__(self, spec: EvaluateJobSpec, device: str) -> None:
        directory = str(spec.model_dir)
        self._spec = spec
        self._device = device
        self._tokenizer: Any = load_tokenizer(directory, field=FIELD)
        self._model: Any = load_model(directory, dtype=DTYPES[spec.precision], field=FIELD).to(device).eval()
        self._positions = max_positions(self._model.config)
        pad = self._tokenizer.pad_token_id
        self._pad = int(pad if pad is not None else self._tokenizer.eos_token_id or 0)

    def answers(self, rows: Sequence[Row], check_stop: Callable[[], None]) -> Iterator[tuple[Row, Answer]]:
        """One answer per row, in order, greedily decoded."""
        for batch in _batches(rows, self._spec.batch_size):
            check_stop()
            yield from zip(batch, self._answer(batch), strict=True)

    def losses(self, rows: Sequence[Row], check_stop: Callable[[], None]) -> Iterator[tuple[Row, float, int]]:
        """(row, summed negative log-likelihood of the reference, its tokens); rows too long are left out."""
        for batch in _batches(rows, self._spec.batch_size):
            check_stop()
            yield from self._losses(batch)

    def _prompt_ids(self, row: Row) -> list[int]:
        return encode(self._tokenizer, prompt_text(self._tokenizer, self._with_system(row.prompt)))

    def _with_system(self, messages: Messages) -> Messages:
        if not self._spec.system_prompt or messages[0]["role"] == "system":
            return messages
        return [{"role": "system", "content": self._spec.system_prompt}, *messages]

    def _limit(self) -> int:
        """Longest prompt that leaves room for the answer."""
        if self._positions is None:
            return self._spec.max_input_tokens
        return min(self._spec.max_input_tokens, self._positions - self._spec.max_new_tokens)

    def _answer(self, batch: Sequence[Row]) -> list[Answer]:
        prompts = [self._prompt_ids(row) for row in batch]
        limit = self._limit()
        fitting = [place for place, ids in enumerate(prompts) if len(ids) <= limit]
        answers = [
            Answer(None, len(ids), 0, 0.0, f"The prompt has {len(ids)} tokens; at most {limit} fit.") for ids in prompts
        ]
        if not fitting:
            return answers
        started = time.monotonic()
        generated = self._generate([prompts[place] for place in fitting])
        latency = 1000 * (time.monotonic() - started) / len(fitting)
        for place, ids in zip(fitting, generated, strict=True):
            text = self._tokenizer.decode(ids, skip_special_tokens=True).strip()
            answers[place] = Answer(text, len(prompts[place]), len(ids), round(latency, 3))
        return answers

    def _generate(self, prompts: list[list[int]]) -> list[list[int]]:
        """New token ids per prompt, end token included. Padding goes left, so that answers start together."""
        width = max(len(ids) for ids in prompts)
        ids = torch.tensor([[self._pad] * (width - len(one)) + one for one in prompts], device=self._device)
        mask = torch.tensor([[0] * (width - len(one)) + [1] * len(one) for one in prompts], device=self._device)
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=self._spec.max_new_tokens,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                pad_token_id=self._pad,
            )
        ends = self._end_ids()
        return [_until_end(line, ends) for line in output[:, width:].tolist()]

    def _end_ids(self) -> frozenset[int]:
        configured = self._model.generation_config.eos_token_id
        if configured is None:
            configured = self._tokenizer.eos_token_id
        if configured is None:
            return frozenset()
        return frozenset(configured if isinstance(configured, list) else [configured])

    def _losses(self, batch: Sequence[Row]) -> list[tuple[Row, float, int]]:
        kept: list[tuple[Row, list[int], int]] = []
        for row in batch:
            pieces = segments(self._tokenizer, self._with_system(row.conversation))
            answer = encode(self._tokenizer, pieces[-1][0])
            prompt = encode(self._tokenizer, "".join(text for text, _ in pieces[:-1]))
            if self._positions is None or len(prompt) + len(answer) <= self._positions:
                kept.append((row, prompt + answer, len(prompt)))
        if not kept:
            return []
        width = max(len(ids) for _, ids, _ in kept)
        ids = torch.tensor([one + [self._pad] * (width - len(one)) for _, one, _ in kept], device=self._device)
        mask = torch.tensor([[1] * len(one) + [0] * (width - len(one)) for _, one, _ in kept], device=self._device)
        with torch.inference_mode():
            logits = self._model(input_ids=ids, attention_mask=mask).logits.float()
            chances = torch.log_softmax(logits[:, :-1], dim=-1)
            picked = -chances.gather(2, ids[:, 1:, None]).squeeze(2)
        results = []
        for place, (row, one, start) in enumerate(kept):
            first = max(start - 1, 0)  # the token at position p is predicted at p - 1
            part = picked[place, first : len(one) - 1]
            results.append((row, float(part.sum()), int(part.numel())))
        return results


def _batches(rows: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _until_end(ids: list[int], ends: frozenset[int]) -> list[int]:
    for place, token in enumerate(ids):
        if token in ends:
            return ids[: place + 1]
    return ids
