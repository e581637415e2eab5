"""Words of the governance app: states with their transition tables, and the small values that services exchange."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db import models


class PolicyScope(models.TextChoices):
    """Where a policy counts. Older names: `model` means catalog, `user` and `project` mean global."""

    CATALOG = "catalog", "Catalog"
    DATASET = "dataset", "Datasets"
    TRAINING = "training", "Training"
    EVALUATION = "evaluation", "Evaluation"
    SERVING = "serving", "Serving"
    INFERENCE = "inference", "Inference"
    GLOBAL = "global", "Everywhere"
    MODEL = "model", "Models (same as catalog)"
    USER = "user", "Users (same as everywhere)"
    PROJECT = "project", "Project (same as everywhere)"


SCOPE_ALIASES: Mapping[str, str] = {"model": "catalog", "user": "global", "project": "global"}

POLICY_VERBS: tuple[str, ...] = (
    "list",
    "get",
    "create",
    "update",
    "delete",
    "upload",
    "submit",
    "approve",
    "deploy",
    "invoke",
    "export",
)


class PolicyStatus(models.TextChoices):
    """draft: being written, decides nothing · active: counts in every decision · retired: kept for the record."""

    DRAFT = "draft", "Draft"
    ACTIVE = "active", "Active"
    RETIRED = "retired", "Retired"


POLICY_TRANSITIONS: Mapping[str, frozenset[str]] = {
    PolicyStatus.DRAFT: frozenset({PolicyStatus.ACTIVE, PolicyStatus.RETIRED}),
    PolicyStatus.ACTIVE: frozenset({PolicyStatus.DRAFT, PolicyStatus.RETIRED}),
    PolicyStatus.RETIRED: frozenset({PolicyStatus.DRAFT}),
}


class ApprovalStatus(models.TextChoices):
    """What became of a request.

    open: waits for decisions · approved: quorum reached · rejected: one reviewer said no · changes_requested: sent
    back to its author · withdrawn: taken back by who asked · lapsed: what was (to be) approved has changed since.
    """

    OPEN = "open", "Open"
    APPROVED = "approved", "Approved"
    REJECTED = "rejected", "Rejected"
    CHANGES_REQUESTED = "changes_requested", "Changes requested"
    WITHDRAWN = "withdrawn", "Withdrawn"
    LAPSED = "lapsed", "Lapsed"


APPROVAL_TRANSITIONS: Mapping[str, frozenset[str]] = {
    ApprovalStatus.OPEN: frozenset(
        {
            ApprovalStatus.APPROVED,
            ApprovalStatus.REJECTED,
            ApprovalStatus.CHANGES_REQUESTED,
            ApprovalStatus.WITHDRAWN,
            ApprovalStatus.LAPSED,
        }
    ),
    ApprovalStatus.APPROVED: frozenset({ApprovalStatus.LAPSED}),
    ApprovalStatus.REJECTED: frozenset(),
    ApprovalStatus.CHANGES_REQUESTED: frozenset(),
    ApprovalStatus.WITHDRAWN: frozenset(),
    ApprovalStatus.LAPSED: frozenset(),
}


class Decision(models.TextChoices):
    """What a reviewer says about a request."""

    APPROVE = "approve", "Approve"
    REJECT = "reject", "Reject"
    REQUEST_CHANGES = "request_changes", "Request changes"


DECISION_SPELLINGS: Mapping[str, str] = {
    "approve": "approve",
    "approved": "approve",
    "reject": "reject",
    "rejected": "reject",
    "request_changes": "request_changes",
    "changes_requested": "request_changes",
    "draft": "request_changes",
}


@dataclass(frozen=True, slots=True)
class GateResult:
    """One check of an approval. `reason` says what was found, `remedy` what to do when it failed."""

    key: str
    label: str
    passed: bool
    reason: str = ""
    remedy: str = ""

    def as_json(self) -> dict[str, str | bool]:
        """The form in which a request stores its gates."""
        return {
            "key": self.key,
            "label": self.label,
            "passed": self.passed,
            "reason": self.reason,
            "remedy": self.remedy,
        }


@dataclass(frozen=True, slots=True)
class MayDecide:
    """Whether somebody may decide a request, with the reason for people."""

    allowed: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.allowed


@dataclass(frozen=True, slots=True)
class PolicyDecision:
    """What the policies say about one action. `explanation` is for people; `policy_id` names who denied, if one did."""

    allowed: bool
    explanation: str
    policy_id: UUID | None = None
    policy_name: str = ""
    considered: int = 0


class UsageKind(models.TextChoices):
    """What is counted. The value names the unit; `requests` are pieces."""

    TOKENS_IN = "tokens_in", "Tokens read"
    TOKENS_OUT = "tokens_out", "Tokens written"
    CPU_SECONDS = "cpu_seconds", "CPU time"
    GPU_SECONDS = "gpu_seconds", "GPU time"
    MEMORY_BYTE_SECONDS = "memory_byte_seconds", "Memory"
    STORAGE_BYTE_HOURS = "storage_byte_hours", "Storage"
    REQUESTS = "requests", "Requests"


class CostResource(models.TextChoices):
    """What caused a cost."""

    TRAINING = "training", "Training"
    SERVING = "serving", "Serving"
    EVALUATION = "evaluation", "Evaluation"
    STORAGE = "storage", "Storage"


GIB = Decimal(1024**3)
HOUR = Decimal(3600)
HOURS_PER_MONTH = Decimal(730)


@dataclass(frozen=True, slots=True)
class PriceUnit:
    """In which quantity a kind of usage is priced: `quantity` of the ledger's units make one `label`."""

    quantity: Decimal
    label: str


