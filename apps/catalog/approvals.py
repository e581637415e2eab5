"""Models as a subject of approvals: gates, digest, and what a decision does to the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.urls import reverse

from apps.accounts.models import User
from apps.catalog import registry
from apps.catalog.cards import card_status
from apps.catalog.digest import model_digest
from apps.catalog.families import family_gate
from apps.catalog.models import ExternalSecret, ModelEntry, ModelSignature
from apps.catalog.prices import prices_book
from apps.catalog.scanning import missing_files
from apps.catalog.services.access import APPROVAL_KIND, action_for
from apps.catalog.services.closure import sources_gate, sources_pin
from apps.catalog.services.external import needs_key
from apps.catalog.services.lapses import approval_forget
from apps.catalog.services.signing import signature_request
from apps.catalog.types import MODEL_TRANSITIONS, ModelStatus, ScanStatus, SignatureStatus
from apps.core import audit, clock
from apps.core.transitions import transition
from apps.governance.registry import ApprovalSubject, Stage
from apps.governance.types import GateResult


class ModelSubject(ApprovalSubject):
    """Approval of one model version."""

    kind = APPROVAL_KIND
    label = "Model"
    submit_action = "model.submit"
    approve_action = "model.approve"

    def queryset(self) -> QuerySet[ModelEntry]:
        """All models."""
        return ModelEntry.objects.select_related("team")

    def title(self, obj: ModelEntry) -> str:
        """Name and version."""
        return str(obj)

    def submit_action_for(self, obj: ModelEntry) -> str:
        """External models are submitted by whoever may change them."""
        return action_for("submit", obj.type)

    def url(self, obj: ModelEntry) -> str:
        """The model's page."""
        return reverse("catalog:model-detail", args=[obj.pk])

    def author_ids(self, obj: ModelEntry) -> set[UUID | int]:
        """Who created it, submitted it, or uploaded any of its files."""
        authors = {obj.created_by_id, obj.submitted_by_id, *obj.files.values_list("uploaded_by_id", flat=True)}
        return {author for author in authors if author is not None}

    def digest(self, obj: ModelEntry) -> str:
        """Card, files and lineage."""
        return model_digest(obj)

    def gates(self, obj: ModelEntry, stage: Stage) -> Sequence[GateResult]:
        """The catalog's own checks, then those of other apps (evaluations)."""
        return [*own_gates(obj), sources_gate(obj), *registry.model_gates(obj, stage)]

    def on_submitted(self, obj: ModelEntry, *, actor: User | None, request: Any) -> None:
        """draft → pending_review."""
        transition(obj, ModelStatus.PENDING_REVIEW, MODEL_TRANSITIONS, submitted_by=actor, submitted_at=clock.now())
        audit.record(actor=actor, action="catalog.model.submitted", resource=obj)

    def on_approved(self, obj: ModelEntry, *, actor: User | None, request: Any) -> None:
        """pending_review → approved, with the digest that the approval stands for."""
        transition(obj, ModelStatus.APPROVED, MODEL_TRANSITIONS, approved_at=clock.now(), digest=model_digest(obj))
        sources_pin(model=obj)
        prices_book(obj)
        audit.record(actor=actor, action="catalog.model.approved", resource=obj, metadata={"digest": obj.digest})
        signature_request(model=obj, actor=actor)

    def on_rejected(self, obj: ModelEntry, *, actor: User | None, request: Any) -> None:
        """pending_review → rejected."""
        transition(obj, ModelStatus.REJECTED, MODEL_TRANSITIONS)
        audit.record(actor=actor, action="catalog.model.rejected", resource=obj)

    def on_changes_requested(self, obj: ModelEntry, *, actor: User | None, request: Any) -> None:
        """pending_review → draft."""
        self._back_to_draft(obj, actor, "catalog.model.changes_requested")

    def on_withdrawn(self, obj: ModelEntry, *, actor: User | None, request: Any) -> None:
        """pending_review → draft."""
        self._back_to_draft(obj, actor, "catalog.model.withdrawn")

    def on_lapsed(self, obj: ModelEntry, *, actor: User | None, request: Any) -> None:
        """approved or pending_review → draft, because something changed."""
        if obj.status in (ModelStatus.APPROVED, ModelStatus.PENDING_REVIEW):
            self._back_to_draft(obj, actor, "catalog.model.lapsed")

    def _back_to_draft(self, obj: ModelEntry, actor: User | None, action: str) -> None:
        transition(obj, ModelStatus.DRAFT, MODEL_TRANSITIONS, digest="", approved_at=None)
        approval_forget(model=obj)
        audit.record(actor=actor, action=action, resource=obj)


