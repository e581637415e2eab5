"""Exporting a model as a bundle: asked for, written by a worker, fetched for some days, then deleted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from apps.accounts.models import User
from apps.catalog import registry
from apps.catalog.bundles import FILES, MODEL, SUFFIX, Member, bundle_pieces, document, json_document
from apps.catalog.front_matter import README, card_from_metadata
from apps.catalog.models import ModelEntry, ModelFile, ModelSignature
from apps.catalog.selectors import model_get
from apps.catalog.services.cleanup import files_discard
from apps.catalog.services.downloads import stored_bytes_changed
from apps.catalog.types import SignatureStatus
from apps.core import audit, clock
from apps.core.errors import DomainError, NotFound
from apps.core.integrity import checked_pieces
from apps.core.models import Operation, OperationStatus
from apps.core.operations import operation_fail, operation_finish, operation_progress, operation_start
from apps.core.permissions import visible_to
from apps.core.storage import store
from apps.core.tasks import enqueue
from apps.core.transitions import get_or_not_found
from apps.core.web.objects import SentObject
from apps.governance.services import authorize
from apps.integrations.signing import SIGNATURE_NAME

KIND = "model_export"
LIFE = timedelta(days=7)
OVERDUE = timedelta(minutes=30)
ACTIVE = (OperationStatus.QUEUED, OperationStatus.RUNNING)
_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")


@transaction.atomic
def model_export_start(*, actor: User | None, model_id: UUID | str) -> Operation:
    """Have a bundle of the model written. Raises ``NotFound``, ``PermissionRefused``.

    While one is being written for the same person, that one is answered.
    """
    model = model_get(actor=actor, model_id=model_id)
    authorize(actor=actor, action="model.export", obj=model)
    running = exports_of(actor=actor, model=model).filter(status__in=ACTIVE).first()
    if running is not None:
        return running
    operation = operation_start(
        actor=actor,
        team=model.team,
        kind=KIND,
        target_type=ModelEntry.AUDIT_TYPE,
        target_id=model.pk,
        message="Waiting for a worker",
    )
    files_discard(prefix=_prefix(operation.pk), after=LIFE)
    audit.record(actor=actor, action="catalog.model.export_requested", resource=model)
    enqueue("apps.catalog.tasks.model_export", str(operation.pk))
    return operation


def exports_of(*, actor: User | None, model: ModelEntry) -> Any:
    """Exports of *model* that *actor* asked for, newest first. A bundle names what its maker may see, lineage and
    evaluations included, so nobody fetches another's."""
    mine = Operation.objects.filter(
        kind=KIND, target_type=ModelEntry.AUDIT_TYPE, target_id=str(model.pk), created_by=actor
    )
    return visible_to(actor, mine).order_by("-created_at")


def model_export_run(*, operation_id: UUID | str) -> str:
    """Write the bundle; returns the operation's status. Safe to run twice: the second run writes the same again."""
    operation = Operation.objects.select_related("created_by", "team").filter(pk=operation_id, kind=KIND).first()
    if operation is None or operation.status not in ACTIVE:
        return "ended"
    actor = operation.created_by
    try:
        model = model_get(actor=actor, model_id=operation.target_id)
        authorize(actor=actor, action="model.export", obj=model)
        key = _prefix(operation.pk) + export_name(model)
        moment = clock.now()
        members = _members(actor, model)
        progress = partial(_progress, operation, sum(row.size for row in members))
        pieces = bundle_pieces(_head(model), members, moment=moment.timestamp())
        stored = store().put(key, progress(pieces))
    except (DomainError, OSError) as error:
        store().delete_prefix(_prefix(operation.pk))
        operation_fail(operation.pk, f"The bundle could not be written: {error}")
        if isinstance(error, DomainError):
            audit.record_denial(error)
        return str(OperationStatus.FAILED)
    with transaction.atomic():
        operation_finish(
            operation.pk,
            {
                "filename": export_name(model),
                "size": stored.size,
                "sha256": stored.sha256,
                "expiresAt": (operation.created_at + LIFE).isoformat(),
                "download": f"/llm-ops/v1/catalog/models/{model.pk}/exports/{operation.pk}",
            },
            message="The bundle is ready.",
        )
        audit.record(
            actor=actor,
            action="catalog.model.exported",
            resource=model,
            metadata={"size": stored.size, "sha256": stored.sha256},
        )
    return str(OperationStatus.SUCCEEDED)


