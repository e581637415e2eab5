"""Specs and reports of the worker programs: standard-library dataclasses with a schema version.

spec = TrainJobSpec(...);  Path("spec.json").write_text(spec.to_json())
python -m workers.trainer --spec spec.json        →  exit code (`ExitCode`), OUTPUT_DIR/report.json
python -m workers.evaluator --spec spec.json      →  exit code (`ExitCode`), OUTPUT_DIR/report.json
"""

from __future__ import annotations

from workers.contracts.architecture import Architecture, Family, Initialisation
from workers.contracts.codec import SpecError, from_plain, to_plain
from workers.contracts.common import (
    COLUMN_CHOICES,
    SCHEMA_VERSION,
    DatasetRef,
    DatasetType,
    Environment,
    Failure,
    Precision,
    Progress,
    ReportStatus,
    Resources,
)
from workers.contracts.evaluation import (
    DEFAULT_METRICS,
    LOWER_IS_BETTER,
    BootstrapSettings,
    EvaluateJobSpec,
    EvaluateReport,
    Metric,
    MetricValue,
    SampleResult,
)
from workers.contracts.exits import RETRYABLE, TAGS, ExitCode
from workers.contracts.requests import (
    architecture_from_request,
    hyperparameters_from_request,
)
from workers.contracts.training import (
    CheckpointSettings,
    Hyperparameters,
    LoraSettings,
    MetricsSink,
    Scheduler,
    TrainJobSpec,
    TrainJobType,
    TrainMethod,
    TrainReport,
)

__all__ = [
    "COLUMN_CHOICES",
    "DEFAULT_METRICS",
    "LOWER_IS_BETTER",
    "RETRYABLE",
    "SCHEMA_VERSION",
    "TAGS",
    "Architecture",
    "BootstrapSettings",
    "CheckpointSettings",
    "DatasetRef",
    "DatasetType",
    "Environment",
    "EvaluateJobSpec",
    "EvaluateReport",
    "ExitCode",
    "Failure",
    "Family",
    "Hyperparameters",
    "Initialisation",
    "LoraSettings",
    "Metric",
    "MetricValue",
    "MetricsSink",
    "Precision",
    "Progress",
    "ReportStatus",
    "Resources",
    "SampleResult",
    "Scheduler",
    "SpecError",
    "TrainJobSpec",
    "TrainJobType",
    "TrainMethod",
    "TrainReport",
    "architecture_from_request",
    "from_plain",
    "hyperparameters_from_request",
    "to_plain",
]
