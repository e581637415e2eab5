"""Specs and reports across the process boundary (FR-004h): what is read is checked, and errors name the field."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.workers.conftest import train_spec
from workers.contracts import (
    DatasetRef,
    DatasetType,
    EvaluateJobSpec,
    EvaluateReport,
    Metric,
    MetricsSink,
    MetricValue,
    ReportStatus,
    SpecError,
    TrainJobSpec,
    TrainMethod,
    TrainReport,
    architecture_from_request,
    hyperparameters_from_request,
)

ROOT = Path(__file__).resolve().parents[2]
SINK = MetricsSink(url="http://127.0.0.1:1/metrics")


def _plain() -> dict[str, Any]:
    spec = train_spec(Path("data.jsonl"), Path("out"), Path("base"), metrics=SINK)
    plain = json.loads(spec.to_json())
    assert isinstance(plain, dict)
    return plain


def test_portal_can_write_and_trainer_can_read_a_spec() -> None:
    """FR-004h: a spec survives the way through JSON unchanged."""
    spec = train_spec(Path("data.jsonl"), Path("out"), Path("base"), metrics=SINK)
    assert TrainJobSpec.from_json(spec.to_json()) == spec


def test_portal_can_read_the_reports() -> None:
    """FR-004h, FR-005b: reports survive the way through JSON unchanged."""
    values: dict[str, Any] = {"status": ReportStatus.SUCCEEDED, "started_at": "a", "finished_at": "b"}
    train = TrainReport(job_id="j", metrics={"loss": 1.5}, rows={"train": 3}, warnings=("w",), **values)
    assert TrainReport.from_json(train.to_json()) == train
    figures = {"f1": MetricValue(value=0.5, low=0.4, high=0.6, samples=3)}
    evaluation = EvaluateReport(run_id="r", metrics=figures, **values)
    assert EvaluateReport.from_json(evaluation.to_json()) == evaluation


@pytest.mark.parametrize(
    ("path", "value", "field", "words"),
    [
        (("schema_version",), 2, "schema_version", "understands 1 only"),
        (("schema_version",), "1", "schema_version", "whole number"),
        (("job_id",), None, "job_id", "text"),
        (("job_id",), "", "job_id", "required"),
        (("output_dir",), "a\x00b", "output_dir", "null character"),
        (("seed",), True, "seed", "whole number"),
        (("seed",), -1, "seed", "at least 0"),
        (("use_gpu",), "false", "use_gpu", "true or false"),
        (("precision",), "int4", "precision", "fp32, fp16, bf16"),
        (("precision",), "fp16", "precision", "GPU"),
        (("job_type",), "rlhf", "job_type", "finetune"),
        (("base_model_dir",), None, "base_model_dir", "required"),
        (("dataset", "type"), "rlhf_pair", "dataset.type", "reads pretrain_corpus"),
        (("dataset", "path"), "", "dataset.path", "required"),
        (("dataset", "columns"), {"question": "q"}, "dataset.columns.question", "not a role"),
        (("hyperparameters", "method"), "qlora", "hyperparameters.method", "qlora is not available"),
        (("hyperparameters", "learning_rate"), 0, "hyperparameters.learning_rate", "above 0"),
        (("hyperparameters", "learning_rate"), "fast", "hyperparameters.learning_rate", "a number"),
        (("hyperparameters", "lora", "r"), 0, "hyperparameters.lora.r", "at least 1"),
        (("hyperparameters", "lora", "target_modules"), ["q", 1], "lora.target_modules[1]", "text"),
        (("hyperparameters", "batchsize"), 3, "hyperparameters.batchsize", "not known"),
        (("metrics", "url"), "file:///etc/passwd", "metrics.url", "http"),
        (("metrics", "token_env"), "A B", "metrics.token_env", "environment variable"),
        (("eval_fraction",), 0.95, "eval_fraction", "at most 0.9"),
    ],
)
def test_trainer_cannot_be_given_a_broken_spec(path: tuple[str, ...], value: object, field: str, words: str) -> None:
    """FR-004h: each violation names its field and says what would be right."""
    plain = _plain()
    place = plain
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(SpecError) as caught:
        TrainJobSpec.from_json(json.dumps(plain))
    assert caught.value.field.endswith(field)
    assert words in caught.value.problem


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"job_id": NaN}'])
def test_trainer_cannot_be_given_nonsense_for_a_spec(text: bytes) -> None:
    """FR-004h: what is no JSON object is refused in words, not with a traceback."""
    with pytest.raises(SpecError):
        TrainJobSpec.from_json(text)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"metrics": []}, "metrics"),
        ({"metrics": ["f1", "f1"]}, "metrics"),
        ({"metrics": ["meteor"]}, "metrics[0]"),
        ({"model_dir": None}, "model_dir"),
        ({"model_dir": None, "reuse_outputs": "x", "metrics": ["perplexity"]}, "model_dir"),
        ({"sample_size": 0}, "sample_size"),
        ({"dataset": {"path": "d", "type": "pretrain_corpus"}}, "dataset.type"),
        ({"bootstrap": {"resamples": 1}}, "bootstrap.resamples"),
    ],
)
def test_evaluator_cannot_be_given_a_broken_spec(changes: dict[str, Any], field: str) -> None:
    """FR-005b: each violation names its field."""
    dataset = DatasetRef(path="d", type=DatasetType.BENCHMARK)
    spec = EvaluateJobSpec(run_id="r", dataset=dataset, output_dir="o", model_dir="m", metrics=(Metric.F1,))
    with pytest.raises(SpecError) as caught:
        EvaluateJobSpec.from_json(json.dumps(json.loads(spec.to_json()) | changes))
    assert caught.value.field == field


def test_portal_can_read_hyperparameters_in_every_spelling() -> None:
    """FR-004b: short names, Hugging Face's names and both cases mean the same; strangers are named."""
    data = {"lr": 0.001, "batchSize": 4, "num_train_epochs": 2, "max_steps": None, "foo": 1, "seed": 3}
    found, unknown = hyperparameters_from_request(data | {"lora": {"lora_alpha": 8, "bar": 1}})
    assert (found.learning_rate, found.batch_size, found.num_epochs, found.lora.alpha) == (0.001, 4, 2.0, 8)
    assert unknown == ["foo", "lora.bar"]
    assert hyperparameters_from_request({}, default_method=TrainMethod.FULL)[0].method is TrainMethod.FULL


