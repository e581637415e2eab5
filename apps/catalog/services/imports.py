"""Starting, cancelling and repeating imports. The work itself is in ``import_run``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from apps.accounts.models import Team, User
from apps.accounts.selectors import team_resolve
from apps.catalog.hub.repositories import repository_name
from apps.catalog.import_models import IMPORT_ACTIVE, IMPORT_TRANSITIONS, ImportSource, ImportStatus, ModelImport
from apps.catalog.metadata import SECRET_KEYS, clean_metadata
from apps.catalog.models import ModelEntry
from apps.catalog.services.cleanup import files_discard
from apps.catalog.types import ModelType
from apps.core import audit, clock
from apps.core.crypto import encrypt
from apps.core.errors import Conflict, FieldError, ValidationFailed
from apps.core.models import Operation, OperationStatus, Visibility
from apps.core.operations import operation_start
from apps.core.permissions import visible_to
from apps.core.tasks import enqueue
from apps.core.transitions import get_locked, get_or_not_found, transition
from apps.core.versions import InvalidVersion, version_key
from apps.governance.services import authorize

KIND = "model_import"
STAGING_LIFE = timedelta(days=7)  # a failed import may be continued that long
OVERDUE = timedelta(minutes=3)  # progress is written every few seconds; sending it again is harmless
PATTERN_LIMIT = 50
TOKEN_LIMIT = 1_000
DEFAULT_VERSION = "1.0"
_REPO = re.compile(r"(?:[A-Za-z0-9][\w.-]{0,95}/)?[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][\w./+-]{0,199}", re.ASCII)
_LINE = re.compile(r"[^\x00-\x1f\x7f]*")


def imports_visible_to(actor: User | None) -> QuerySet[ModelImport]:
    """Return the imports of the actor's teams, newest first."""
    return visible_to(actor, ModelImport.objects.all()).select_related("team", "created_by", "model")


def import_get(*, actor: User | None, import_id: UUID | str) -> ModelImport:
    """Return one visible import; raises ``NotFound``."""
    return get_or_not_found(imports_visible_to(actor), import_id, "import")


@transaction.atomic
def import_from_hub(
    *,
    actor: User | None,
    repo_id: str,
    revision: str = "",
    owner_team: Team | str | None = None,
    name: str = "",
    version: str = "",
    type: str = ModelType.BASE,  # noqa: A002 - the API calls it so
    include: Sequence[str] = (),
    visibility: str = Visibility.TEAM,
    metadata: Mapping[str, Any] | None = None,
    token: str = "",
) -> ModelImport:
    """Accept the import of a repository of the hub; a worker does it. The hub is not asked yet.

    *token* is for this import only, is stored encrypted and forgotten at its end. Raises ``PermissionRefused``,
    ``ValidationFailed`` naming every wrong field, ``Conflict`` where the team has that version already.
    """
    team = import_team(actor=actor, owner_team=owner_team)
    repo_id, revision = repo_id.strip().strip("/"), revision.strip() or "main"
    errors = []
    if not _REPO.fullmatch(repo_id) or ".." in repo_id or "--" in repo_id or repo_id.endswith(".git"):
        errors.append(FieldError("repoId", "invalid", "Name a repository of the hub, such as organisation/model."))
    if not _REVISION.fullmatch(revision) or ".." in revision:
        errors.append(FieldError("revision", "invalid", "revision must be a branch, a tag or a commit."))
    patterns = [pattern.strip() for pattern in include if pattern.strip()]
    if len(patterns) > PATTERN_LIMIT or any(len(one) > 200 or not _LINE.fullmatch(one) for one in patterns):
        errors.append(FieldError("include", "invalid", f"At most {PATTERN_LIMIT} patterns such as *.safetensors."))
    errors += _token_faults(token)
    name = name.strip() or repo_id.rpartition("/")[2]
    fields = checked_identity(team, name, version.strip() or DEFAULT_VERSION, type, visibility, errors)
    row = ModelImport(
        team=team,
        created_by=actor,
        source=ImportSource.HUB,
        repo_id=repo_id,
        revision=revision,
        include=patterns,
        metadata=_extra(metadata),
        token_ciphertext=encrypt(token) if token else "",
        **fields,
    )
    return _begin(actor, row, {"repo_id": repo_id, "revision": revision, "token": bool(token)})


