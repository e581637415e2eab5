"""The training program from spec to report."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import torch
from transformers import set_seed

from workers.contracts import (
    ExitCode,
    ReportStatus,
    SpecError,
    TrainJobSpec,
    TrainReport,
    to_plain,
)
from workers.contracts.training import (
    CHECKPOINT_DIRNAME,
    METRICS_FILENAME,
    MODEL_DIRNAME,
    REPORT_FILENAME,
)
from workers.runtime.environment import Stopwatch, describe, say, timestamp
from workers.runtime.errors import Interrupted, WorkerError, classify
from workers.runtime.files import ProgressFile, write_atomically
from workers.runtime.models import gpu_name, peak_gpu_memory, pick_device
from workers.runtime.rows import read_rows
from workers.runtime.signals import StopFlag
from workers.trainer import checkpoints
from workers.trainer.build import build_trainee
from workers.trainer.data import prepare
from workers.trainer.loop import train
from workers.trainer.metrics_client import MetricsFile, MetricsSender, Recorder
from workers.trainer.output import save_model

HURRIED_SECONDS = 3.0
"""Who sent SIGTERM waits: the last metrics get this long, not the whole drain time."""
FINGERPRINT_FILENAME = "fingerprint"


def run(spec: TrainJobSpec) -> int:
    """Run one attempt and return its exit code. Everything that happened is in the report and in the log."""
    output = Path(spec.output_dir)
    progress = ProgressFile(Path(spec.progress_file) if spec.progress_file else output / "progress.json")
    watch = Stopwatch()
    if _already_done(spec, output):
        say("this job is finished already; nothing to do")
        progress.update("finished", 100, "Finished.")
        return ExitCode.OK
    blank = TrainReport(
        job_id=spec.job_id,
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
    _write_report(output, replace(report, finished_at=timestamp()))
    if report.status is ReportStatus.INTERRUPTED:
        say(f"interrupted after step {report.steps} of {report.total_steps}; start again to go on")
        return ExitCode.INTERRUPTED
    return ExitCode.OK


def _failed(blank: TrainReport, problem: WorkerError, watch: Stopwatch) -> TrainReport:
    return replace(
        blank,
        status=ReportStatus.INTERRUPTED if isinstance(problem, Interrupted) else ReportStatus.FAILED,
        failure=problem.as_failure(),
        resources=watch.resources(),
        finished_at=timestamp(),
    )


def _work(
    spec: TrainJobSpec,
    output: Path,
    progress: ProgressFile,
    blank: TrainReport,
    watch: Stopwatch,
) -> TrainReport:
    stop = StopFlag()
    stop.install()
    device = pick_device(use_gpu=spec.use_gpu)
    environment = describe(device=device, threads=spec.threads, gpu_name=gpu_name(device))
    method = spec.hyperparameters.method
    say(f"job {spec.job_id}: {spec.job_type.value}, {method.value}, {spec.precision.value} on {device}")
    torch.set_num_threads(spec.threads)
    set_seed(spec.seed)
    progress.update("loading", 1, "Reading the dataset.")
    rows = read_rows(spec.dataset)
    stop.check()
    progress.update("loading", 2, "Loading the model.")
    trainee = build_trainee(spec, rows)
    share = 100 * trainee.trainable / trainee.parameters
    say(f"model: {trainee.parameters:,} parameters; {trainee.trainable:,} of the trained kind ({share:.1f} %)")
    prepared = prepare(spec, rows, trainee.tokenizer, check_stop=stop.check)
    counts = {
        "train": len(prepared.train),
        "eval": len(prepared.evaluation) if prepared.evaluation else 0,
        "skipped": prepared.skipped,
    }
    say(f"data: {len(rows)} rows → {counts['train']} to train on, {counts['eval']} held out")
    warnings = _warnings(spec, counts)
    base = replace(blank, environment=environment, rows=counts, warnings=warnings)
    local = MetricsFile(output / METRICS_FILENAME)
    sender = _sender(spec)
    recorders: list[Recorder] = [local, *([sender] if sender else [])]
    try:
        outcome = train(spec, trainee, prepared, recorders=recorders, progress=progress, stop=stop)
    finally:
        local.close()
        if sender:
            sender.close(limit=HURRIED_SECONDS if stop.requested else None)
    figures = outcome.figures | {
        "parameters": float(trainee.parameters),
        "trainable_parameters": float(trainee.trainable),
    }
    done = replace(
        base,
        steps=outcome.steps,
        total_steps=outcome.total_steps,
        resumed_from_step=outcome.resumed_from,
        metrics=figures,
        metrics_delivered=sender.delivered if sender else 0,
        metrics_lost=sender.lost if sender else 0,
        resources=watch.resources(peak_gpu_memory(device)),
    )
    if not outcome.finished:
        problem = Interrupted(f"Stopped on request after step {outcome.steps} of {outcome.total_steps}.")
        return replace(done, status=ReportStatus.INTERRUPTED, failure=problem.as_failure())
    progress.update(
        "saving",
        96,
        "Writing the model.",
        step=outcome.steps,
        total_steps=outcome.total_steps,
    )
    model_dir = output / MODEL_DIRNAME
    save_model(trainee, model_dir, method=method)
    write_atomically(output / FINGERPRINT_FILENAME, checkpoints.fingerprint(spec))
    shutil.rmtree(output / CHECKPOINT_DIRNAME, ignore_errors=True)
    loss = figures.get("eval_loss", figures.get("train_loss", 0.0))
    say(f"finished after {watch.wall_seconds:.1f} s: {outcome.steps} steps, loss {loss:.4f}; {model_dir}")
    progress.update(
        "finished",
        100,
        "Finished.",
        step=outcome.steps,
        total_steps=outcome.total_steps,
    )
    return replace(
        done,
        status=ReportStatus.SUCCEEDED,
        model_dir=str(model_dir),
        resources=watch.resources(peak_gpu_memory(device)),
    )


def _warnings(spec: TrainJobSpec, counts: dict[str, int]) -> tuple[str, ...]:
    warnings: list[str] = []
    if counts["skipped"]:
        length = spec.hyperparameters.max_seq_len
        warnings.append(f"{counts['skipped']} rows have no answer within {length} tokens and were left out.")
    if spec.eval_fraction > 0 and not counts["eval"]:
        warnings.append("Too few rows for an evaluation split: eval_loss is not measured.")
    if spec.metrics and not os.environ.get(spec.metrics.token_env):
        warnings.append(f"{spec.metrics.token_env} is not set: metrics stay in {METRICS_FILENAME}.")
    for warning in warnings:
        say(f"warning: {warning}")
    return tuple(warnings)


def _sender(spec: TrainJobSpec) -> MetricsSender | None:
    token = os.environ.get(spec.metrics.token_env, "") if spec.metrics else ""
    return MetricsSender(spec.metrics, token) if spec.metrics and token else None


def _already_done(spec: TrainJobSpec, output: Path) -> bool:
    """Whether an earlier attempt at the same work succeeded here (its end was not noticed, say)."""
    if not spec.checkpoint.resume:
        return False
    try:
        report = TrainReport.from_json((output / REPORT_FILENAME).read_bytes())
        same = (output / FINGERPRINT_FILENAME).read_text(encoding="utf-8") == checkpoints.fingerprint(spec)
    except (OSError, SpecError, UnicodeDecodeError):
        return False
    return same and report.status is ReportStatus.SUCCEEDED and Path(report.model_dir).is_dir()


def _write_report(output: Path, report: TrainReport) -> None:
    try:
        write_atomically(output / REPORT_FILENAME, report.to_json())
    except OSError as error:
        say(f"warning: the report cannot be written: {error}")
