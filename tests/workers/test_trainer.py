"""The trainer on a real model with 2 million weights (FR-004h): it learns, stops, goes on, and saves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.workers.conftest import numbers, train_spec, write_rows
from workers.contracts import (
    Architecture,
    CheckpointSettings,
    DatasetRef,
    DatasetType,
    ExitCode,
    Family,
    Initialisation,
    LoraSettings,
    MetricsSink,
    ReportStatus,
    TrainJobSpec,
    TrainJobType,
    TrainMethod,
    TrainReport,
)
from workers.trainer.build import build_config
from workers.trainer.program import run

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
ROOT = Path(__file__).resolve().parents[2]
SMALL = Architecture(type=Family.LLAMA, layers=2, hidden_size=32, heads=2, max_position_embeddings=128)


def report_of(output: Path) -> TrainReport:
    return TrainReport.from_json((output / "report.json").read_bytes())


def metric_lines(output: Path, name: str) -> dict[int, float]:
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line["value"] for line in lines if line["name"] == name}


def test_trainer_can_finetune_with_lora(tiny_model_dir: Path, sft_file: Path, tmp_path: Path) -> None:
    """FR-004h: three LoRA steps end in a complete, loadable model without adapters; the report says so."""
    output = tmp_path / "out"
    before = load_file(tiny_model_dir / "model.safetensors")
    assert run(train_spec(sft_file, output, tiny_model_dir)) == ExitCode.OK
    report = report_of(output)
    assert (report.status, report.steps, report.failure) == (ReportStatus.SUCCEEDED, 3, None)
    assert report.rows == {"train": 18, "eval": 2, "skipped": 0}
    assert {"train_loss", "eval_loss", "tokens_seen", "parameters"} <= set(report.metrics)
    assert report.environment
    assert report.environment.packages["torch"]
    assert report.resources.cpu_seconds > 0
    model_dir = Path(report.model_dir)
    names = {path.name for path in model_dir.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "generation_config.json"} <= names
    assert not any("adapter" in name for name in names)
    model = AutoModelForCausalLM.from_pretrained(model_dir)
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    assert tokenizer.chat_template
    after = load_file(model_dir / "model.safetensors")
    assert set(after) == set(before)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("proj" in name for name in changed)  # adapters sit on linear layers only
    assert model.config.use_cache is True
    assert set(metric_lines(output, "loss")) == {1, 2, 3}
    assert not (output / "checkpoints").exists()
    assert json.loads((output / "progress.json").read_text())["percent"] == 100
    # An attempt whose end nobody noticed is not trained twice.
    assert run(train_spec(sft_file, output, tiny_model_dir)) == ExitCode.OK
    assert set(metric_lines(output, "loss")) == {1, 2, 3}


def test_trainer_can_learn_answers_by_heart(tiny_model_dir: Path, tmp_path: Path) -> None:
    """FR-004h: full fine-tuning lowers the loss on what it was shown, and the model then says it."""
    rows = write_rows(tmp_path / "d.jsonl", [{"prompt": "Who are you?", "completion": "I am Tiny."}] * 4)
    many = numbers(method=TrainMethod.FULL, max_steps=25, learning_rate=3e-3)
    quiet = CheckpointSettings(every_steps=1000)
    spec = train_spec(rows, tmp_path / "out", tiny_model_dir, hyperparameters=many, eval_fraction=0.0, checkpoint=quiet)
    assert run(spec) == ExitCode.OK
    losses = metric_lines(tmp_path / "out", "loss")
    assert losses[25] < losses[1] / 10
    model: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "model")
    tokenizer: Any = AutoTokenizer.from_pretrained(tmp_path / "out" / "model")
    question = [{"role": "user", "content": "Who are you?"}]
    prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answer = model.generate(**prompt, max_new_tokens=12, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert tokenizer.decode(answer, skip_special_tokens=True).strip() == "I am Tiny."


def test_trainer_can_go_on_after_sigterm(tiny_model_dir: Path, sft_file: Path, tmp_path: Path) -> None:
    """FR-004g, FR-004h, P-8: SIGTERM leaves a checkpoint; going on gives the very same weights as never stopping.

    The stopped attempt runs as the real program, in a process where Django cannot be imported.
    """
    long = numbers(max_steps=12, lora=LoraSettings(r=4, alpha=8, dropout=0.1))
    whole = train_spec(sft_file, tmp_path / "whole", tiny_model_dir, hyperparameters=long)
    assert run(whole) == ExitCode.OK
    parts = replace(whole, output_dir=str(tmp_path / "parts"))
    file = tmp_path / "spec.json"
    file.write_text(parts.to_json())
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "django.py").write_text("raise ImportError('no Django in workers')")
    (blocked / "sitecustomize.py").write_text(SLOW_STEPS)
    environment = os.environ | {"PYTHONPATH": f"{blocked}{os.pathsep}{ROOT}"}
    with subprocess.Popen(
        [sys.executable, "-m", "workers.trainer", "--spec", str(file)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout
        for line in process.stdout:
            if "step 5/12 loss" in line:
                process.send_signal(signal.SIGTERM)
                break
        rest = process.stdout.read()
        assert process.wait(30) == ExitCode.INTERRUPTED, rest
    stopped = report_of(tmp_path / "parts")
    assert (stopped.status, stopped.model_dir) == (ReportStatus.INTERRUPTED, "")
    assert 5 <= stopped.steps < 12
    assert not (tmp_path / "parts" / "model").exists()
    assert run(parts) == ExitCode.OK
    finished = report_of(tmp_path / "parts")
    assert finished.resumed_from_step == stopped.steps
    one = load_file(tmp_path / "whole" / "model" / "model.safetensors")
    other = load_file(tmp_path / "parts" / "model" / "model.safetensors")
    assert all(torch.equal(one[name], other[name]) for name in one)


SLOW_STEPS = """
import builtins, time
_print = builtins.print
def slow(*args, **kwargs):
    _print(*args, **kwargs)
    if args and " loss " in str(args[0]):
        time.sleep(0.05)
