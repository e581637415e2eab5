"""The model card as a README: filled from an uploaded one, written as one."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from apps.accounts.models import User
from apps.catalog.cards import as_text
from apps.catalog.front_matter import (
    README,
    README_LIMIT,
    CardUnreadable,
    card_from_metadata,
    metadata_from_card,
)
from apps.catalog.metadata import clean_metadata
from apps.catalog.models import ModelEntry
from apps.catalog.selectors import model_get
from apps.catalog.types import ModelStatus, ScanStatus
from apps.core import audit
from apps.core.errors import ValidationFailed
from apps.core.storage import store
from apps.core.transitions import get_locked

_SAME = {"license": ("license", "licence")}


@transaction.atomic
def card_fill(*, model_id: UUID | str) -> str:
    """Fill what is empty on a draft's card from its README; returns what was wrong with that, in words.

    What people wrote stays: the README only adds. Called after the scan has read the file as safe.
    """
    model = get_locked(ModelEntry.objects.all(), model_id)
    row = model.files.filter(filename=README, scan_status=ScanStatus.SAFE).first()
    if row is None or model.status != ModelStatus.DRAFT:
        return ""
    with store().open(row.storage_key) as file:
        text = file.read(README_LIMIT).decode("utf-8", "replace")
    try:
        found = metadata_from_card(text)
    except CardUnreadable as problem:
        return f"{README}: {problem}"
    fresh = {key: value for key, value in found.items() if not _filled(model, key)}
    try:
        stored = clean_metadata({**model.metadata, **fresh})
    except ValidationFailed as error:
        return f"{README}: {error.message}"
    if fresh:
        model.metadata = stored
        model.save(update_fields=["metadata"])
        audit.record(
            actor=row.uploaded_by,
            action="catalog.model.card_filled",
            resource=model,
            metadata={"fields": sorted(fresh), "from": README},
        )
    return ""


def _filled(model: ModelEntry, key: str) -> bool:
    return any(as_text(model.metadata.get(name)) or model.metadata.get(name) for name in _SAME.get(key, (key,)))


def card_text(*, actor: User | None, model_id: UUID | str) -> str:
    """Return the card of a visible model as a README with front matter; raises ``NotFound``."""
    model = model_get(actor=actor, model_id=model_id)
    return card_from_metadata(title=str(model), metadata=model.metadata, family=model.model_family)
