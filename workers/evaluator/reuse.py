"""Answers of an earlier run, taken from its samples file."""

from __future__ import annotations

from pathlib import Path

from workers.contracts import SampleResult, SpecError
from workers.evaluator.generation import Answer
from workers.runtime.errors import SpecInvalid
from workers.runtime.rows import Row

FIELD = "reuse_outputs"


def read_answers(path: Path, rows: list[Row]) -> dict[int, Answer]:
    """Answers by row index; raises `SpecInvalid` where they belong to other data."""
    by_index = {row.index: row for row in rows}
    answers: dict[int, Answer] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SpecInvalid(f"{path} cannot be read: {error}", field=FIELD) from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            sample = SampleResult.from_json(line)
        except SpecError as error:
            raise SpecInvalid(f"Line {number}: {error}", field=FIELD) from None
        row = by_index.get(sample.index)
        if row is None or row.question != sample.input or row.reference != sample.reference:
            problem = f"Line {number} belongs to another dataset: row {sample.index} differs."
            raise SpecInvalid(problem, field=FIELD)
        answers[sample.index] = Answer(
            sample.output, sample.prompt_tokens, sample.completion_tokens, sample.latency_ms, sample.error
        )
    if not answers:
        raise SpecInvalid(f"{path} holds no samples.", field=FIELD)
    return answers
