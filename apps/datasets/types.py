"""Words and tables of the datasets app: kinds, states, transitions, required columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class DatasetType(StrEnum):
    """What a dataset is for; decides which columns it must have."""

    PRETRAIN_CORPUS = "pretrain_corpus"
    SFT_PAIR = "sft_pair"
    RAG_QA = "rag_qa"
    RLHF_PAIR = "rlhf_pair"
    BENCHMARK = "benchmark"


DATASET_TYPE_LABELS: Mapping[str, str] = {
    DatasetType.PRETRAIN_CORPUS: "Pre-training corpus",
    DatasetType.SFT_PAIR: "Instruction pairs",
    DatasetType.RAG_QA: "Questions with context",
    DatasetType.RLHF_PAIR: "Preference pairs",
    DatasetType.BENCHMARK: "Benchmark",
}


class DatasetStatus(StrEnum):
    """Where a dataset stands in its approval.

    draft: being prepared; files may be uploaded. pending_review: submitted, frozen, waits for a reviewer.
    approved: immutable, may be trained on. rejected: refused with notes; goes back to draft to be worked on.
    """

    DRAFT = "draft"
    PENDING_REVIEW = "pending_review"
    APPROVED = "approved"
    REJECTED = "rejected"


DATASET_TRANSITIONS: Mapping[str, frozenset[str]] = {
    DatasetStatus.DRAFT: frozenset({DatasetStatus.PENDING_REVIEW}),
    DatasetStatus.PENDING_REVIEW: frozenset({DatasetStatus.APPROVED, DatasetStatus.REJECTED, DatasetStatus.DRAFT}),
    DatasetStatus.APPROVED: frozenset({DatasetStatus.DRAFT}),
    DatasetStatus.REJECTED: frozenset({DatasetStatus.DRAFT}),
}


class PiiStatus(StrEnum):
    """Outcome of the PII scan: pending (not scanned yet), clean, failed (something was found)."""

    PENDING = "pending"
    CLEAN = "clean"
    FAILED = "failed"


class MarkScope(StrEnum):
    """What a mark on findings is about: one place, or all finds of a type in a column."""

    PLACE = "place"
    COLUMN = "column"


class MarkStatus(StrEnum):
    """A mark “this is no personal data”: proposed (no effect yet), confirmed (counts where its digest still
    matches), undone (taken back or refused)."""

    PROPOSED = "proposed"
    CONFIRMED = "confirmed"
    UNDONE = "undone"


MARK_TRANSITIONS: Mapping[str, frozenset[str]] = {
    MarkStatus.PROPOSED: frozenset({MarkStatus.CONFIRMED, MarkStatus.UNDONE}),
    MarkStatus.CONFIRMED: frozenset({MarkStatus.UNDONE}),
    MarkStatus.UNDONE: frozenset(),
}


class CheckStatus(StrEnum):
    """A check run: queued (waits for a worker), running, succeeded (has results), failed (could not
    check)."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


CHECK_TRANSITIONS: Mapping[str, frozenset[str]] = {
    CheckStatus.QUEUED: frozenset({CheckStatus.RUNNING, CheckStatus.FAILED}),
    # running → running: the next worker takes over a check whose worker died.
    CheckStatus.RUNNING: frozenset({CheckStatus.RUNNING, CheckStatus.SUCCEEDED, CheckStatus.FAILED}),
    CheckStatus.SUCCEEDED: frozenset(),
    CheckStatus.FAILED: frozenset(),
}


class ComparisonStatus(StrEnum):
    """A comparison: queued (waits for a worker), running, succeeded (has results), failed (asking again starts it
    anew)."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


COMPARISON_TRANSITIONS: Mapping[str, frozenset[str]] = {
    ComparisonStatus.QUEUED: frozenset({ComparisonStatus.RUNNING, ComparisonStatus.FAILED}),
    # running → running: the next worker takes over a comparison whose worker died.
    ComparisonStatus.RUNNING: frozenset(
        {ComparisonStatus.RUNNING, ComparisonStatus.SUCCEEDED, ComparisonStatus.FAILED}
    ),
    ComparisonStatus.SUCCEEDED: frozenset(),
    ComparisonStatus.FAILED: frozenset({ComparisonStatus.QUEUED}),
}

COMPARISON_ACTIVE = frozenset({ComparisonStatus.QUEUED, ComparisonStatus.RUNNING})

CHECK_ACTIVE = frozenset({CheckStatus.QUEUED, CheckStatus.RUNNING})

# The ways in which a dataset of a type may name its required columns; the first that fits a file counts.
REQUIRED_COLUMNS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    DatasetType.PRETRAIN_CORPUS: (("text",),),
    DatasetType.SFT_PAIR: (("instruction", "response"), ("prompt", "completion"), ("messages",)),
    DatasetType.RAG_QA: (("question", "context", "answer"),),
    DatasetType.RLHF_PAIR: (("prompt", "chosen", "rejected"),),
    DatasetType.BENCHMARK: (("input", "reference"), ("question", "answer")),
}

# What identifies a row when two versions are compared: the side that is asked, not the side that is answered.
INPUT_COLUMNS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    DatasetType.PRETRAIN_CORPUS: (),
    DatasetType.SFT_PAIR: (("instruction",), ("prompt",)),
    DatasetType.RAG_QA: (("question", "context"), ("question",)),
    DatasetType.RLHF_PAIR: (("prompt",),),
    DatasetType.BENCHMARK: (("input",), ("question",)),
}

ROLES_IN_MESSAGES = frozenset({"system", "user", "assistant", "tool"})


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a dataset: its name as sent, its kind (string, integer, number, boolean, list, object,
    mixed, null)."""

    name: str
    kind: str
    nullable: bool
    # How cells are kept in the rows file: "text" as they are, "json" as JSON text.
    stored: str = "text"

    def to_json(self) -> dict[str, object]:
        """As kept in ``Dataset.columns``."""
        return {"name": self.name, "type": self.kind, "nullable": self.nullable, "stored": self.stored}

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> Column:
        """Read back what :meth:`to_json` wrote."""
        return cls(str(value["name"]), str(value["type"]), bool(value["nullable"]), str(value.get("stored", "text")))


def required_columns_help(dataset_type: str) -> str:
    """One sentence naming the columns that a dataset of this type needs."""
    ways = [" and ".join(f"“{name}”" for name in names) for names in REQUIRED_COLUMNS[dataset_type]]
    return f"A {dataset_type} dataset needs {', or '.join(ways)}."
