"""Contract of the evaluator: what a run asks for, its samples and its report."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from workers.contracts.codec import SpecError, from_plain, parse_json, to_plain
from workers.contracts.common import (
    SCHEMA_VERSION,
    DatasetRef,
    DatasetType,
    Environment,
    Failure,
    Precision,
    ReportStatus,
    Resources,
    check_range,
    check_version,
)

REPORT_FILENAME = "report.json"
SAMPLES_FILENAME = "samples.jsonl"


class Metric(StrEnum):
    """Metrics by the names of the API. Fractions are 0 to 1, BLEU is 0 to 100, perplexity is at least 1."""

    EXACT_MATCH = "exact_match"
    F1 = "f1"
    BLEU = "bleu"
    ROUGE1 = "rouge1"
    ROUGE2 = "rouge2"
    ROUGEL = "rougeL"
    PERPLEXITY = "perplexity"
    ACCURACY = "accuracy"
    ENTITY_F1 = "entity_f1"


DEFAULT_METRICS: tuple[Metric, ...] = (
    Metric.EXACT_MATCH,
    Metric.F1,
    Metric.BLEU,
    Metric.ROUGEL,
)

LOWER_IS_BETTER: frozenset[Metric] = frozenset({Metric.PERPLEXITY})

EVALUABLE: frozenset[DatasetType] = frozenset({DatasetType.BENCHMARK, DatasetType.SFT_PAIR, DatasetType.RAG_QA})


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapSettings:
    """Percentile bootstrap over samples, seeded with the run's seed."""

    resamples: int = 1000
    confidence: float = 0.95

    def __post_init__(self) -> None:
        check_range("resamples", self.resamples, 10, 100_000)
        check_range("confidence", self.confidence, 0.5, 0.999)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateJobSpec:
    """One evaluation of one model on one dataset."""

    run_id: str
    dataset: DatasetRef
    output_dir: str
    model_dir: str | None = None
    """Hugging Face directory; needed unless outputs are reused and perplexity is not asked for."""
    metrics: tuple[Metric, ...] = DEFAULT_METRICS
    sample_size: int | None = None
    """Rows taken, chosen by `seed`, in file order; default: all."""
    seed: int = 42
    max_new_tokens: int = 64
    max_input_tokens: int = 2048
    batch_size: int = 4
    system_prompt: str = ""
    reuse_outputs: str | None = None
    """Samples JSONL of an earlier run: its outputs are scored again, nothing is generated."""
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)
    precision: Precision = Precision.FP32
    """fp32 is twice as fast as bf16 on CPUs without matrix units for it."""
    use_gpu: bool = False
    progress_file: str = ""
    """Default: `progress.json` in `output_dir`."""
    threads: int = 1
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        check_version(self.schema_version)
        if not self.run_id:
            raise SpecError("run_id", "is required.")
        if not self.output_dir:
            raise SpecError("output_dir", "is required.")
        if not self.metrics:
            raise SpecError("metrics", "must name at least one metric.")
        if len(set(self.metrics)) != len(self.metrics):
            raise SpecError("metrics", "names a metric twice.")
        if self.dataset.type not in EVALUABLE:
            names = ", ".join(sorted(kind.value for kind in EVALUABLE))
            raise SpecError(
                "dataset.type",
                f"{self.dataset.type.value} holds no references; use {names}.",
            )
        if self.sample_size is not None:
            check_range("sample_size", self.sample_size, 1, 10_000_000)
        check_range("seed", self.seed, 0, 2**32 - 1)
        check_range("max_new_tokens", self.max_new_tokens, 1, 32_768)
        check_range("max_input_tokens", self.max_input_tokens, 8, 1_048_576)
        check_range("batch_size", self.batch_size, 1, 1024)
        check_range("threads", self.threads, 1, 1024)
        if self.precision is Precision.FP16 and not self.use_gpu:
            raise SpecError("precision", "fp16 needs a GPU; use fp32 or bf16 on a CPU.")
        if not self.model_dir:
            if self.reuse_outputs is None:
                raise SpecError(
                    "model_dir",
                    "is required unless reuse_outputs names earlier outputs.",
                )
            if Metric.PERPLEXITY in self.metrics:
                raise SpecError("model_dir", "is required for perplexity.")

    def to_json(self) -> str:
        """This spec as JSON text."""
        return json.dumps(to_plain(self), indent=2)

    @classmethod
    def from_json(cls, text: str | bytes) -> EvaluateJobSpec:
        """Read a spec; raises `SpecError` naming the field."""
        return from_plain(cls, parse_json(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleResult:
    """One line of the samples file. `output` is null where generation failed; then `error` says why."""

    index: int
    """Row number in the dataset file, counted from 0."""
    input: str
    reference: str
    output: str | None
    scores: dict[str, float] = field(default_factory=dict)
    latency_ms: float = 0.0
    """Time of the sample's batch divided by the batch's size."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    error: str = ""
    row_id: str = ""
    """The row's own `id` column where it has one."""

    def to_json(self) -> str:
        """This sample as one line of JSON."""
        return json.dumps(to_plain(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> SampleResult:
        """Read one line; raises `SpecError` naming the field."""
        return from_plain(cls, parse_json(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricValue:
    """A metric over all samples with its bootstrap interval. `samples` = how many it rests on."""

    value: float
    low: float
    high: float
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateReport:
    """What the evaluator leaves in `output_dir/report.json`, whatever the ending."""

    run_id: str
    status: ReportStatus
    started_at: str
    finished_at: str
    metrics: dict[str, MetricValue] = field(default_factory=dict)
    sample_count: int = 0
    failed_samples: int = 0
    """Samples without an output; they score 0 in every metric that looks at outputs."""
    samples_file: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    warnings: tuple[str, ...] = ()
    failure: Failure | None = None
    environment: Environment | None = None
    resources: Resources = field(default_factory=Resources)
    spec: dict[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        check_version(self.schema_version)

    def to_json(self) -> str:
        """This report as JSON text."""
        return json.dumps(to_plain(self), indent=2)

    @classmethod
    def from_json(cls, text: str | bytes) -> EvaluateReport:
        """Read a report; raises `SpecError` naming the field."""
        return from_plain(cls, parse_json(text))
