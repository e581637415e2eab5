"""Contract of the trainer: what a job asks for and what its report says."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from workers.contracts.architecture import Architecture
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
    check_env_name,
    check_range,
    check_version,
)

REPORT_FILENAME = "report.json"
"""The trainer's report, in `output_dir`; written also when the run fails."""
MODEL_DIRNAME = "model"
"""The finished model (a Hugging Face directory), below `output_dir`; complete or not there at all."""
CHECKPOINT_DIRNAME = "checkpoints"
METRICS_CREDENTIAL_VARIABLE = "LLMOPS_METRICS_TOKEN"
"""Environment variable that holds the job-scoped token, unless the spec names another one."""
METRICS_FILENAME = "metrics.jsonl"


class TrainJobType(StrEnum):
    """What the weights start from."""

    FINETUNE = "finetune"
    FROM_SCRATCH = "from_scratch"
    PRETRAIN = "pretrain"


class TrainMethod(StrEnum):
    """Which weights move."""

    FULL = "full"
    LORA = "lora"
    QLORA = "qlora"


class Scheduler(StrEnum):
    """How the learning rate moves after the warm-up."""

    COSINE = "cosine"
    LINEAR = "linear"
    CONSTANT = "constant"


TRAINABLE: dict[TrainJobType, frozenset[DatasetType]] = {
    TrainJobType.FINETUNE: frozenset({DatasetType.SFT_PAIR, DatasetType.RAG_QA, DatasetType.PRETRAIN_CORPUS}),
    TrainJobType.FROM_SCRATCH: frozenset({DatasetType.PRETRAIN_CORPUS, DatasetType.SFT_PAIR, DatasetType.RAG_QA}),
    TrainJobType.PRETRAIN: frozenset({DatasetType.PRETRAIN_CORPUS}),
}
"""Dataset types that this trainer reads, for each job type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraSettings:
    """Low-rank adapters. Empty `target_modules` = every linear layer but the output head."""

    r: int = 16
    alpha: int = 32
    dropout: float = 0.05
    target_modules: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_range("r", self.r, 1, 1024)
        check_range("alpha", self.alpha, 1, 8192)
        check_range("dropout", self.dropout, 0, 1, open_high=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Numbers that steer training. `max_steps` wins over `num_epochs` where both are given."""

    method: TrainMethod = TrainMethod.LORA
    learning_rate: float = 2e-4
    batch_size: int = 2
    num_epochs: float = 1.0
    max_steps: int | None = None
    max_seq_len: int = 512
    gradient_accumulation_steps: int = 1
    warmup_ratio: float = 0.03
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    scheduler: Scheduler = Scheduler.LINEAR
    lora: LoraSettings = field(default_factory=LoraSettings)

    def __post_init__(self) -> None:
        check_range("learning_rate", self.learning_rate, 0, 1, open_low=True)
        check_range("batch_size", self.batch_size, 1, 4096)
        check_range("num_epochs", self.num_epochs, 0, 10_000, open_low=True)
        if self.max_steps is not None:
            check_range("max_steps", self.max_steps, 1, 100_000_000)
        check_range("max_seq_len", self.max_seq_len, 8, 1_048_576)
        check_range("gradient_accumulation_steps", self.gradient_accumulation_steps, 1, 4096)
        check_range("warmup_ratio", self.warmup_ratio, 0, 1)
        check_range("weight_decay", self.weight_decay, 0, 1)
        check_range("max_grad_norm", self.max_grad_norm, 0, 1000, open_low=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSettings:
    """`every_steps` 0 = ten per run. `resume` goes on from the newest intact checkpoint in `output_dir`."""

    every_steps: int = 0
    keep: int = 2
    resume: bool = True

    def __post_init__(self) -> None:
        check_range("every_steps", self.every_steps, 0, 100_000_000)
        check_range("keep", self.keep, 1, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSink:
    """Where metrics are posted. The bearer token is read from the environment variable `token_env`."""

    url: str
    token_env: str = METRICS_CREDENTIAL_VARIABLE
    batch_size: int = 200
    flush_seconds: float = 2.0
    drain_seconds: float = 10.0
    """How long the end of the run waits, at most, for the last metrics to arrive."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise SpecError("url", "must be an http:// or https:// address.")
        check_env_name("token_env", self.token_env)
        check_range("batch_size", self.batch_size, 1, 10_000)
        check_range("flush_seconds", self.flush_seconds, 0, 3600, open_low=True)
        check_range("drain_seconds", self.drain_seconds, 0, 600)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainJobSpec:
    """One attempt at one training job. Paths are absolute or relative to the working directory."""

    job_id: str
    job_type: TrainJobType
    dataset: DatasetRef
    output_dir: str
    base_model_dir: str | None = None
    """Hugging Face directory; needed for `finetune`, and for initialisation from weights or embeddings."""
    tokenizer_dir: str | None = None
    """For `from_scratch` and `pretrain`; without it a byte-level BPE is trained on the dataset."""
    architecture: Architecture | None = None
    hyperparameters: Hyperparameters = field(default_factory=Hyperparameters)
    eval_fraction: float = 0.1
    """Share of the rows held out for `eval_loss`; 0 = none. At least one row, at most 500, when above 0."""
    seed: int = 42
    precision: Precision = Precision.FP32
    use_gpu: bool = False
    log_every_steps: int = 1
    checkpoint: CheckpointSettings = field(default_factory=CheckpointSettings)
    metrics: MetricsSink | None = None
    progress_file: str = ""
    """Default: `progress.json` in `output_dir`."""
    threads: int = 1
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        check_version(self.schema_version)
        if not self.job_id:
            raise SpecError("job_id", "is required.")
        if not self.output_dir:
            raise SpecError("output_dir", "is required.")
        check_range("eval_fraction", self.eval_fraction, 0, 0.9)
        check_range("seed", self.seed, 0, 2**32 - 1)
        check_range("log_every_steps", self.log_every_steps, 1, 1_000_000)
        check_range("threads", self.threads, 1, 1024)
        self._check_start()
        self._check_method()
        self._check_dataset()

    def _check_start(self) -> None:
        if self.job_type is TrainJobType.FINETUNE:
            if not self.base_model_dir:
                raise SpecError("base_model_dir", "is required for a finetune job.")
            if self.architecture is not None:
                raise SpecError(
                    "architecture",
                    "belongs to from_scratch and pretrain jobs, not to finetune.",
                )
            return
        if self.architecture is None:
            raise SpecError("architecture", f"is required for a {self.job_type.value} job.")
        if self.architecture.needs_base and not self.base_model_dir:
            how = self.architecture.initialisation.value
            raise SpecError("base_model_dir", f"is required to initialise with {how!r}.")

    def _check_method(self) -> None:
        method = self.hyperparameters.method
        where = "hyperparameters.method"
        if method is TrainMethod.QLORA:
            raise SpecError(where, "qlora is not available in this trainer; use lora or full.")
        if self.job_type is not TrainJobType.FINETUNE and method is not TrainMethod.FULL:
            problem = f"must be full for a {self.job_type.value} job: {method.value} adapts weights that exist."
            raise SpecError(where, problem)
        if self.precision is Precision.FP16 and not self.use_gpu:
            raise SpecError("precision", "fp16 needs a GPU; use fp32 or bf16 on a CPU.")

    def _check_dataset(self) -> None:
        allowed = TRAINABLE[self.job_type]
        if self.dataset.type not in allowed:
            names = ", ".join(sorted(kind.value for kind in allowed))
            problem = (
                f"{self.dataset.type.value} cannot be used by a {self.job_type.value} job of this trainer; "
                f"it reads {names}."
            )
            raise SpecError("dataset.type", problem)

    def to_json(self) -> str:
        """This spec as JSON text."""
        return json.dumps(to_plain(self), indent=2)

    @classmethod
    def from_json(cls, text: str | bytes) -> TrainJobSpec:
        """Read a spec; raises `SpecError` naming the field."""
        return from_plain(cls, parse_json(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainReport:
    """What the trainer leaves in `output_dir/report.json`, whatever the ending."""

    job_id: str
    status: ReportStatus
    started_at: str
    finished_at: str
    model_dir: str = ""
    """Directory of the finished model; empty unless `succeeded`."""
    steps: int = 0
    total_steps: int = 0
    resumed_from_step: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    """Final figures: `train_loss`, `eval_loss`, `tokens_per_second`, `tokens_seen`, `parameters`, …"""
    rows: dict[str, int] = field(default_factory=dict)
    """`train`, `eval`, `skipped` (no response left after cutting to `max_seq_len`)."""
    metrics_delivered: int = 0
    metrics_lost: int = 0
    warnings: tuple[str, ...] = ()
    failure: Failure | None = None
    environment: Environment | None = None
    resources: Resources = field(default_factory=Resources)
    spec: dict[str, Any] = field(default_factory=dict)
    """The spec as it was run, for the record. It never holds secrets."""
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        check_version(self.schema_version)

    def to_json(self) -> str:
        """This report as JSON text."""
        return json.dumps(to_plain(self), indent=2)

    @classmethod
    def from_json(cls, text: str | bytes) -> TrainReport:
        """Read a report; raises `SpecError` naming the field."""
        return from_plain(cls, parse_json(text))