builtins.print = slow
"""


def test_trainer_cannot_go_on_from_a_broken_or_foreign_checkpoint(
    tiny_model_dir: Path, sft_file: Path, tmp_path: Path
) -> None:
    """P-8: a checkpoint that was being written at the time of death, or of other settings, is not used."""
    output = tmp_path / "out"
    spec = train_spec(sft_file, output, tiny_model_dir)
    foreign = output / "checkpoints" / "checkpoint-2"
    foreign.mkdir(parents=True)
    (foreign / "complete.json").write_text('{"fingerprint": "of other work"}')
    (output / "checkpoints" / "checkpoint-9").mkdir()
    assert run(spec) == ExitCode.OK
    assert report_of(output).resumed_from_step == 0


def test_trainer_can_train_from_scratch_and_pretrain(tmp_path: Path) -> None:
    """FR-004b, FR-004c: a model of a given architecture, with a tokenizer of its own, in the promised size."""
    rows = write_rows(tmp_path / "c.jsonl", [{"text": f"Sentence number {n} of a small corpus."} for n in range(30)])
    output = tmp_path / "out"
    spec = TrainJobSpec(
        job_id="j",
        job_type=TrainJobType.PRETRAIN,
        dataset=DatasetRef(path=str(rows), type=DatasetType.PRETRAIN_CORPUS),
        output_dir=str(output),
        architecture=replace(SMALL, vocab_size=512),
        hyperparameters=numbers(method=TrainMethod.FULL, max_seq_len=32),
    )
    assert run(spec) == ExitCode.OK
    report = report_of(output)
    assert report.metrics["parameters"] == replace(SMALL, vocab_size=512).parameter_count(512)
    model = AutoModelForCausalLM.from_pretrained(report.model_dir)
    assert model.config.vocab_size == 512


@pytest.mark.parametrize("family", list(Family))
def test_portal_can_count_parameters_without_torch(family: Family) -> None:
    """FR-004c: the count shown before submission is the count that Transformers builds."""

    class Tokens:
        bos_token_id = eos_token_id = pad_token_id = 0

    for tied in (True, False):
        sizes = replace(SMALL, type=family, kv_heads=None if family is Family.GPT2 else 1, tie_word_embeddings=tied)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(build_config(sizes, 300, Tokens()))
        assert model.num_parameters() == sizes.parameter_count(300)


def test_trainer_can_start_from_given_weights(tiny_model_dir: Path, sft_file: Path, tmp_path: Path) -> None:
    """FR-004c: `weights` needs the same shapes and says which differs."""
    like_tiny = Architecture(
        type=Family.LLAMA,
        layers=6,
        hidden_size=160,
        heads=4,
        intermediate_size=432,
        vocab_size=1024,
        max_position_embeddings=1024,
        initialisation=Initialisation.WEIGHTS,
    )
    changes = {"job_type": TrainJobType.FROM_SCRATCH, "hyperparameters": numbers(method=TrainMethod.FULL, max_steps=1)}
    spec = train_spec(sft_file, tmp_path / "a", tiny_model_dir, architecture=like_tiny, **changes)
    assert run(spec) == ExitCode.OK
    other = replace(like_tiny, hidden_size=80, layers=1)
    spec = train_spec(sft_file, tmp_path / "b", tiny_model_dir, architecture=other, **changes)
    assert run(spec) == ExitCode.SPEC_INVALID
    failure = report_of(tmp_path / "b").failure
    assert failure
    assert failure.field == "architecture"
    assert "in the given weights" in failure.message


def test_trainer_cannot_be_stopped_by_a_dead_metrics_server(
    tiny_model_dir: Path, sft_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FR-005f: nobody listens, training succeeds; what was lost is counted, and the file has it."""
    monkeypatch.setenv("LLMOPS_METRICS_TOKEN", "secret-token")
    sink = MetricsSink(url="http://127.0.0.1:1/metrics", drain_seconds=0.1)
    assert run(train_spec(sft_file, tmp_path / "out", tiny_model_dir, metrics=sink)) == ExitCode.OK
    report = report_of(tmp_path / "out")
    assert report.metrics_lost > 0
    assert metric_lines(tmp_path / "out", "loss")
    assert "secret-token" not in (tmp_path / "out" / "report.json").read_text()


