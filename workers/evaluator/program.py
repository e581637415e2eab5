"""The evaluation program from spec to report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from workers.contracts import (
    EvaluateJobSpec,
    EvaluateReport,
    ExitCode,
    Metric,
    ReportStatus,
    to_plain,
)
from workers.contracts.evaluation import REPORT_FILENAME, SAMPLES_FILENAME
from workers.evaluator.generation import Answer, Model
from workers.evaluator.reuse import read_answers
from workers.evaluator.scores import Loss, score
from workers.runtime.environment import Stopwatch, describe, say, timestamp
from workers.runtime.errors import Interrupted, WorkerError, classify
from workers.runtime.files import ProgressFile, write_atomically
from workers.runtime.models import gpu_name, peak_gpu_memory, pick_device
from workers.runtime.rows import Row, read_rows
from workers.runtime.signals import StopFlag


def run(spec: EvaluateJobSpec) -> int:
    """Run one evaluation and return its exit code. What happened is in the report and in the log."""
    output = Path(spec.output_dir)
    progress = ProgressFile(Path(spec.progress_file) if spec.progress_file else output / "progress.json")
    watch = Stopwatch()
    blank = EvaluateReport(
        run_id=spec.run_id,
        status=ReportStatus.FAILED,
        started_at=watch.started_at,
        finished_at=watch.started_at,
        spec=to_plain(spec),
    )
    try:
        output.mkdir(parents=True, exist_ok=True)
        report = _work(spec, output, progress, blank, watch)
    except Exception as error:
        problem = classify(error)
        report = _failed(blank, problem, watch)
        say(f"{report.status.value}: {problem}")
        progress.update(report.status.value, 100, str(problem))
        _write_report(output, report)
        if problem.code is ExitCode.CRASHED:
            raise  # Python prints the traceback and exits with 1, which is that code
        return problem.code
    write_atomically(output / REPORT_FILENAME, report.to_json())
    progress.update("finished", 100, "Finished.")
    return ExitCode.OK


def _failed(blank: EvaluateReport, problem: WorkerError, watch: Stopwatch) -> EvaluateReport:
    return replace(
        blank,
        status=ReportStatus.INTERRUPTED if isinstance(problem, Interrupted) else ReportStatus.FAILED,
        failure=problem.as_failure(),
        resources=watch.resources(),
        finished_at=timestamp(),
    )


def _write_report(output: Path, report: EvaluateReport) -> None:
    try:
        write_atomically(output / REPORT_FILENAME, report.to_json())
    except OSError as error:
        say(f"warning: the report cannot be written: {error}")


def _work(
    spec: EvaluateJobSpec, output: Path, progress: ProgressFile, blank: EvaluateReport, watch: Stopwatch
) -> EvaluateReport:
    torch.set_num_threads(spec.threads)
    stop = StopFlag()
    stop.install()
    device = pick_device(use_gpu=spec.use_gpu)
    say(f"run {spec.run_id}: {', '.join(spec.metrics)} on {device}")
    progress.update("loading", 1, "Reading the dataset.")
    rows = read_rows(spec.dataset)
    earlier = read_answers(Path(spec.reuse_outputs), rows) if spec.reuse_outputs else None
    chosen = choose(rows if earlier is None else [row for row in rows if row.index in earlier], spec)
    say(f"data: {len(chosen)} of {len(rows)} rows")
    needs_losses = Metric.PERPLEXITY in spec.metrics
    model: Model | None = None
    if earlier is None or needs_losses:
        progress.update("loading", 3, "Loading the model.")
        model = Model(spec, device)
        stop.check()
    answers = earlier
    if answers is None and model is not None:
        answers = _ask(model, chosen, progress, stop.check, share=60.0 if needs_losses else 85.0)
    losses: dict[int, Loss] = {}
    if needs_losses and model is not None:
        progress.update("perplexity", 70, "Measuring perplexity.")
        losses = {row.index: (loss, count) for row, loss, count in model.losses(chosen, stop.check)}
    progress.update("scoring", 92, "Scoring.")
    scored = score(spec, chosen, answers or {}, losses)
    for warning in scored.warnings:
        say(f"warning: {warning}")
    samples_file = output / SAMPLES_FILENAME
    write_atomically(samples_file, "".join(sample.to_json() + "\n" for sample in scored.samples))
    for name, value in scored.metrics.items():
        say(f"{name} {value.value:.4f} [{value.low:.4f}, {value.high:.4f}]")
    say(f"finished after {watch.wall_seconds:.1f} s")
    return replace(
        blank,
        status=ReportStatus.SUCCEEDED,
        finished_at=timestamp(),
        metrics=scored.metrics,
        sample_count=len(scored.samples),
        failed_samples=sum(sample.output is None for sample in scored.samples),
        samples_file=str(samples_file),
        prompt_tokens=sum(sample.prompt_tokens for sample in scored.samples),
        completion_tokens=sum(sample.completion_tokens for sample in scored.samples),
        warnings=scored.warnings,
        environment=describe(device=device, threads=spec.threads, gpu_name=gpu_name(device)),
        resources=watch.resources(peak_gpu_memory(device)),
    )


def choose(rows: list[Row], spec: EvaluateJobSpec) -> list[Row]:
    """The rows of this run: a seeded choice in file order, so that two models meet the same questions."""
    if spec.sample_size is None or spec.sample_size >= len(rows):
        return rows
    order = np.random.default_rng(spec.seed).permutation(len(rows))
    return [rows[place] for place in sorted(order[: spec.sample_size])]


def _ask(
    model: Model, rows: list[Row], progress: ProgressFile, check_stop: Callable[[], None], *, share: float
) -> dict[int, Answer]:
    answers: dict[int, Answer] = {}
    for row, answer in model.answers(rows, check_stop):
        answers[row.index] = answer
        done = len(answers)
        line = f"sample {done}/{len(rows)}: {answer.completion_tokens} tokens, {answer.latency_ms:.0f} ms"
        say(f"{line}, {answer.error}" if answer.error else line)
        progress.update("generating", 5 + share * done / len(rows), line, step=done, total_steps=len(rows))
    return answers
