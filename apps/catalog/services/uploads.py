"""Uploading and removing files of a model."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from django.conf import settings
from django.db import transaction

from apps.accounts.models import User
from apps.catalog.models import ModelEntry, ModelFile, ModelSignature
from apps.catalog.scanning import ALLOWED_SUFFIXES, classify
from apps.catalog.selectors import model_get
from apps.catalog.services.access import action_for, model_locked, require_draft
from apps.catalog.services.cleanup import files_discard, files_keep
from apps.catalog.types import ModelStatus, ScanStatus, UploadResult
from apps.core import audit
from apps.core.errors import Conflict, FieldError, TooLarge, UnsupportedMedia, ValidationFailed
from apps.core.models import Operation
from apps.core.operations import operation_start
from apps.core.storage import StoredObject, safe_filename, store
from apps.core.tasks import enqueue
from apps.governance.services import authorize

FILES_PER_MODEL = 1_000
STAGING_LIFE = timedelta(days=1)  # longer than any upload takes


class IncomingFile(Protocol):
    """What an upload hands over: a name, a size in bytes and the content in pieces."""

    @property
    def name(self) -> str | None:
        """As the sender calls it; not trusted."""

    @property
    def size(self) -> int | None:
        """Bytes, where known."""

    def chunks(self) -> Iterator[bytes]:
        """Yield the content."""


def model_upload(*, actor: User | None, model_id: UUID | str, files: Sequence[IncomingFile]) -> UploadResult:
    """Store *files* of a draft, all or none, and start their scan. A file of the same name is replaced.

    The bytes are first streamed beside the model, then moved into place in one short transaction; whatever
    breaks before leaves the model as it was. Raises ``ValidationFailed``, ``UnsupportedMedia`` (415),
    ``TooLarge`` (413), ``Conflict`` (not a draft, external).
    """
    model = model_require_uploadable(actor=actor, model_id=model_id)
    names = checked_names([file.name or "" for file in files])
    _check_sizes(names, files)
    staging = f"incoming/{uuid.uuid4()}/"
    files_discard(prefix=staging, after=STAGING_LIFE)
    try:
        staged = [_stage(staging, name, file) for name, file in zip(names, files, strict=True)]
        rows, operation = _publish(actor=actor, model_id=model.pk, names=names, staged=staged)
    except BaseException:
        store().delete_prefix(staging)
        files_keep(prefix=staging)
        raise
    files_keep(prefix=staging)
    return UploadResult(model.pk, store().uri(model.storage_prefix), tuple(rows), operation.pk)


def model_require_uploadable(*, actor: User | None, model_id: UUID | str) -> ModelEntry:
    """Return the model when *actor* may upload to it now; to be asked before gigabytes are read from the network."""
    model = model_get(actor=actor, model_id=model_id)
    authorize(actor=actor, action=action_for("upload", model.type), obj=model)
    _require_uploadable(model)
    return model


def _require_uploadable(model: ModelEntry) -> None:
    if model.is_external:
        message = "An external model runs at its provider and has no files."
        raise Conflict(message, errors=[FieldError("files", "external", message)])
    require_draft(model, "uploading files")


def checked_names(sent: Sequence[str]) -> list[str]:
    """Return safe names; refuse the whole upload, naming every file that cannot be taken.

    Raises ``ValidationFailed``, ``UnsupportedMedia`` (not a kind of model file).
    """
    if not sent:
        raise ValidationFailed.field("files", "required", "Send at least one file, under the form field files.")
    if len(sent) > FILES_PER_MODEL:
        raise ValidationFailed.field("files", "too_many", f"At most {FILES_PER_MODEL} files can be sent at once.")
    names = [safe_filename(text) for text in sent]
    accepted = ", ".join(ALLOWED_SUFFIXES)
    errors = [
        FieldError("files", "type", f"{name} is not a model file. Accepted: {accepted}.")
        for name in names
        if classify(name) is None
    ]
    if errors:
        raise UnsupportedMedia(errors[0].message, errors=errors)
    counts = Counter(name.casefold() for name in names)
    errors = [
        FieldError("files", "doubled", f"{name} was sent more than once.")
        for name in sorted(set(names))
        if counts[name.casefold()] > 1
    ]
    if errors:
        raise ValidationFailed(errors[0].message, errors=errors)
    return names


def _check_sizes(names: Sequence[str], files: Sequence[IncomingFile]) -> None:
    errors = [
        FieldError("files", "empty", f"{name} is empty.")
        for name, file in zip(names, files, strict=True)
        if file.size == 0
    ]
    if errors:
        raise ValidationFailed(errors[0].message, errors=errors)
    limit = settings.UPLOAD_MAX_FILE_BYTES
    for name, file in zip(names, files, strict=True):
        if file.size is not None and file.size > limit:
            message = f"{name} has {file.size:,} bytes; at most {limit:,} are accepted per file."
            raise TooLarge(message, errors=[FieldError("files", "too_large", message)])


def _stage(staging: str, name: str, file: IncomingFile) -> StoredObject:
    return store().put(staging + name, file.chunks(), max_bytes=settings.UPLOAD_MAX_FILE_BYTES)


@transaction.atomic
def _publish(
    *, actor: User | None, model_id: UUID, names: list[str], staged: Iterable[StoredObject]
) -> tuple[list[ModelFile], Operation]:
    """Move staged files into place and write their rows, under the model's lock."""
    model = model_locked(actor=actor, model_id=model_id, verb="upload")
    require_room(model, names)
    moved = []
    for name, stored in zip(names, staged, strict=True):
        key = model.storage_prefix + name
        store().move(stored.key, key)
        moved.append(StoredObject(key, stored.size, stored.sha256))
    return files_register(actor=actor, model=model, names=names, stored=moved)


