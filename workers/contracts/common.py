"""What training and evaluation specs share: dataset references, precisions, reports' outer parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from workers.contracts.codec import SpecError

SCHEMA_VERSION = 1
"""Version of every document in this package. A reader refuses a version that it does not know."""


class DatasetType(StrEnum):
    """Dataset types of the catalog; each has its own columns."""

    PRETRAIN_CORPUS = "pretrain_corpus"
    SFT_PAIR = "sft_pair"
    RAG_QA = "rag_qa"
    RLHF_PAIR = "rlhf_pair"
    BENCHMARK = "benchmark"


class Precision(StrEnum):
    """Number format of weights and activations."""

    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"


class ReportStatus(StrEnum):
    """How a run ended, as its report says."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


COLUMN_CHOICES: dict[DatasetType, tuple[dict[str, str], ...]] = {
    DatasetType.PRETRAIN_CORPUS: ({"text": "text"},),
    DatasetType.SFT_PAIR: (
        {"prompt": "instruction", "response": "response"},
        {"prompt": "prompt", "response": "completion"},
        {"messages": "messages"},
    ),
    DatasetType.RAG_QA: ({"prompt": "question", "context": "context", "response": "answer"},),
    DatasetType.RLHF_PAIR: ({"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"},),
    DatasetType.BENCHMARK: (
        {"prompt": "input", "response": "reference"},
        {"prompt": "question", "response": "answer"},
    ),
}
"""For each dataset type the accepted sets of columns, as `{role: column name}`, first match wins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRef:
    """A dataset on disk: one JSON object per line."""

    path: str
    type: DatasetType
    columns: dict[str, str] = field(default_factory=dict)
    """`{role: column}` with the roles of `COLUMN_CHOICES`; empty: found from the first row."""
    name: str = ""
    version: str = ""

    def __post_init__(self) -> None:
        if not self.path:
            raise SpecError("path", "is required.")
        roles = {role for choice in COLUMN_CHOICES[self.type] for role in choice}
        for role, column in self.columns.items():
            if role not in roles:
                known = ", ".join(sorted(roles))
                raise SpecError(
                    f"columns.{role}",
                    f"is not a role of {self.type.value} data. Roles: {known}.",
                )
            if not column:
                raise SpecError(f"columns.{role}", "must name a column.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a run ended without its result. `tag` is one of `exits.TAGS`."""

    tag: str
    message: str
    field: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where and with what a run happened; enough to repeat it."""

    python: str
    platform: str
    cpu_count: int
    device: str
    threads: int
    packages: dict[str, str] = field(default_factory=dict)
    gpu_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a run used, seen from inside its process."""

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0
    peak_gpu_memory_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Content of the progress file, replaced atomically while the program runs."""

    phase: str
    percent: float
    message: str
    step: int = 0
    total_steps: int = 0
    updated_at: str = ""
    schema_version: int = SCHEMA_VERSION


def check_version(version: int) -> None:
    """Refuse a document of a schema version that this code does not know."""
    if version != SCHEMA_VERSION:
        raise SpecError(
            "schema_version",
            f"is {version}; this program understands {SCHEMA_VERSION} only.",
        )


def check_range(
    name: str,
    value: float,
    low: float,
    high: float,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> None:
    """Refuse a number outside `low`…`high`; `open_low` and `open_high` exclude the borders."""
    fits = (value > low if open_low else value >= low) and (value < high if open_high else value <= high)
    if not fits:
        lower = f"above {low:g}" if open_low else f"at least {low:g}"
        upper = f"below {high:g}" if open_high else f"at most {high:g}"
        raise SpecError(name, f"must be {lower} and {upper}, not {value:g}.")


def check_env_name(name: str, value: str) -> None:
    """Refuse what cannot be the name of an environment variable."""
    if not value or not value.replace("_", "a").isalnum() or not value.isascii() or value[0].isdigit():
        raise SpecError(name, f"must be the name of an environment variable, not {value[:80]!r}.")