def own_gates(model: ModelEntry) -> list[GateResult]:
    """Card, files and scan (internal), or card and provider key (external)."""
    gates = [_card_gate(model)]
    if model.is_external:
        gates.append(_key_gate(model))
        return gates
    rows = list(model.files.values_list("filename", "scan_status"))
    lacking = missing_files([name for name, _ in rows])
    gates.append(
        GateResult(
            "files_present",
            "Files complete",
            not lacking,
            f"Missing: {', '.join(lacking)}." if lacking else f"{len(rows)} files.",
            "Upload what is missing on the model's page." if lacking else "",
        )
    )
    gates.append(_scan_gate(rows))
    gates.append(family_gate(model))
    gates += _intact_gate(model)
    return gates


def _card_gate(model: ModelEntry) -> GateResult:
    card = card_status(model.metadata)
    if card.complete:
        return GateResult("card_complete", "Card complete", True, "Purpose, scope, contact and licence are filled.")
    missing = ", ".join(field.label.lower() for field in card.missing)
    remedy = " ".join(f"{field.remedy}" for field in card.missing)
    return GateResult("card_complete", "Card complete", False, f"The model card lacks: {missing}.", remedy)


def _scan_gate(rows: Sequence[tuple[str, str]]) -> GateResult:
    bad = [f"{name} ({state})" for name, state in rows if state in (ScanStatus.UNSAFE, ScanStatus.CORRUPT)]
    failed = [name for name, state in rows if state == ScanStatus.FAILED]
    waiting = [name for name, state in rows if state == ScanStatus.PENDING]
    label = "Files scanned safe"
    if bad:
        return GateResult(
            "files_safe", label, False, f"Refused by the scan: {', '.join(bad)}.", "Replace or remove these files."
        )
    if failed:
        reason = f"Could not be scanned: {', '.join(failed)}."
        return GateResult("files_safe", label, False, reason, "Scan again, or save these weights as safetensors.")
    if waiting or not rows:
        reason = f"Still to be scanned: {', '.join(waiting)}." if waiting else "There are no files to scan."
        return GateResult("files_safe", label, False, reason, "Wait for the scan, or upload the files.")
    return GateResult("files_safe", label, True, "All files passed the scan.")


def _intact_gate(model: ModelEntry) -> list[GateResult]:
    """Shown only where the stored files were found changed: new ones have to be uploaded."""
    broken = ModelSignature.objects.filter(model=model, status=SignatureStatus.BROKEN).first()
    if broken is None:
        return []
    reason = f"The stored files are not the ones that were approved. {' '.join(broken.problems[:3])}"
    return [GateResult("files_intact", "Files unchanged in the store", False, reason, "Upload these files again.")]


def _key_gate(model: ModelEntry) -> GateResult:
    present = not needs_key(model) or ExternalSecret.objects.filter(model=model).exists()
    return GateResult(
        "provider_key",
        "Provider reachable with a key",
        present,
        "The API key is set." if present and needs_key(model) else "" if present else "The provider needs an API key.",
        "" if present else "Send metadata.api_key; it is stored encrypted and never shown.",
    )
