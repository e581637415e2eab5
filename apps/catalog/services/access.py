"""Finding and locking a model for a change, with the permission that its type needs."""

from __future__ import annotations

from uuid import UUID

from apps.accounts.models import User
from apps.catalog.models import ModelEntry
from apps.catalog.selectors import models_visible_to
from apps.catalog.types import ModelStatus, ModelType
from apps.core.errors import Conflict, FieldError
from apps.core.transitions import get_locked
from apps.governance.services import authorize

APPROVAL_KIND = "model"


def action_for(verb: str, type_: str) -> str:
    """Return the permission that *verb* needs: external models and their secrets have their own."""
    if type_ == ModelType.EXTERNAL:
        return "external_model.create" if verb == "create" else "external_model.change"
    return f"model.{verb}"


def model_locked(*, actor: User | None, model_id: UUID | str, verb: str) -> ModelEntry:
    """Return the visible model, locked, after checking that *actor* may *verb* it.

    Raises ``NotFound`` for absent and invisible alike, ``PermissionRefused`` otherwise.
    """
    model = get_locked(models_visible_to(actor), model_id, "model")
    authorize(actor=actor, action=action_for(verb, model.type), obj=model)
    return model


def require_draft(model: ModelEntry, what: str) -> None:
    """Raise ``Conflict`` with the way out unless *model* is a draft."""
    if model.status == ModelStatus.DRAFT:
        return
    ways = {
        ModelStatus.PENDING_REVIEW: "Withdraw it from review first.",
        ModelStatus.REJECTED: "Take it back to draft first.",
        ModelStatus.APPROVED: "Create a new version, or take it back to draft (its approval lapses).",
        ModelStatus.DEPRECATED: "Create a new version.",
    }
    message = (
        f"{model} is {model.get_status_display().lower()}; {what} needs a draft. {ways[ModelStatus(model.status)]}"
    )
    raise Conflict(message, errors=[FieldError("status", "not_draft", message)], code="not_draft")
