"""Handing out the files of approved models: who may, and the trace it leaves."""

from __future__ import annotations

from django.db import transaction

from apps.accounts.models import User
from apps.catalog.models import ModelEntry
from apps.catalog.services.outputs import model_require_deployable
from apps.catalog.services.signing import signature_break
from apps.catalog.types import ModelStatus
from apps.core import audit
from apps.governance.services import authorize

AGENT_LIMIT = 200


def model_require_downloadable(*, actor: User | None, model: ModelEntry) -> None:
    """Raise unless *actor* may pull the files of the approved *model* now.

    ``NotFound`` where it does not exist for the actor, ``PermissionRefused`` (roles, token scope, policy),
    ``GateRefused`` where it is not, or no longer, what was approved.
    """
    authorize(actor=actor, action="model.download", obj=model)
    model_require_deployable(model=model)


def download_record(
    *, actor: User | None, model: ModelEntry, filename: str, start: int, end: int, size: int, agent: str = ""
) -> None:
    """Note in the audit trail that bytes *start* to *end* (exclusive) of a file leave the portal."""
    audit.record(
        actor=actor,
        action="catalog.model.downloaded",
        resource=model,
        metadata={
            "filename": filename,
            "bytes": "all" if (start, end) == (0, size) else f"{start}-{end - 1}",
            "agent": agent[:AGENT_LIMIT],
        },
    )


def stored_bytes_changed(*, model: ModelEntry, filename: str) -> None:
    """Say that the store holds other bytes than were registered; an approval ends by it and people are told."""
    audit.record(actor=None, action="catalog.model.file_changed", resource=model, metadata={"filename": filename})
    if model.status == ModelStatus.APPROVED:
        problem = f"{filename} differs from its registered SHA-256."
        with transaction.atomic():
            signature_break(model_id=model.pk, problems=[problem], found_by="download")
