"""Enums, transition table and value objects of the catalog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db import models


class ModelType(models.TextChoices):
    """What kind of entry this is."""

    BASE = "base", "Base"  # weights of our own or imported, not derived from a catalog model
    FINE_TUNED = "fine-tuned", "Fine-tuned"  # weights derived from a catalog model
    EXTERNAL = "external", "External"  # runs elsewhere, reached over a provider's API; no files


class ModelStatus(models.TextChoices):
    """Where an entry stands in its governed life."""

    DRAFT = "draft", "Draft"  # being written; leaves by submission
    PENDING_REVIEW = "pending_review", "Pending review"  # frozen until a reviewer decides or it is withdrawn
    APPROVED = "approved", "Approved"  # may be deployed; lapses when what was approved changes
    REJECTED = "rejected", "Rejected"  # refused; may be reopened as a draft
    DEPRECATED = "deprecated", "Deprecated"  # end of life: kept for lineage, no new deployments


MODEL_TRANSITIONS: Mapping[str, frozenset[str]] = {
    ModelStatus.DRAFT: frozenset({ModelStatus.PENDING_REVIEW}),
    ModelStatus.PENDING_REVIEW: frozenset({ModelStatus.APPROVED, ModelStatus.REJECTED, ModelStatus.DRAFT}),
    ModelStatus.APPROVED: frozenset({ModelStatus.DRAFT, ModelStatus.DEPRECATED}),
    ModelStatus.REJECTED: frozenset({ModelStatus.DRAFT}),
    ModelStatus.DEPRECATED: frozenset(),
}


class ScanStatus(models.TextChoices):
    """Safety of a file, or of all files of a model together."""

    NONE = "none", "No files"  # models only
    PENDING = "pending", "Scanning"  # uploaded, not yet read by the scanner
    SAFE = "safe", "Safe"
    UNSAFE = "unsafe", "Unsafe"  # would run code when loaded
    CORRUPT = "corrupt", "Corrupt"  # is not what its name says
    FAILED = "failed", "Not scanned"  # the scanner could not read it within its limits; may be tried again


class SignatureStatus(models.TextChoices):
    """Whether the files of an approved model carry the portal's signature, and whether it held when last checked."""

    PENDING = "pending", "Being signed"  # approved; the worker hashes and signs
    VALID = "valid", "Valid"  # the stored bytes are the ones that were approved
    BROKEN = "broken", "Broken"  # they are not, or the signature is not ours: never deployed, approval lapsed


class PublicationStatus(models.TextChoices):
    """Life of the wish that one version be the published one of its name."""

    PENDING = "pending", "Waiting for approval"  # goes back to an earlier version; a reviewer decides
    CURRENT = "current", "Published"  # the version that people and programs get who name none
    SUPERSEDED = "superseded", "Superseded"  # was published until another one was
    REFUSED = "refused", "Refused"  # rejected, sent back, withdrawn or lapsed


PUBLICATION_TRANSITIONS: Mapping[str, frozenset[str]] = {
    PublicationStatus.PENDING: frozenset({PublicationStatus.CURRENT, PublicationStatus.REFUSED}),
    PublicationStatus.CURRENT: frozenset({PublicationStatus.SUPERSEDED}),
    PublicationStatus.SUPERSEDED: frozenset(),
    PublicationStatus.REFUSED: frozenset(),
}


class LineageRelation(models.TextChoices):
    """Why two things are linked; read "target … source"."""

    TRAINED_ON = "trained_on", "trained on"  # dataset → model
    DERIVED_FROM = "derived_from", "derived from"  # base model → model
    PRODUCED_BY = "produced_by", "produced by"  # training job → model
    EVALUATED_BY = "evaluated_by", "evaluates"  # model → evaluation run
    SERVED_BY = "served_by", "serves"  # model → serving endpoint
    USED_BY = "used_by", "uses"  # dataset or model → training job


class Provider(models.TextChoices):
    """Who runs an external model."""

    OPENAI = "openai", "OpenAI"
    OLLAMA = "ollama", "Ollama"
    OPENAI_COMPATIBLE = "openai_compatible", "OpenAI-compatible"


@dataclass(frozen=True, slots=True)
class Blocker:
    """Something that keeps a model from being deleted."""

    kind: str
    id: str
    label: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One section of a model's page, contributed by another app; ``order`` sorts ascending."""

    title: str
    template: str
    context: dict[str, Any] = field(default_factory=dict)
    order: int = 50


@dataclass(frozen=True, slots=True)
class SourceState:
    """How something that models are made of stands now.

    ``digest`` changes with its content; ``refused`` means that nothing new may be made of it.
    """

    label: str
    status: str
    digest: str
    approved: bool
    refused: bool = False


@dataclass(frozen=True, slots=True)
class LineageNode:
    """One thing in a lineage graph, as the asking person may see it."""

    kind: str
    id: str
    label: str
    url: str = ""
    status: str = ""
    visible: bool = True


@dataclass(frozen=True, slots=True)
class GraphEdge:
    """A directed link from what came first to what was made of it."""

    source: str
    target: str
    relation: str


@dataclass(frozen=True, slots=True)
class LineageGraph:
    """Nodes keyed by ``kind:id`` (or a blind number for unseen ones); ``truncated`` when limits cut it."""

    root: str
    nodes: dict[str, LineageNode]
    edges: tuple[GraphEdge, ...]
    truncated: bool = False


class Direction(StrEnum):
    """Which way lineage is followed from a thing."""

    BOTH = "both"
    UP = "up"  # what it was made of
    DOWN = "down"  # what was made of it, or runs it


@dataclass(frozen=True, slots=True)
class Impact:
    """What depends on a thing: visible things by kind and name, how many are hidden, visible ones counted by kind."""

    nodes: tuple[LineageNode, ...]
    hidden: int
    counts: Mapping[str, int]
    truncated: bool = False

    @property
    def total(self) -> int:
        """All of them."""
        return len(self.nodes) + self.hidden


@dataclass(frozen=True, slots=True)
class ExternalTarget:
    """How to reach an external model. The key never shows in ``repr``."""

    provider: str
    model_name: str
    base_url: str
    api_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class UploadResult:
    """What one upload stored."""

    model_id: UUID
    storage_uri: str
    files: tuple[Any, ...]  # ModelFile rows, in the order sent
    operation_id: UUID | None