def test_portal_cannot_pass_on_contradicting_hyperparameters() -> None:
    """FR-004b: two spellings with different values are an error, not a coin toss."""
    with pytest.raises(SpecError, match="contradicts 'lr'"):
        hyperparameters_from_request({"lr": 0.1, "learning_rate": 0.2})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"heads": 3}, "heads"),
        ({"kv_heads": 3}, "kv_heads"),
        ({"layers": 0}, "layers"),
        ({"type": "bert"}, "type"),
        ({"hidden_size": None}, "hidden_size"),
        ({"config": 3}, "config"),
    ],
)
def test_portal_cannot_pass_on_an_impossible_architecture(changes: dict[str, Any], field: str) -> None:
    """FR-004c: sizes that do not fit together are refused before anything starts."""
    good = {"type": "Llama", "num_hidden_layers": 2, "n_embd": 64, "heads": 4, "rope_theta": 1e4}
    assert architecture_from_request(good).config == {"rope_theta": 1e4}
    renamed = {"type": "llama", "layers": 2, "hidden_size": 64, "heads": 4}
    with pytest.raises(SpecError) as caught:
        architecture_from_request(renamed | changes)
    assert caught.value.field == field


def test_contracts_cannot_import_more_than_the_standard_library() -> None:
    """FR-004h: the portal imports the contracts; nothing heavy may come with them."""
    for path in (ROOT / "workers" / "contracts").glob("*.py"):
        for name in _imported(path):
            assert name in sys.stdlib_module_names or name == "workers", f"{path.name} imports {name}"


def test_workers_cannot_import_django_or_the_portal() -> None:
    """FR-004h: the programs know nothing of Django."""
    for path in (ROOT / "workers").rglob("*.py"):
        assert not _imported(path) & {"django", "apps", "llmops", "rest_framework", "celery"}, path


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names