def _progress(operation: Operation, total: int, pieces: Iterable[bytes]) -> Iterable[bytes]:
    done = told = 0
    for piece in pieces:
        done += len(piece)
        percent = min(99, 100 * done // max(1, total))
        if percent != told:
            told = percent
            operation_progress(operation.pk, percent, f"Writing the bundle: {percent} %")
        yield piece


def _prefix(operation_id: UUID | str) -> str:
    return f"exports/{operation_id}/"


def export_name(model: ModelEntry) -> str:
    """The bundle's file name, in plain characters."""
    plain = _PLAIN.sub("-", f"{model.name}-{model.version}").strip("-.") or str(model.pk)
    return plain[:120] + SUFFIX


def _head(model: ModelEntry) -> dict[str, Any]:
    return {
        "portal": settings.PUBLIC_URL,
        "exportedAt": clock.now().isoformat(),
        "digest": model.digest,
        "model": {"id": str(model.pk), "team": model.team.slug, "name": model.name, "version": model.version},
    }


def _members(actor: User | None, model: ModelEntry) -> list[Member]:
    """Everything that goes in: words first, so that a reader knows what it gets before the gigabytes come."""
    rows = list(ModelFile.objects.filter(model=model).order_by("filename"))
    members = [json_document(MODEL, _described(model, rows))]
    members += [
        json_document(f"{name}.json", data) for name, data in sorted(registry.bundle_documents(actor, model).items())
    ]
    card = card_from_metadata(title=str(model), metadata=model.metadata, family=model.model_family)
    members.append(document(README, card.encode()))
    signature = ModelSignature.objects.filter(model=model, status=SignatureStatus.VALID).first()
    if signature is not None:
        members.append(document(SIGNATURE_NAME, signature.bundle.encode()))
    members += [Member(FILES + row.filename, row.size, row.sha256, partial(_pieces, model, row)) for row in rows]
    return members


def _pieces(model: ModelEntry, row: ModelFile) -> Iterable[bytes]:
    pieces = store().open_range(row.storage_key, 0, row.size)
    changed = partial(stored_bytes_changed, model=model, filename=row.filename)
    return checked_pieces(pieces, sha256=row.sha256, key=row.storage_key, on_changed=changed)


def _described(model: ModelEntry, rows: Iterable[ModelFile]) -> dict[str, Any]:
    """The entry itself. Metadata never holds the provider's key: that is kept apart and stays."""
    return {
        "name": model.name,
        "version": model.version,
        "type": model.type,
        "status": model.status,
        "team": model.team.slug,
        "modelFamily": model.model_family,
        "metadata": model.metadata,
        "digest": model.digest,
        "createdAt": model.created_at.isoformat(),
        "approvedAt": model.approved_at.isoformat() if model.approved_at else None,
        "facts": {
            "architecture": model.architecture,
            "family": model.detected_family,
            "dtype": model.dtype,
            "parameterCount": model.parameter_count,
            "contextLength": model.context_length,
            "weightBytes": model.weight_bytes,
        },
        "files": [
            {
                "filename": row.filename,
                "size": row.size,
                "sha256": row.sha256,
                "scanStatus": row.scan_status,
            }
            for row in rows
        ],
    }


def export_object(*, actor: User | None, model_id: UUID | str, operation_id: UUID | str) -> SentObject:
    """Return the finished bundle to send; ``NotFound`` where there is none (any more)."""
    model = model_get(actor=actor, model_id=model_id)
    authorize(actor=actor, action="model.export", obj=model)
    operation = get_or_not_found(exports_of(actor=actor, model=model), operation_id, "export")
    if operation.status != OperationStatus.SUCCEEDED:
        raise NotFound(f"This export is {operation.status}; there is no bundle (yet).")
    result = operation.result
    key = _prefix(operation.pk) + result["filename"]
    if not store().exists(key):
        raise NotFound(f"The bundle is not kept any more (bundles stay {LIFE.days} days). Export the model again.")
    return SentObject(key, result["size"], result["sha256"], "application/x-tar", result["filename"])


def export_fetched(*, actor: User | None, model_id: UUID | str, start: int, end: int) -> None:
    """Note that a bundle leaves the portal; bytes *start* to *end* (exclusive)."""
    model = model_get(actor=actor, model_id=model_id)
    audit.record(
        actor=actor,
        action="catalog.model.export_downloaded",
        resource=model,
        metadata={"bytes": f"{start}-{end - 1}"},
    )


def exports_resend() -> int:
    """Send exports that were lost (broker away, worker killed) again; returns how many."""
    late = clock.now() - OVERDUE
    rows = list(Operation.objects.filter(kind=KIND, status__in=ACTIVE, updated_at__lt=late)[:100])
    for row in rows:
        enqueue("apps.catalog.tasks.model_export", str(row.pk))
    return len(rows)
