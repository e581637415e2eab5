"""Which version of a name is the published one. Forward at once, backward only with a reviewer's approval.

The newest approved version is not always the one to use: a team publishes the version that it stands by. Publishing a
newer version rests on that version's own, fresh approval. Going back to an earlier one is a decision of its own (the
version was left for a reason), so it is asked for with a reason and decided by four eyes.
"""

from __future__ import annotations

from uuid import UUID

from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.catalog.models import ModelEntry, Publication
from apps.catalog.selectors import model_get, publications_of
from apps.catalog.services.access import model_locked
from apps.catalog.services.outputs import model_require_deployable
from apps.catalog.types import PUBLICATION_TRANSITIONS, ModelStatus, PublicationStatus
from apps.core import audit, clock
from apps.core.errors import Conflict, FieldError, ValidationFailed
from apps.core.transitions import transition
from apps.governance.services import approval_request

PUBLICATION_KIND = "model_publication"
REASON_LIMIT = 1_000


@transaction.atomic
def model_publish(*, actor: User | None, model_id: UUID | str, reason: str = "") -> Publication:
    """Make an approved version the published one of its name, or ask for it when it is earlier than the present one.

    Raises:
        ValidationFailed: going back without a *reason*, or one that is too long.
        GateRefused: the model is not approved, safe and unchanged.
        Conflict: it is the published one already, or another wish waits for its decision.
    """
    model = model_locked(actor=actor, model_id=model_id, verb="submit")
    reason = reason.strip()
    if len(reason) > REASON_LIMIT or "\x00" in reason:
        raise ValidationFailed.field("reason", "invalid", f"reason is a text of at most {REASON_LIMIT:,} characters.")
    model_require_deployable(model=model)
    same = publications_of(model)
    current = same.filter(status=PublicationStatus.CURRENT).select_for_update(of=("self",)).first()
    if current is not None and current.model_id == model.pk:
        raise _conflict(f"{model} is the published version of {model.name} already.", "published")
    if same.filter(status=PublicationStatus.PENDING).exists():
        raise _conflict(f"A change of the published version of {model.name} waits for its decision already.", "pending")
    back = current is not None and current.model.version_key > model.version_key
    if back and not reason:
        raise ValidationFailed.field(
            "reason", "required", "Going back to an earlier version needs a reason; a reviewer decides about it."
        )
    try:
        with transaction.atomic():
            made = _create(actor, model, current, reason, back=back)
    except IntegrityError as error:
        raise _conflict(f"The published version of {model.name} was changed at the same time.", "concurrent") from error
    if back:
        approval_request(actor=actor, kind=PUBLICATION_KIND, subject_id=made.pk, notes=reason)
    return made


def _create(
    actor: User | None, model: ModelEntry, current: Publication | None, reason: str, *, back: bool
) -> Publication:
    if current is not None and not back:
        transition(current, PublicationStatus.SUPERSEDED, PUBLICATION_TRANSITIONS, ended_at=clock.now())
    made = Publication.objects.create(
        team=model.team,
        created_by=actor,
        model=model,
        name=model.name,
        type=model.type,
        status=PublicationStatus.PENDING if back else PublicationStatus.CURRENT,
        replaces=current.model if current is not None else None,
        reason=reason,
        published_at=None if back else clock.now(),
    )
    if not back:
        publication_recorded(actor=actor, publication=made)
    return made


def model_rollback(*, actor: User | None, model_id: UUID | str, reason: str) -> Publication:
    """Ask for the version that was published before the present one, as far as it is still approved.

    *model_id* is any version of the name. Raises ``Conflict`` when there is nothing to go back to.
    """
    model = model_get(actor=actor, model_id=model_id)
    current = publications_of(model).filter(status=PublicationStatus.CURRENT).first()
    if current is None:
        raise _conflict(f"No version of {model.name} is published; publish one.", "nothing_published")
    earlier = publications_of(model).filter(
        status=PublicationStatus.SUPERSEDED,
        model__status=ModelStatus.APPROVED,
        model__version_key__lt=current.model.version_key,
    )
    goal = earlier.order_by("-published_at").first()
    if goal is None:
        raise _conflict(
            f"No earlier published version of {model.name} is still approved; have one approved and publish it.",
            "nothing_earlier",
        )
    return model_publish(actor=actor, model_id=goal.model_id, reason=reason)


def publication_enter(*, actor: User | None, publication: Publication) -> None:
    """The locked, approved *publication* takes the place of the present one."""
    same = publications_of(publication.model).filter(status=PublicationStatus.CURRENT)
    current = same.select_for_update(of=("self",)).first()
    if current is not None:
        transition(current, PublicationStatus.SUPERSEDED, PUBLICATION_TRANSITIONS, ended_at=clock.now())
        publication.replaces = current.model
        publication.save(update_fields=["replaces"])
    transition(publication, PublicationStatus.CURRENT, PUBLICATION_TRANSITIONS, published_at=clock.now())
    publication_recorded(actor=actor, publication=publication)


def publication_recorded(*, actor: User | None, publication: Publication) -> None:
    """Write the change into the history of both versions."""
    facts = {"version": publication.model.version, "reason": publication.reason}
    if publication.replaces is not None:
        facts["replaces"] = publication.replaces.version
        audit.record(
            actor=actor,
            action="catalog.model.unpublished",
            resource=publication.replaces,
            metadata={"replaced_by": publication.model.version, "reason": publication.reason},
        )
    audit.record(actor=actor, action="catalog.model.published", resource=publication.model, metadata=facts)


def _conflict(message: str, code: str) -> Conflict:
    return Conflict(message, errors=[FieldError("status", code, message)], code=code)