@pytest.mark.parametrize(
    ("what", "code", "field"),
    [
        ("no model", ExitCode.MODEL_INVALID, "base_model_dir"),
        ("pickle only", ExitCode.MODEL_INVALID, "base_model_dir"),
        ("broken weights", ExitCode.MODEL_INVALID, "base_model_dir"),
        ("no dataset", ExitCode.DATASET_INVALID, "dataset.path"),
        ("answers cut off", ExitCode.DATASET_INVALID, "hyperparameters.max_seq_len"),
        ("too long", ExitCode.SPEC_INVALID, "hyperparameters.max_seq_len"),
        ("unknown modules", ExitCode.SPEC_INVALID, "hyperparameters.lora.target_modules"),
        ("diverging", ExitCode.DIVERGED, "hyperparameters.learning_rate"),
        ("no gpu", ExitCode.UNSUPPORTED, "use_gpu"),
        ("read-only", ExitCode.OUTPUT_FAILED, ""),
    ],
)
def test_trainer_cannot_run_what_is_wrong(
    what: str, code: ExitCode, field: str, tiny_model_dir: Path, sft_file: Path, tmp_path: Path
) -> None:
    """FR-004h: each kind of failure has its own exit code, names the field, and leaves no model behind."""
    output = tmp_path / "out"
    spec = train_spec(sft_file, output, tiny_model_dir)
    base = tmp_path / "base"
    if what == "no model":
        spec = replace(spec, base_model_dir=str(base))
    elif what in ("pickle only", "broken weights"):
        shutil.copytree(tiny_model_dir, base)
        weights = base / "model.safetensors"
        if what == "pickle only":
            weights.rename(base / "pytorch_model.bin")
        else:
            weights.write_bytes(weights.read_bytes()[:5000])
        spec = replace(spec, base_model_dir=str(base))
    elif what == "no dataset":
        spec = replace(spec, dataset=replace(spec.dataset, path=str(tmp_path / "none.jsonl")))
    elif what == "answers cut off":
        spec = replace(spec, hyperparameters=numbers(max_seq_len=8))
    elif what == "too long":
        spec = replace(spec, hyperparameters=numbers(max_seq_len=2048))
    elif what == "unknown modules":
        spec = replace(spec, hyperparameters=numbers(lora=LoraSettings(target_modules=("nothing",))))
    elif what == "diverging":
        bad = numbers(method=TrainMethod.FULL, learning_rate=1.0, max_grad_norm=1000.0, max_steps=50)
        shutil.copytree(tiny_model_dir, base)
        spoil(base)
        spec = replace(spec, base_model_dir=str(base), hyperparameters=bad)
    elif what == "no gpu":
        if torch.cuda.is_available():
            return
        spec = replace(spec, use_gpu=True)
    elif what == "read-only":
        (tmp_path / "file").write_text("in the way")
        spec = replace(spec, output_dir=str(tmp_path / "file" / "out"))
        output = tmp_path / "file" / "out"
    assert run(spec) == code
    if what != "read-only":
        failure = report_of(output).failure
        assert failure
        assert failure.field == field
    assert not (output / "model").exists()


def spoil(directory: Path) -> None:
    """Weights so large that the first loss is no number."""
    weights = load_file(directory / "model.safetensors")
    save_file(
        {name: value * 1e30 for name, value in weights.items()}, directory / "model.safetensors", {"format": "pt"}
    )