@transaction.atomic
def import_from_bundle(
    *,
    actor: User | None,
    bundle_key: str,
    owner_team: Team | str | None = None,
    name: str = "",
    version: str = "",
    visibility: str = Visibility.TEAM,
) -> ModelImport:
    """Accept the import of a bundle that lies in the store already; name and version default to the bundle's own."""
    team = import_team(actor=actor, owner_team=owner_team)
    errors: list[FieldError] = []
    name, version = name.strip(), version.strip()
    # What is left out comes from the bundle, and is checked when that has been read.
    checked = checked_identity(
        team, name or "bundle", version or DEFAULT_VERSION, ModelType.BASE, visibility, errors, taken=False
    )
    fields = {**checked, "name": name, "version": version}
    row = ModelImport(team=team, created_by=actor, source=ImportSource.BUNDLE, bundle_key=bundle_key, **fields)
    return _begin(actor, row, {"bundle": True})


def _token_faults(token: str) -> list[FieldError]:
    """What keeps *token* from being sent in a header."""
    if len(token) <= TOKEN_LIMIT and _LINE.fullmatch(token) and token.isascii():
        return []
    return [FieldError("token", "invalid", "The token must be one line of plain characters.")]


def import_require(*, actor: User | None) -> None:
    """Raise unless *actor* may import anywhere; to be asked before gigabytes are read from the network."""
    authorize(actor=actor, action="model.import")


def import_team(*, actor: User | None, owner_team: Team | str | None) -> Team:
    """Return the team that *actor* names and may import into."""
    if not isinstance(owner_team, Team):
        import_require(actor=actor)
        if actor is None:
            raise ValidationFailed.field("owner_team", "required", "Name the owning team.")
        owner_team = team_resolve(actor=actor, value=owner_team, action="model.import")
    authorize(actor=actor, action="model.import", team=owner_team)
    return owner_team


