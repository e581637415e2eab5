"""Creating, changing and deleting model entries."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from apps.accounts.models import Team, User
from apps.accounts.selectors import team_resolve
from apps.catalog import registry
from apps.catalog.lineage import MODEL, children_of, resolve_models
from apps.catalog.metadata import Unset, base_url_of, check_external, clean_metadata, take_secret
from apps.catalog.models import ModelEntry
from apps.catalog.services.access import action_for, model_locked, require_draft
from apps.catalog.services.cleanup import files_discard
from apps.catalog.services.external import secret_apply
from apps.catalog.services.lineage import lineage_forget, sources_set
from apps.catalog.services.reviews import lapse_if_changed, model_submit
from apps.catalog.types import Blocker, ModelStatus, ModelType
from apps.core import audit
from apps.core.errors import Conflict, FieldError, GateRefused, ValidationFailed
from apps.core.models import Visibility
from apps.core.versions import InvalidVersion, version_key
from apps.governance.services import authorize

NAME_LIMIT = 200
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_FAMILY = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+/-]{0,99}")


@transaction.atomic
def model_create(
    *,
    actor: User | None,
    name: str,
    version: str,
    type: str,  # noqa: A002 - the API calls it so
    owner_team: Team | str | None = None,
    metadata: Mapping[str, Any] | None = None,
    model_family: str = "",
    lineage_dataset_ids: Sequence[UUID] = (),
    base_model_id: UUID | None = None,
    visibility: str = Visibility.TEAM,
    status: str = ModelStatus.DRAFT,
) -> ModelEntry:
    """Register a model as a draft.

    Raises ``PermissionRefused``, ``ValidationFailed`` naming every wrong field, ``Conflict`` when this version
    exists in the team or when *status* asks for a step that is not possible right away.
    """
    if type not in ModelType.values:
        raise ValidationFailed.field("type", "invalid_choice", f"type must be one of {', '.join(ModelType.values)}.")
    action = action_for("create", type)
    if not isinstance(owner_team, Team):
        authorize(actor=actor, action=action)
        if actor is None:
            raise ValidationFailed.field("owner_team", "required", "Name the owning team.")
        owner_team = team_resolve(actor=actor, value=owner_team, action=action)
    authorize(actor=actor, action=action, team=owner_team)
    external = type == ModelType.EXTERNAL
    checked = _checked_fields(name=name, version=version, model_family=model_family, visibility=visibility)
    stored = clean_metadata(metadata if metadata is not None else {})
    secret = take_secret(stored, external=external)
    if external:
        check_external(stored)
    model = ModelEntry(
        team=owner_team,
        created_by=actor,
        type=type,
        metadata=stored,
        provider=stored["provider"] if external else "",
        version_key=version_key(version),
        **checked,
    )
    _save_once(model)
    sources_set(actor=actor, model=model, dataset_ids=lineage_dataset_ids, base_model_id=base_model_id)
    audit.record(
        actor=actor,
        action="catalog.model.created",
        resource=model,
        metadata={"name": model.name, "version": model.version, "type": model.type},
    )
    secret_apply(actor=actor, model=model, secret=secret)
    _enter_status(actor, model, status)
    return model


def _enter_status(actor: User | None, model: ModelEntry, status: str) -> None:
    """Honour the status asked for at creation, or say which step is missing."""
    if status in ("", ModelStatus.DRAFT):
        return
    if status == ModelStatus.PENDING_REVIEW:
        try:
            model_submit(actor=actor, model_id=model.pk)
        except GateRefused as refusal:
            raise Conflict(
                f"{model} cannot be created as pending_review: {refusal.message} Create it as a draft first.",
                errors=refusal.errors,
            ) from refusal
        model.refresh_from_db()
        return
    if status not in ModelStatus.values:
        raise ValidationFailed.field(
            "status", "invalid_choice", f"status must be one of {', '.join(ModelStatus.values)}."
        )
    message = f"A model cannot be created as {status}: create it as a draft, submit it, and have it reviewed."
    raise Conflict(message, errors=[FieldError("status", "invalid_transition", message)])


def _checked_fields(**fields: Any) -> dict[str, Any]:
    """Check the plain fields that are given; one ``ValidationFailed`` names all that are wrong."""
    errors: list[FieldError] = []
    if "name" in fields:
        fields["name"] = name = str(fields["name"] or "").strip()
        if not name:
            errors.append(FieldError("name", "required", "Give the model a name."))
        elif len(name) > NAME_LIMIT or _CONTROL.search(name):
            errors.append(FieldError("name", "invalid", f"A name is one line of at most {NAME_LIMIT} characters."))
    if "version" in fields:
        try:
            version_key(fields["version"])
        except InvalidVersion as problem:
            errors.append(FieldError("version", "invalid", str(problem)))
    if "model_family" in fields:
        fields["model_family"] = family = str(fields["model_family"] or "").strip()
        if family and not _FAMILY.fullmatch(family):
            errors.append(
                FieldError("modelFamily", "invalid", "A family is a short name such as llama, mistral or gpt2.")
            )
    if "visibility" in fields and fields["visibility"] not in Visibility.values:
        errors.append(
            FieldError("visibility", "invalid_choice", f"visibility must be one of {', '.join(Visibility.values)}.")
        )
    if errors:
        raise ValidationFailed(errors[0].message, errors=errors)
    return fields


def _save_once(model: ModelEntry, **kwargs: Any) -> None:
    """Save, and turn the one-version constraint into a message about the caller's own team."""
    try:
        with transaction.atomic():
            model.save(**kwargs)
    except IntegrityError as error:
        if "catalog_model_version_once" not in str(error):
            raise
        message = (
            f"Team {model.team.slug} has {model.name} ({model.type}) in version {model.version} already; "
            "1.0 and 1.0.0 count as the same. Choose another version."
        )
        raise Conflict(message, errors=[FieldError("version", "exists", message)], code="exists") from error


