"""The governed life: submission, decisions, withdrawal, lapse, deprecation. Approvals belong to governance."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from apps.accounts.models import User
from apps.catalog import registry
from apps.catalog.digest import model_digest, models_digests
from apps.catalog.lineage import MODEL
from apps.catalog.models import ModelEntry
from apps.catalog.selectors import model_get, models_visible_to
from apps.catalog.services.access import APPROVAL_KIND, model_locked
from apps.catalog.services.closure import model_check_sources, sources_changed
from apps.catalog.services.lapses import CHANGED, approval_lapse
from apps.catalog.types import MODEL_TRANSITIONS, ModelStatus
from apps.core import audit, clock
from apps.core.errors import Conflict, FieldError, ValidationFailed
from apps.core.permissions import can, is_shared
from apps.core.tasks import enqueue
from apps.core.transitions import get_locked, transition
from apps.governance.services import (
    approval_decide,
    approval_request,
    approval_withdraw,
)

NOTE_LIMIT = 500
STATUS_SPELLINGS = {"under_review": ModelStatus.PENDING_REVIEW}


def model_submit(*, actor: User | None, model_id: UUID | str, notes: str = "") -> ModelEntry:
    """Ask for review. ``GateRefused`` lists what is missing; ``Conflict`` when it is not a draft."""
    model = model_get(actor=actor, model_id=model_id)
    approval_request(actor=actor, kind=APPROVAL_KIND, subject_id=model.pk, notes=notes)
    return model_get(actor=actor, model_id=model_id)


def model_withdraw(*, actor: User | None, model_id: UUID | str) -> ModelEntry:
    """Take the model out of review; it becomes a draft."""
    model = model_get(actor=actor, model_id=model_id)
    approval_withdraw(actor=actor, kind=APPROVAL_KIND, subject_id=model.pk)
    return model_get(actor=actor, model_id=model_id)


def model_decide(*, actor: User | None, model_id: UUID | str, decision: str, notes: str = "") -> ModelEntry:
    """Approve, reject or send back. Four eyes and gates are checked by governance."""
    model = model_get(actor=actor, model_id=model_id)
    approval_decide(actor=actor, kind=APPROVAL_KIND, subject_id=model.pk, decision=decision, notes=notes)
    return model_get(actor=actor, model_id=model_id)


@transaction.atomic
def model_reopen(*, actor: User | None, model_id: UUID | str) -> ModelEntry:
    """Take a rejected or approved model back to draft; an approval lapses by it."""
    model = model_locked(actor=actor, model_id=model_id, verb="change")
    if model.status == ModelStatus.APPROVED:
        approval_lapse(actor=actor, model=model, reason="Taken back to draft.")
    else:
        transition(model, ModelStatus.DRAFT, MODEL_TRANSITIONS)
    audit.record(actor=actor, action="catalog.model.reopened", resource=model)
    return model_get(actor=actor, model_id=model_id)


@transaction.atomic
def model_deprecate(
    *, actor: User | None, model_id: UUID | str, successor_id: UUID | str | None = None, note: str = ""
) -> ModelEntry:
    """End the life of an approved model, optionally naming the one to use instead and a word to who uses it.

    Owners of its endpoints are told; approvals of models that were derived from it lapse.
    """
    note = note.strip()
    if len(note) > NOTE_LIMIT or "\x00" in note:
        raise ValidationFailed.field("note", "invalid", f"note is a text of at most {NOTE_LIMIT} characters.")
    model = model_locked(actor=actor, model_id=model_id, verb="change")
    successor = None
    if successor_id is not None:
        successor = models_visible_to(actor).filter(pk=successor_id).first()
        if successor is None or successor.pk == model.pk or successor.status != ModelStatus.APPROVED:
            raise ValidationFailed.field(
                "successorId", "invalid", "The successor must be another approved model that you can see."
            )
    transition(
        model,
        ModelStatus.DEPRECATED,
        MODEL_TRANSITIONS,
        deprecated_at=clock.now(),
        successor=successor,
        deprecation_note=note,
    )
    audit.record(
        actor=actor,
        action="catalog.model.deprecated",
        resource=model,
        metadata={"successor": str(successor.pk) if successor is not None else None, "note": note},
    )
    # Owners of endpoints may be of other teams: only what they can see is named to them.
    instead = f"Use {successor} instead." if successor is not None and is_shared(successor) else ""
    registry.approval_lapsed(model, " ".join(part for part in ("It is deprecated.", instead, note) if part))
    enqueue(CHANGED, MODEL, str(model.pk))
    return model_get(actor=actor, model_id=model_id)


def model_set_status(
    *,
    actor: User | None,
    model_id: UUID | str,
    status: str,
    notes: str = "",
    successor_id: UUID | str | None = None,
) -> ModelEntry:
    """Bring the model to *status* by the step that leads there for this actor.

    *successor_id* goes with ``deprecated``, whose *notes* are the message to who still uses the model.
    On a pending model ``draft`` is a withdrawal by the submitter's side and a request for changes by a reviewer.
    """
    status = STATUS_SPELLINGS.get(status, status)
    model = model_get(actor=actor, model_id=model_id)
    if status not in ModelStatus.values:
        raise ValidationFailed.field(
            "status", "invalid_choice", f"status must be one of {', '.join(ModelStatus.values)}."
        )
    if status not in MODEL_TRANSITIONS[model.status]:
        return _refuse(model, status)
    if status == ModelStatus.PENDING_REVIEW:
        return model_submit(actor=actor, model_id=model_id, notes=notes)
    if status == ModelStatus.APPROVED:
        return model_decide(actor=actor, model_id=model_id, decision="approve", notes=notes)
    if status == ModelStatus.REJECTED:
        return model_decide(actor=actor, model_id=model_id, decision="reject", notes=notes)
    if status == ModelStatus.DEPRECATED:
        return model_deprecate(actor=actor, model_id=model_id, successor_id=successor_id, note=notes)
    if model.status != ModelStatus.PENDING_REVIEW:
        return model_reopen(actor=actor, model_id=model_id)
    mine = actor is None or actor.pk in (model.submitted_by_id, model.created_by_id)
    if not mine and can(actor, "model.approve", model):
        return model_decide(actor=actor, model_id=model_id, decision="request_changes", notes=notes)
    return model_withdraw(actor=actor, model_id=model_id)


def _refuse(model: ModelEntry, status: str) -> ModelEntry:
    ways = ", ".join(sorted(MODEL_TRANSITIONS[model.status])) or "nowhere: it is final"
    message = f"{model} is {model.status}; it cannot become {status}. From here it can go to: {ways}."
    raise Conflict(message, errors=[FieldError("status", "invalid_transition", message)], code="invalid_transition")


def lapse_if_changed(*, actor: User | None, model: ModelEntry, reason: str) -> bool:
    """Let the approval of the locked *model* lapse when it no longer is what was approved; refreshes *model*."""
    if model.status != ModelStatus.APPROVED or model.digest == model_digest(model):
        return False
    approval_lapse(actor=actor, model=model, reason=reason)
    return True


def approvals_check(*, chunk: int = 500) -> int:
    """For the sweep: let every approval lapse whose model is no longer what was approved; returns how many."""
    lapsed = 0
    approved = ModelEntry.objects.filter(status=ModelStatus.APPROVED).order_by("pk")
    batch = list(approved[:chunk])
    while batch:
        digests = models_digests(batch)
        # Compared without locks first: almost always nothing has changed.
        changed = [model.pk for model in batch if model.digest != digests[model.pk]]
        lapsed += sum(model_check_approval(model_id=pk) for pk in changed)
        lapsed += sum(model_check_sources(model_id=pk) for pk in sources_changed(batch))
        batch = list(approved.filter(pk__gt=batch[-1].pk)[:chunk])
    return lapsed


@transaction.atomic
def model_check_approval(*, model_id: UUID) -> bool:
    """Compare an approved model with its digest, under its lock; True when its approval had to lapse."""
    model = get_locked(ModelEntry.objects.all(), model_id)
    return lapse_if_changed(actor=None, model=model, reason="What was approved has changed.")