def _extra(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    stored = clean_metadata(metadata or {})
    if any(key in stored for key in SECRET_KEYS):
        raise ValidationFailed.field("metadata.api_key", "not_external", "Imported models have no API key; remove it.")
    return stored


def checked_identity(
    team: Team, name: str, version: str, type_: str, visibility: str, errors: list[FieldError], *, taken: bool = True
) -> dict[str, Any]:
    """Check what the model will be called; the service that creates it checks again."""
    if len(name) > 200 or not _LINE.fullmatch(name) or not repository_name(name):
        errors.append(FieldError("name", "invalid", "A name is one line of at most 200 characters."))
    if type_ not in (ModelType.BASE, ModelType.FINE_TUNED):
        errors.append(FieldError("type", "invalid_choice", "type must be base or fine-tuned."))
    if visibility not in Visibility.values:
        errors.append(FieldError("visibility", "invalid_choice", "visibility must be team or organisation."))
    try:
        key = version_key(version)
    except InvalidVersion as problem:
        errors.append(FieldError("version", "invalid", str(problem)))
        key = ""
    _refuse(errors)
    if taken:
        require_free(team=team, name=name, version=version, key=key, type_=type_)
    return {"name": name, "version": version, "type": type_, "model_visibility": visibility}


def _refuse(errors: list[FieldError]) -> None:
    if errors:
        raise ValidationFailed(errors[0].message, errors=errors)


def require_free(*, team: Team, name: str, version: str, key: str, type_: str) -> None:
    """Raise ``Conflict`` where the team has this version already, or imports it right now."""
    known = ModelEntry.objects.filter(team=team, name=name, type=type_, version_key=key).exists()
    running = ModelImport.objects.filter(
        team=team, name=name, type=type_, version=version, status__in=IMPORT_ACTIVE
    ).exists()
    if known or running:
        what = "has" if known else "imports"
        message = f"Team {team.slug} {what} {name} ({type_}) in version {version} already. Choose another version."
        raise Conflict(message, errors=[FieldError("version", "exists", message)], code="exists")


def _begin(actor: User | None, row: ModelImport, facts: dict[str, Any]) -> ModelImport:
    row.operation_id = operation_start(
        actor=actor,
        team=row.team,
        kind=KIND,
        target_type=ModelImport.AUDIT_TYPE,
        target_id=row.pk,
        message="Waiting for a worker",
    ).pk
    row.message = "Waiting for a worker"
    row.save()
    audit.record(
        actor=actor,
        action="catalog.import.started",
        resource=row,
        metadata={"name": row.name, "version": row.version, **facts},
    )
    files_discard(prefix=row.staging, after=STAGING_LIFE)
    send(row)
    return row


def send(row: ModelImport, *, countdown: float | None = None) -> None:
    """Send the work to a worker once the transaction commits."""
    enqueue("apps.catalog.tasks.model_import", str(row.pk), countdown=countdown)


@transaction.atomic
def import_cancel(*, actor: User | None, import_id: UUID | str) -> ModelImport:
    """Stop an import; the worker notices at its next piece. What it had fetched is deleted."""
    row = get_locked(imports_visible_to(actor), import_id, "import")
    authorize(actor=actor, action="model.import", obj=row)
    transition(
        row,
        ImportStatus.CANCELLED,
        IMPORT_TRANSITIONS,
        finished_at=clock.now(),
        token_ciphertext="",
        message="Cancelled.",
    )
    if row.operation_id is not None:
        Operation.objects.filter(pk=row.operation_id).update(
            status=OperationStatus.CANCELLED, message="Cancelled.", finished_at=clock.now(), updated_at=clock.now()
        )
    audit.record(actor=actor, action="catalog.import.cancelled", resource=row)
    forget_files(row)
    return row


@transaction.atomic
def import_retry(*, actor: User | None, import_id: UUID | str, token: str = "") -> ModelImport:
    """Start a failed import again; complete files are kept. A token has to be given anew."""
    row = get_locked(imports_visible_to(actor), import_id, "import")
    authorize(actor=actor, action="model.import", obj=row)
    _refuse(_token_faults(token))
    if row.source == ImportSource.BUNDLE:
        raise Conflict("The bundle is not kept after a failure; send it again.")
    operation = operation_start(
        actor=actor, team=row.team, kind=KIND, target_type=ModelImport.AUDIT_TYPE, target_id=row.pk
    )
    transition(
        row,
        ImportStatus.QUEUED,
        IMPORT_TRANSITIONS,
        attempts=0,
        error_code="",
        message="Waiting for a worker",
        finished_at=None,
        operation_id=operation.pk,
        token_ciphertext=encrypt(token) if token else "",
    )
    audit.record(actor=actor, action="catalog.import.repeated", resource=row, metadata={"token": bool(token)})
    files_discard(prefix=row.staging, after=STAGING_LIFE)
    send(row)
    return row


def forget_files(row: ModelImport) -> None:
    """Have everything that was fetched deleted once the transaction commits."""
    files_discard(prefix=row.staging)
    if row.bundle_key:
        files_discard(prefix=row.bundle_key.rpartition("/")[0] + "/")


def imports_resend() -> int:
    """Send imports that nobody has worked on for a while (broker away, worker killed) again; returns how many."""
    late = clock.now() - OVERDUE
    rows = list(ModelImport.objects.filter(status__in=IMPORT_ACTIVE, updated_at__lt=late)[:100])
    for row in rows:
        send(row)
    return len(rows)