def require_room(model: ModelEntry, names: Sequence[str]) -> None:
    """Raise unless the locked *model* still takes files of these names; it may have been submitted meanwhile."""
    _require_uploadable(model)
    present = set(model.files.values_list("filename", flat=True))
    if len(present | set(names)) > FILES_PER_MODEL:
        raise ValidationFailed.field("files", "too_many", f"A model has at most {FILES_PER_MODEL} files.")


def files_register(
    *, actor: User | None, model: ModelEntry, names: Sequence[str], stored: Sequence[StoredObject]
) -> tuple[list[ModelFile], Operation]:
    """Write the rows of files that lie in place, audited, and start the scan; *model* is locked."""
    rows = [
        file_register(model=model, filename=name, stored=file, key=file.key, actor=actor)
        for name, file in zip(names, stored, strict=True)
    ]
    audit.record(
        actor=actor,
        action="catalog.model.uploaded",
        resource=model,
        metadata={"files": [{"filename": row.filename, "size": row.size, "sha256": row.sha256} for row in rows]},
    )
    return rows, scan_start(actor=actor, model=model)


def file_register(*, model: ModelEntry, filename: str, stored: StoredObject, key: str, actor: User | None) -> ModelFile:
    """Write the row of a stored file, unscanned."""
    known = classify(filename)
    if known is None:
        raise ValidationFailed.field("files", "type", f"{filename} is not a model file.")
    # New bytes: what was found about the old ones is settled; the next approval signs anew.
    ModelSignature.objects.filter(model=model).delete()
    row, _ = ModelFile.objects.update_or_create(
        model=model,
        filename=filename,
        defaults={
            "kind": known[1],
            "format": known[0],
            "size": stored.size,
            "sha256": stored.sha256,
            "storage_key": key,
            "scan_status": ScanStatus.PENDING,
            "scan_reasons": [],
            "facts": {},
            "scanned_at": None,
            "uploaded_by": actor,
        },
    )
    return row


def scan_start(*, actor: User | None, model: ModelEntry) -> Operation:
    """Mark the locked *model* as unscanned and send the scan, visible as an operation."""
    model.scan_status = ScanStatus.PENDING
    model.save(update_fields=["scan_status"])
    operation = operation_start(
        actor=actor,
        team=model.team,
        kind="model_scan",
        target_type=ModelEntry.AUDIT_TYPE,
        target_id=model.pk,
        message="Waiting for the scanner",
    )
    enqueue("apps.catalog.tasks.model_scan", str(model.pk), str(operation.pk))
    return operation


@transaction.atomic
def model_file_delete(*, actor: User | None, model_id: UUID | str, filename: str) -> ModelEntry:
    """Remove one file of a draft and scan what is left (its facts may have come from that file)."""
    model = model_locked(actor=actor, model_id=model_id, verb="upload")
    require_draft(model, "removing files")
    row = model.files.filter(filename=filename).first()
    if row is None:
        raise ValidationFailed.field("filename", "unknown", f"{model} has no file {filename[:100]}.")
    row.delete()
    audit.record(
        actor=actor,
        action="catalog.model.file_removed",
        resource=model,
        metadata={"filename": row.filename, "sha256": row.sha256},
    )
    if model.files.exists():
        model.files.update(scan_status=ScanStatus.PENDING)
        scan_start(actor=actor, model=model)
    else:
        facts_clear(model)
    # Last, and under the lock: after the commit an upload of the same name could already lie there.
    store().delete(row.storage_key)
    return model


def facts_clear(model: ModelEntry) -> None:
    """Forget what was read from files that are no longer there."""
    model.scan_status = ScanStatus.NONE
    model.architecture = model.detected_family = model.dtype = ""
    model.parameter_count = model.context_length = model.weight_bytes = model.memory_bytes = None
    model.kv_bytes_per_token = None
    model.save()


@transaction.atomic
def model_rescan(*, actor: User | None, model_id: UUID | str) -> ModelEntry:
    """Scan all files again, for example after the scanner was stopped or improved."""
    model = model_locked(actor=actor, model_id=model_id, verb="upload")
    if not model.files.exists():
        raise Conflict(f"{model} has no files to scan.")
    if model.status == ModelStatus.PENDING_REVIEW:
        raise Conflict(f"{model} is under review; withdraw it first.")
    model.files.update(scan_status=ScanStatus.PENDING)
    scan_start(actor=actor, model=model)
    return model
