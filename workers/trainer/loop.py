"""Transformers' training loop, set up from a spec."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, Trainer, TrainerState, TrainingArguments

from workers.contracts import Precision, TrainJobSpec
from workers.contracts.training import CHECKPOINT_DIRNAME
from workers.runtime.environment import say
from workers.runtime.errors import Interrupted
from workers.runtime.files import ProgressFile
from workers.runtime.signals import StopFlag
from workers.trainer import checkpoints
from workers.trainer.build import Trainee
from workers.trainer.callbacks import Keeping, Reporting, Stopping
from workers.trainer.data import Collator, Prepared
from workers.trainer.metrics_client import Recorder

CHECKPOINTS_PER_RUN = 10


class _SteadyTrainer(Trainer):
    """Evaluating draws no random numbers from training: a run that skipped one (it was being stopped) and went
    on later ends with the same weights as a run that did not."""

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """As the parent, with the random state put back afterwards."""
        with torch.random.fork_rng():
            return super().evaluate(*args, **kwargs)


@dataclass(slots=True)
class Outcome:
    """How far the loop came. `finished` is False when it was stopped on request."""

    steps: int
    total_steps: int
    resumed_from: int
    finished: bool
    figures: dict[str, float]


def train(
    spec: TrainJobSpec,
    trainee: Trainee,
    prepared: Prepared,
    *,
    recorders: list[Recorder],
    progress: ProgressFile,
    stop: StopFlag,
) -> Outcome:
    """Run the loop to its end or to a stop request; raises `Diverged` and whatever torch raises."""
    root = Path(spec.output_dir) / CHECKPOINT_DIRNAME
    print_of_spec = checkpoints.fingerprint(spec)
    found = checkpoints.latest(root, print_of_spec) if spec.checkpoint.resume else None
    checkpoints.remove_except(root, found[1] if found else None)
    steps = planned_steps(spec, len(prepared.train))
    reporting = Reporting(recorders, progress)
    trainer = _SteadyTrainer(
        model=trainee.model,
        args=_arguments(spec, root, steps, has_eval=prepared.evaluation is not None),
        train_dataset=prepared.train,
        eval_dataset=prepared.evaluation,
        data_collator=Collator(_pad_id(trainee.tokenizer)),
        callbacks=[
            reporting,
            Stopping(stop),
            Keeping(root, print_of_spec, spec.checkpoint.keep),
        ],
    )
    trainer.remove_callback(PrinterCallback)  # it prints dicts beside our own lines
    if spec.use_gpu:
        torch.use_deterministic_algorithms(True, warn_only=True)
    if found:
        say(f"going on from the checkpoint of step {found[0]}")
    try:
        trainer.train(resume_from_checkpoint=str(found[1]) if found else None)
    except Interrupted:
        say("stopped in the middle of an evaluation")
    state = trainer.state
    finished = state.global_step >= steps
    figures = dict(reporting.last)
    if finished and prepared.evaluation is not None and not _evaluated(state) and not stop.requested:
        figures["eval_loss"] = float(trainer.evaluate()["eval_loss"])
    losses = [float(entry["loss"]) for entry in state.log_history if "loss" in entry]
    if losses:
        figures["train_loss"] = sum(losses) / len(losses)
    figures["tokens_seen"] = float(state.num_input_tokens_seen)
    return Outcome(state.global_step, steps, found[0] if found else 0, finished, figures)


def _evaluated(state: TrainerState) -> bool:
    """Whether the last step was evaluated by the loop itself."""
    return any("eval_loss" in entry and entry["step"] == state.global_step for entry in state.log_history)


def planned_steps(spec: TrainJobSpec, examples: int) -> int:
    """Optimiser steps of the whole run."""
    numbers = spec.hyperparameters
    if numbers.max_steps is not None:
        return numbers.max_steps
    per_step = numbers.batch_size * numbers.gradient_accumulation_steps
    return max(1, round(-(-examples // per_step) * numbers.num_epochs))


def _arguments(spec: TrainJobSpec, root: Path, steps: int, *, has_eval: bool) -> TrainingArguments:
    numbers = spec.hyperparameters
    every = spec.checkpoint.every_steps or max(1, steps // CHECKPOINTS_PER_RUN)
    return TrainingArguments(
        output_dir=str(root),
        per_device_train_batch_size=numbers.batch_size,
        per_device_eval_batch_size=numbers.batch_size,
        gradient_accumulation_steps=numbers.gradient_accumulation_steps,
        max_steps=steps,
        learning_rate=numbers.learning_rate,
        lr_scheduler_type=numbers.scheduler.value,
        warmup_steps=round(steps * numbers.warmup_ratio),
        weight_decay=numbers.weight_decay,
        max_grad_norm=numbers.max_grad_norm,
        logging_strategy="steps",
        logging_steps=spec.log_every_steps,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        include_num_input_tokens_seen="non_padding",
        save_strategy="steps",
        save_steps=every,
        eval_strategy="steps" if has_eval else "no",
        eval_steps=every,
        seed=spec.seed,
        data_seed=spec.seed,
        use_cpu=not spec.use_gpu,
        bf16=spec.precision is Precision.BF16,
        fp16=spec.precision is Precision.FP16,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        report_to=[],
        disable_tqdm=True,
        log_level="error",
    )


def _pad_id(tokenizer: Any) -> int:
    """Any id does for padding, since padding is masked; the tokenizer itself is saved as it came."""
    for value in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if value is not None:
            return int(value)
    return 0
