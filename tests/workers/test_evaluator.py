"""The evaluator on a real model (FR-005b): answers, losses, scores, reuse, and endings."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.workers.conftest import write_rows
from workers.contracts import (
    DatasetRef,
    DatasetType,
    EvaluateJobSpec,
    EvaluateReport,
    ExitCode,
    Metric,
    Precision,
    ReportStatus,
    SampleResult,
)
from workers.evaluator.program import run

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
QUESTIONS = [{"input": f"Question {'very ' * n}{n}?", "reference": f"Answer {n}.", "id": f"q{n}"} for n in range(7)]


@pytest.fixture
def spec(tiny_model_dir: Path, tmp_path: Path) -> EvaluateJobSpec:
    """Seven questions to the tiny model, every metric."""
    path = write_rows(tmp_path / "benchmark.jsonl", QUESTIONS)
    return EvaluateJobSpec(
        run_id="run-1",
        dataset=DatasetRef(path=str(path), type=DatasetType.BENCHMARK),
        output_dir=str(tmp_path / "out"),
        model_dir=str(tiny_model_dir),
        metrics=tuple(Metric),
        max_new_tokens=8,
        batch_size=3,
        precision=Precision.FP32,
    )


def report_of(spec: EvaluateJobSpec) -> EvaluateReport:
    return EvaluateReport.from_json((Path(spec.output_dir) / "report.json").read_bytes())


def samples_of(spec: EvaluateJobSpec) -> list[SampleResult]:
    lines = (Path(spec.output_dir) / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    return [SampleResult.from_json(line) for line in lines]


def test_evaluator_can_evaluate_a_model(spec: EvaluateJobSpec, tiny_model_dir: Path) -> None:
    """FR-005b: answers equal those of the model asked one by one; every metric has a value and an interval."""
    assert run(spec) == ExitCode.OK
    report, samples = report_of(spec), samples_of(spec)
    assert (report.status, report.sample_count, report.failed_samples) == (ReportStatus.SUCCEEDED, 7, 0)
    assert set(report.metrics) == {metric.value for metric in Metric}
    assert all(value.low <= value.value <= value.high for value in report.metrics.values())
    assert [sample.row_id for sample in samples] == [f"q{n}" for n in range(7)]
    assert report.completion_tokens == sum(sample.completion_tokens for sample in samples) > 0
    assert all(sample.latency_ms > 0 and sample.prompt_tokens > 0 for sample in samples)
    assert json.loads((Path(spec.output_dir) / "progress.json").read_text())["percent"] == 100
    model: Any = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_model_dir)
    for sample in samples:
        assert sample.output == _asked_alone(model, tokenizer, sample.input)
        assert sample.scores["perplexity"] == pytest.approx(_perplexity(model, tokenizer, sample), rel=1e-3)


def _asked_alone(model: Any, tokenizer: Any, question: str) -> str:
    messages = [{"role": "user", "content": question}]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answer = model.generate(**prompt, max_new_tokens=8, do_sample=False)
    return str(tokenizer.decode(answer[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)).strip()


def _perplexity(model: Any, tokenizer: Any, sample: SampleResult) -> float:
    prompt = f"<|im_start|>user\n{sample.input}<|im_end|>\n<|im_start|>assistant\n"
    start = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
    whole = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    whole += tokenizer(f"{sample.reference}<|im_end|>\n", add_special_tokens=False)["input_ids"]
    ids = torch.tensor([whole])
    labels = ids.clone()
    labels[0, :start] = -100
    with torch.inference_mode():
        return math.exp(float(model(input_ids=ids, labels=labels).loss))


def test_evaluator_can_score_earlier_outputs_again(spec: EvaluateJobSpec, tmp_path: Path) -> None:
    """FR-005b: reused outputs give the same scores without a model; foreign outputs are refused."""
    few = replace(spec, sample_size=4, metrics=(Metric.F1, Metric.BLEU))
    assert run(few) == ExitCode.OK
    first = samples_of(few)
    assert len(first) == 4
    reused = str(Path(few.output_dir) / "samples.jsonl")
    again = replace(few, reuse_outputs=reused, model_dir=None, output_dir=str(tmp_path / "again"), sample_size=None)
    assert run(again) == ExitCode.OK
    assert samples_of(again) == first
    assert report_of(again).metrics == report_of(few).metrics
    other = write_rows(tmp_path / "other.jsonl", [{"input": "other", "reference": "rows"}] * 7)
    foreign = replace(again, dataset=replace(spec.dataset, path=str(other)))
    assert run(foreign) == ExitCode.SPEC_INVALID
    failure = report_of(foreign).failure
    assert failure
    assert failure.field == "reuse_outputs"


def test_evaluator_can_choose_the_same_questions_for_two_models(spec: EvaluateJobSpec, tmp_path: Path) -> None:
    """FR-005b, FR-005e: the choice depends on seed and data only, so that runs can be compared in pairs."""
    few = replace(spec, sample_size=3, metrics=(Metric.F1,), max_new_tokens=1)
    assert run(few) == ExitCode.OK
    first = [sample.index for sample in samples_of(few)]
    assert first == sorted(first)
    assert run(few) == ExitCode.OK
    assert [sample.index for sample in samples_of(few)] == first


def test_evaluator_cannot_hide_questions_that_are_too_long(spec: EvaluateJobSpec) -> None:
    """FR-005b: a prompt beyond the limit is a failed sample that scores 0, not a missing one."""
    limited = replace(spec, max_input_tokens=40, metrics=(Metric.F1, Metric.EXACT_MATCH))
    assert run(limited) == ExitCode.OK
    report, samples = report_of(limited), samples_of(limited)
    failed = [sample for sample in samples if sample.output is None]
    assert 0 < report.failed_samples == len(failed) < 7
    assert all("at most 40 fit" in sample.error for sample in failed)
    assert report.metrics["f1"].samples == 7


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"model_dir": "/nowhere"}, ExitCode.MODEL_INVALID),
        ({"dataset": DatasetRef(path="/nowhere", type=DatasetType.BENCHMARK)}, ExitCode.DATASET_INVALID),
        ({"reuse_outputs": "/nowhere"}, ExitCode.SPEC_INVALID),
    ],
)
def test_evaluator_cannot_run_what_is_wrong(spec: EvaluateJobSpec, changes: dict[str, Any], code: ExitCode) -> None:
    """FR-005b: each kind of failure has its exit code and its reason in the report."""
    broken = replace(spec, **changes)
    assert run(broken) == code
    report = report_of(broken)
    assert report.status is ReportStatus.FAILED
    assert report.failure
    assert not (Path(spec.output_dir) / "samples.jsonl").exists()
