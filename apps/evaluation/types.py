"""Words and tables of the evaluation app: kinds of runs, their states, and what a comparison says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import models


class RunType(models.TextChoices):
    """Who judges the outputs."""

    AUTOMATED = "automated", "Automated"  # metrics alone
    HUMAN = "human", "Human review"  # people alone, on outputs of an earlier run or made for this one
    LLM_JUDGE = "llm_judge", "LLM judge"  # a model; not available yet
    COMBINED = "combined", "Automated and human"  # metrics first, then people


class RunStatus(models.TextChoices):
    """Life of a run.

    queued: accepted, its inputs are prepared and it waits for a place. running: the evaluator works.
    awaiting_review: outputs are there, people have to judge them. The others are final.
    """

    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    AWAITING_REVIEW = "awaiting_review", "Awaiting review"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


RUN_TRANSITIONS: Mapping[str, frozenset[str]] = {
    RunStatus.QUEUED: frozenset(
        {RunStatus.RUNNING, RunStatus.AWAITING_REVIEW, RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED}
    ),
    # running → queued: an interrupted attempt is tried again.
    RunStatus.RUNNING: frozenset(
        {RunStatus.QUEUED, RunStatus.AWAITING_REVIEW, RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED}
    ),
    RunStatus.AWAITING_REVIEW: frozenset({RunStatus.SUCCEEDED, RunStatus.CANCELLED}),
    RunStatus.SUCCEEDED: frozenset(),
    RunStatus.FAILED: frozenset(),
    RunStatus.CANCELLED: frozenset(),
}
RUN_WORKING = frozenset({RunStatus.QUEUED, RunStatus.RUNNING})
RUN_ACTIVE = RUN_WORKING | {RunStatus.AWAITING_REVIEW}
RUN_FINAL = frozenset(RunStatus.values) - RUN_ACTIVE

WITH_METRICS = frozenset({RunType.AUTOMATED, RunType.COMBINED})
WITH_REVIEW = frozenset({RunType.HUMAN, RunType.COMBINED})

OWNER_TYPE = "evaluation_run"
LINEAGE_KIND = "evaluation_run"


class Verdict(models.TextChoices):
    """What a comparison recommends about the second run's model."""

    PROMOTE = "promote", "Promote"
    HOLD = "hold", "Hold"
    REJECT = "reject", "Reject"
    INSUFFICIENT_EVIDENCE = "insufficient_evidence", "Insufficient evidence"


@dataclass(frozen=True, slots=True)
class Difference:
    """One metric on the samples that both runs have. ``difference`` is B minus A with its interval."""

    metric: str
    run_a: float
    run_b: float
    difference: float
    low: float
    high: float
    p_value: float
    samples: int
    lower_is_better: bool = False

    @property
    def better(self) -> bool:
        """B is better beyond chance."""
        return self.high < 0 if self.lower_is_better else self.low > 0

    @property
    def worse(self) -> bool:
        """B is worse beyond chance."""
        return self.low > 0 if self.lower_is_better else self.high < 0


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A verdict and the sentences that explain it."""

    verdict: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs on the same dataset, B against A."""

    runs: tuple[Any, Any]
    differences: tuple[Difference, ...]
    recommendation: Recommendation
    paired_samples: int
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
