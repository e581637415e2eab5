"""Fixtures of the worker tests: small datasets, specs, and signal handlers put back."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workers.contracts import (
    CheckpointSettings,
    DatasetRef,
    DatasetType,
    Hyperparameters,
    LoraSettings,
    TrainJobSpec,
    TrainJobType,
    TrainMethod,
)

ROWS = [{"instruction": f"What is {n} plus {n}?", "response": f"It is {2 * n}."} for n in range(20)]


@pytest.fixture(autouse=True)
def _signals_put_back() -> Iterator[None]:
    """The programs install signal handlers; the test run keeps its own."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def write_rows(path: Path, rows: list[Any]) -> Path:
    """A JSONL file of `rows`."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def sft_file(tmp_path: Path) -> Path:
    """Twenty question-answer rows."""
    return write_rows(tmp_path / "sft.jsonl", ROWS)


def train_spec(dataset: Path, output: Path, base: Path | None, **changes: Any) -> TrainJobSpec:
    """A three-step LoRA job on `base`; `changes` replace fields."""
    values: dict[str, Any] = {
        "job_id": "job-1",
        "job_type": TrainJobType.FINETUNE,
        "dataset": DatasetRef(path=str(dataset), type=DatasetType.SFT_PAIR),
        "output_dir": str(output),
        "base_model_dir": str(base) if base else None,
        "hyperparameters": numbers(),
        "checkpoint": CheckpointSettings(every_steps=2),
    }
    return TrainJobSpec(**(values | changes))


def numbers(**changes: Any) -> Hyperparameters:
    """Hyperparameters of a very short run."""
    values: dict[str, Any] = {
        "method": TrainMethod.LORA,
        "learning_rate": 5e-3,
        "batch_size": 2,
        "max_steps": 3,
        "max_seq_len": 64,
        "lora": LoraSettings(r=4, alpha=8, dropout=0.0),
    }
    return Hyperparameters(**(values | changes))
