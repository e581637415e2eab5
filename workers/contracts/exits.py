"""How a worker program ends: one exit code per kind of ending, shared by trainer and evaluator."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of `python -m workers.trainer` and `python -m workers.evaluator`."""

    OK = 0
    """The work is done and the report says `succeeded`."""
    CRASHED = 1
    """Nobody expected this; the traceback is in the log. Worth a retry."""
    SPEC_INVALID = 2
    """The spec breaks its contract. A retry gives the same answer."""
    DATASET_INVALID = 3
    """The dataset is missing, unreadable, empty or lacks the columns. A retry gives the same answer."""
    MODEL_INVALID = 4
    """The base model or tokenizer cannot be loaded. A retry gives the same answer."""
    UNSUPPORTED = 5
    """What was asked for cannot run on this machine (no CUDA, a method this trainer lacks)."""
    OUT_OF_MEMORY = 6
    """CPU or GPU memory ran out. A retry with the same resources will most likely end the same way."""
    OUTPUT_FAILED = 7
    """The output could not be written (disk full, no permission)."""
    DIVERGED = 8
    """The loss became NaN or infinite. A retry with the same settings gives the same answer."""
    INTERRUPTED = 75
    """Asked to stop (SIGTERM or SIGINT); a checkpoint was written where possible. Start again to go on."""


RETRYABLE: frozenset[int] = frozenset({ExitCode.CRASHED, ExitCode.INTERRUPTED})
"""Codes after which starting the same spec again makes sense; everything else needs a person."""

TAGS: dict[int, str] = {
    ExitCode.CRASHED: "crashed",
    ExitCode.SPEC_INVALID: "spec_invalid",
    ExitCode.DATASET_INVALID: "dataset_invalid",
    ExitCode.MODEL_INVALID: "model_invalid",
    ExitCode.UNSUPPORTED: "unsupported",
    ExitCode.OUT_OF_MEMORY: "out_of_memory",
    ExitCode.OUTPUT_FAILED: "output_failed",
    ExitCode.DIVERGED: "diverged",
    ExitCode.INTERRUPTED: "interrupted",
}
"""Root-cause tag for each failing exit code, as shown to people and stored with the job."""