@transaction.atomic
def model_update(
    *,
    actor: User | None,
    model_id: UUID | str,
    name: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    model_family: str | None = None,
    visibility: str | None = None,
    lineage_dataset_ids: Sequence[UUID] | None = None,
    base_model_id: UUID | bool | None = False,
) -> ModelEntry:
    """Change what is given, keep the rest. A change to an approved model lets its approval lapse.

    ``None`` means "not sent" (for *base_model_id*: ``False``; ``None`` removes the link). Metadata is replaced as
    a whole; the stored API key stays unless a new one is sent, and goes when the address changes without one.
    """
    model = model_locked(actor=actor, model_id=model_id, verb="change")
    given = {"name": name, "model_family": model_family, "visibility": visibility}
    fields = _checked_fields(**{key: value for key, value in given.items() if value is not None})
    changed = [key for key, value in fields.items() if getattr(model, key) != value]
    if "name" in changed:
        require_draft(model, "renaming")
    if model.status not in (ModelStatus.DRAFT, ModelStatus.APPROVED):
        require_draft(model, "changing it")
    for key in changed:
        setattr(model, key, fields[key])
    secret: str | Unset | None = Unset()
    if metadata is not None:
        secret = _replace_metadata(model, metadata)
        changed.append("metadata")
    if changed:
        if model.is_external:
            changed.append("provider")
        _save_once(model, update_fields=changed)
    secret_apply(actor=actor, model=model, secret=secret)
    sources_set(actor=actor, model=model, dataset_ids=lineage_dataset_ids, base_model_id=base_model_id)
    touched = [key for key in changed if key != "provider"]
    touched += ["lineage"] if lineage_dataset_ids is not None or not isinstance(base_model_id, bool) else []
    audit.record(actor=actor, action="catalog.model.changed", resource=model, metadata={"fields": touched})
    lapse_if_changed(actor=actor, model=model, reason=f"Changed: {', '.join(touched) or 'lineage'}.")
    return model


def _replace_metadata(model: ModelEntry, metadata: Mapping[str, Any]) -> str | Unset | None:
    """Put *metadata* on the model; returns what is to happen to the API key."""
    stored = clean_metadata(metadata)
    secret = take_secret(stored, external=model.is_external)
    if model.is_external:
        check_external(stored)
        if isinstance(secret, Unset) and base_url_of(stored) != base_url_of(model.metadata):
            # Otherwise whoever may edit the address could have the key sent to a host of their own.
            secret = None
        model.provider = stored["provider"]
    model.metadata = stored
    return secret


def model_blockers(*, actor: User | None, model: ModelEntry) -> list[Blocker]:
    """Return what keeps *model* from being deleted; things that *actor* cannot see stay nameless."""
    blockers = list(registry.delete_blockers(model))
    if model.status == ModelStatus.PENDING_REVIEW:
        blockers.append(Blocker("approval", str(model.pk), "a review that is under way (withdraw it first)"))
    children = children_of(model)
    visible = resolve_models(actor, children)
    blockers += [Blocker(MODEL, node.id, f"model {node.label}, derived from it") for node in visible.values()]
    hidden = len(children) - len(visible)
    if hidden:
        blockers.append(Blocker(MODEL, "", f"{hidden} derived model(s) of other teams"))
    return blockers


@transaction.atomic
def model_delete(*, actor: User | None, model_id: UUID | str) -> None:
    """Delete the model and its files; ``Conflict`` lists everything that still needs it."""
    model = model_locked(actor=actor, model_id=model_id, verb="delete")
    blockers = model_blockers(actor=actor, model=model)
    if blockers:
        listed = "; ".join(blocker.label for blocker in blockers)
        raise Conflict(
            f"{model} cannot be deleted while it is needed by: {listed}.",
            errors=[FieldError("", f"blocked_by_{blocker.kind}", blocker.label) for blocker in blockers],
            code="blocked",
        )
    audit.record(
        actor=actor,
        action="catalog.model.deleted",
        resource=model,
        metadata={"name": model.name, "version": model.version, "type": model.type, "files": model.files.count()},
    )
    files_discard(prefix=f"models/{model.pk}/")
    lineage_forget(kind=MODEL, object_id=model.pk)
    model.delete()
