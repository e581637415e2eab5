"""What the training loop reports while it runs, and how it is stopped."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch
from transformers import (
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from workers.runtime.environment import memory_bytes, say
from workers.runtime.errors import Diverged
from workers.runtime.files import ProgressFile
from workers.runtime.signals import StopFlag
from workers.trainer import checkpoints
from workers.trainer.metrics_client import Recorder

_PASSED_ON = ("loss", "grad_norm", "learning_rate", "eval_loss", "epoch")
TRAIN_SHARE = (5.0, 95.0)
"""Percent of the whole run at which training begins and ends."""


class Reporting(TrainerCallback):
    """Log lines, metrics and progress at every logged step; stops a run whose loss is no number."""

    def __init__(self, recorders: list[Recorder], progress: ProgressFile) -> None:
        self._recorders = recorders
        self._progress = progress
        self._clock = time.monotonic()
        self._tokens = 0.0
        self.last: dict[str, float] = {}

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Start counting tokens, from where a checkpoint left off."""
        self._clock = time.monotonic()
        self._tokens = float(state.num_input_tokens_seen)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Pass the figures on."""
        figures = {name: float(logs[name]) for name in _PASSED_ON if logs and name in logs}
        for name in ("loss", "eval_loss"):
            if name in figures and not math.isfinite(figures[name]):
                problem = f"{name} became {figures[name]} at step {state.global_step}; lower learning_rate."
                raise Diverged(problem, field="hyperparameters.learning_rate")
        if "loss" in figures:
            figures |= self._speed(state)
        figures = {name: value for name, value in figures.items() if math.isfinite(value)}
        if "loss" not in figures and "eval_loss" not in figures:
            return  # the loop's closing summary: its figures go to the report
        self.last |= figures
        for recorder in self._recorders:
            recorder.record(state.global_step, figures)
        self._tell(state, figures)

    def _speed(self, state: TrainerState) -> dict[str, float]:
        now, tokens = time.monotonic(), float(state.num_input_tokens_seen)
        seconds = max(now - self._clock, 1e-9)
        figures = {
            "tokens_per_second": (tokens - self._tokens) / seconds,
            "memory_bytes": float(memory_bytes()),
        }
        if torch.cuda.is_available():
            figures["gpu_memory_bytes"] = float(torch.cuda.memory_allocated())
        self._clock, self._tokens = now, tokens
        return figures

    def _tell(self, state: TrainerState, figures: dict[str, float]) -> None:
        begin, end = TRAIN_SHARE
        total = max(state.max_steps, 1)
        texts = {
            "loss": "{:.4f}",
            "eval_loss": "{:.4f}",
            "learning_rate": "{:.2e}",
            "grad_norm": "{:.3f}",
            "tokens_per_second": "{:.0f}",
        }
        parts = [f"{name} {texts[name].format(figures[name])}" for name in texts if name in figures]
        line = f"step {state.global_step}/{state.max_steps} {' '.join(parts)}"
        say(line)
        percent = begin + (end - begin) * state.global_step / total
        self._progress.update(
            "training",
            percent,
            line,
            step=state.global_step,
            total_steps=state.max_steps,
        )


class Stopping(TrainerCallback):
    """Turns a stop request into a checkpoint and the end of the loop."""

    def __init__(self, flag: StopFlag) -> None:
        self._flag = flag

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Save and leave after this step."""
        if self._flag.requested and state.global_step < state.max_steps:
            control.should_save = True
            control.should_training_stop = True
            control.should_evaluate = False

    def on_prediction_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """An evaluation may be long; it is not finished first. The last checkpoint stands."""
        self._flag.check()


class Keeping(TrainerCallback):
    """Marks finished checkpoints and removes old ones."""

    def __init__(self, root: Path, print_of_spec: str, count: int) -> None:
        self._root = root
        self._print = print_of_spec
        self._count = count

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """The checkpoint of this step is complete."""
        directory = self._root / f"checkpoint-{state.global_step}"
        if directory.is_dir():
            checkpoints.mark_complete(directory, self._print)
            checkpoints.prune(self._root, self._count)
            say(f"checkpoint written at step {state.global_step}")