PRICE_UNITS: Mapping[str, PriceUnit] = {
    UsageKind.TOKENS_IN: PriceUnit(Decimal(1_000_000), "million tokens"),
    UsageKind.TOKENS_OUT: PriceUnit(Decimal(1_000_000), "million tokens"),
    UsageKind.CPU_SECONDS: PriceUnit(HOUR, "CPU hour"),
    UsageKind.GPU_SECONDS: PriceUnit(HOUR, "GPU hour"),
    UsageKind.MEMORY_BYTE_SECONDS: PriceUnit(GIB * HOUR, "GiB hour"),
    UsageKind.STORAGE_BYTE_HOURS: PriceUnit(GIB * HOURS_PER_MONTH, "GiB month"),
    UsageKind.REQUESTS: PriceUnit(Decimal(1000), "thousand requests"),
}


@dataclass(frozen=True, slots=True)
class UsageEntry:
    """One thing used. `key` makes it countable once: the same key is never billed twice, whoever reports it again.

    `quantity` is in the unit of `kind`, never negative; `occurred_at` is aware; `gpu_type` only for GPU seconds.
    """

    kind: str
    quantity: Decimal
    resource_type: str
    resource_id: UUID | str
    team_id: UUID
    occurred_at: datetime
    key: str
    user_id: UUID | int | None = None
    model_id: UUID | None = None
    gpu_type: str = ""


@dataclass(frozen=True, slots=True)
class CostLine:
    """Usage of one kind and what it costs."""

    kind: str
    label: str
    quantity: Decimal
    unit_label: str
    units: Decimal
    cost: Decimal


@dataclass(frozen=True, slots=True)
class CostSummary:
    """What something has cost in a window of whole cost days, `since` included, `until` excluded."""

    since: date | None
    until: date | None
    currency: str
    total: Decimal = Decimal(0)
    tokens_in: int = 0
    tokens_out: int = 0
    cpu_hours: Decimal = Decimal(0)
    gpu_hours: Decimal = Decimal(0)
    requests: int = 0
    lines: tuple[CostLine, ...] = ()

    @property
    def tokens(self) -> int:
        """Tokens read and written together."""
        return self.tokens_in + self.tokens_out

    @property
    def is_empty(self) -> bool:
        """True when nothing at all was used."""
        return not self.lines


@dataclass(frozen=True, slots=True)
class CostGroup:
    """Costs of one team, model, resource or day, with a label for people."""

    key: str
    label: str
    cost: Decimal
    gpu_hours: Decimal = Decimal(0)
    cpu_hours: Decimal = Decimal(0)
    tokens: int = 0
    url: str = ""


@dataclass(frozen=True, slots=True)
class CostAggregate:
    """Totals over everything that somebody may see in a window of whole cost days."""

    total_gpu_hours: Decimal
    total_tokens: int
    total_cost: Decimal
    currency: str
    resource_count: int


@dataclass(frozen=True, slots=True)
class CostProfile:
    """Use and cost of one resource in one window. `budget_variance` is None where no budget covers the resource."""

    resource_type: str
    resource_id: str
    time_window: str
    gpu_hours: Decimal
    token_count: int
    cost_amount: Decimal
    cost_currency: str
    budget_variance: Decimal | None = None
