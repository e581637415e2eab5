"""An approval that no longer holds: the model becomes a draft, people are told, and what rests on it is looked at."""

from __future__ import annotations

from django.db import transaction
from django.urls import reverse

from apps.accounts.models import User
from apps.catalog import registry
from apps.catalog.lineage import MODEL
from apps.catalog.models import ApprovedSources, ModelEntry, ModelSignature
from apps.catalog.services.access import APPROVAL_KIND
from apps.catalog.types import MODEL_TRANSITIONS, ModelStatus, SignatureStatus
from apps.core import audit
from apps.core.storage import store
from apps.core.tasks import enqueue
from apps.core.transitions import transition
from apps.governance.services import approvals_lapse, notices_send
from apps.integrations.signing import SIGNATURE_NAME

CHANGED = "apps.catalog.tasks.lineage_changed"


def approval_lapse(
    *, actor: User | None, model: ModelEntry, reason: str, named: str = "", told: str = "", tone: str = "warning"
) -> None:
    """End the approval of the locked *model*; governance calls back and makes the draft. Refreshes *model*.

    Its people are told, whoever registered as a listener (serving: the owners of endpoints) is asked to act, and
    models derived from it are checked. All in the caller's transaction, except what is enqueued.

    *reason* is read by whoever sees the model, in its history too. *named* is the reason for its people, *told* the one
    for listeners, who may be of other teams, where they may read more or less than that.
    """
    occasion = f"{model.pk}:{model.approved_at.isoformat() if model.approved_at else ''}"
    if not approvals_lapse(kind=APPROVAL_KIND, subject_id=model.pk, reason=reason, actor=actor):
        # Approved before there were requests: there is only the status.
        transition(model, ModelStatus.DRAFT, MODEL_TRANSITIONS, digest="", approved_at=None)
        approval_forget(model=model)
        audit.record(actor=actor, action="catalog.model.lapsed", resource=model, metadata={"reason": reason})
    model.refresh_from_db()
    people = {model.created_by_id, model.submitted_by_id} - {actor.pk if actor is not None else None}
    notices_send(
        recipients=people,
        about=model,
        key=f"model_lapsed:{occasion}",
        tone=tone,
        title=f"The approval of {model} has lapsed",
        text=f"{named or reason} It cannot be deployed until it is approved again.",
        url=reverse("catalog:model-detail", args=[model.pk]),
    )
    registry.approval_lapsed(model, told or reason)
    enqueue(CHANGED, MODEL, str(model.pk))


def approval_forget(*, model: ModelEntry) -> None:
    """Drop what belonged to the approval: pinned sources and signature. A broken signature stays to be seen."""
    ApprovedSources.objects.filter(model=model).delete()
    ModelSignature.objects.filter(model=model).exclude(status=SignatureStatus.BROKEN).delete()
    key = model.storage_prefix + SIGNATURE_NAME
    transaction.on_commit(lambda: store().delete(key))
