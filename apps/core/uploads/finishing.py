"""The second half of an upload's life: whole files are hashed and become part of their target, all or none."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from apps.core import audit, clock
from apps.core.errors import Conflict, DomainError, FieldError, ValidationFailed
from apps.core.models import Operation, OperationStatus, TeamOwnedModel, UploadSession, UploadStatus
from apps.core.operations import (
    operation_fail,
    operation_finish,
    operation_latest,
    operation_progress,
    operation_start,
)
from apps.core.storage import StoredObject, store
from apps.core.tasks import enqueue
from apps.core.uploads.parts import part_store
from apps.core.uploads.sessions import discard_bytes, expiry, session_end, uploads_of
from apps.core.uploads.targets import ReceivedFile, targets

logger = logging.getLogger(__name__)

TASK = "apps.core.uploads.tasks.upload_finish"
MAX_ATTEMPTS = 3
SILENCE = timedelta(minutes=5)  # a worker that says nothing for so long is taken for dead
WAIT = timedelta(minutes=2)
NEWS = timedelta(hours=1)
_HASHED = 30  # percent of the bar for putting together and hashing; the rest belongs to the target


def kind_of(target_type: str) -> str:
    """The kind of the operation that takes uploads into a thing."""
    return f"{target_type}.upload"


def uploads_finish(*, actor: Any, target_type: str, target_id: object, upload_ids: Sequence[object] = ()) -> Operation:
    """Take received files into their target, all together; without ids: all that the actor has received for it.

    Small ones are taken before this returns (what is wrong with them is raised), large ones by a worker; the
    operation tells. Asking again with the same ids answers with the same operation.

    Raises NotFound, PermissionRefused, ValidationFailed (unknown ids, mistakes in the files), Conflict (bytes missing).
    """
    target = targets.get(target_type)
    thing = target.require(actor=actor, target_id=target_id)
    with transaction.atomic():
        rows = _chosen(actor, target_type, thing, upload_ids)
        operation = _already(rows)
        if operation is not None:
            return operation
        _require_received(rows)
        target.check_names(thing, [row.filename for row in rows])
        operation, small = _begin(actor, target_type, thing, rows, target.work(thing, sum(row.size for row in rows)))
    if small:
        upload_finish_run(operation.pk, raising=True)
        operation.refresh_from_db()
    return operation


def _chosen(actor: Any, target_type: str, thing: TeamOwnedModel, upload_ids: Sequence[object]) -> list[UploadSession]:
    mine = uploads_of(actor=actor, target_type=target_type, target_id=thing.pk).select_for_update(of=("self",))
    if not upload_ids:
        rows = list(mine.filter(status=UploadStatus.RECEIVED).order_by("created_at", "id"))
        if not rows:
            raise Conflict("No file has arrived whole yet. Send the files first.", code="nothing_received")
        return rows
    wanted = list(dict.fromkeys(str(upload_id).lower() for upload_id in upload_ids))
    found = {str(row.pk): row for row in mine.filter(pk__in=[name for name in wanted if _is_id(name)])}
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ValidationFailed.field("uploadIds", "unknown", f"There is no upload {missing[0][:64]} of yours here.")
    return [found[name] for name in wanted]


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _already(rows: Sequence[UploadSession]) -> Operation | None:
    """The operation that took or takes exactly these, if one does."""
    operations = {row.operation_id for row in rows}
    if len(operations) != 1 or any(row.status not in (UploadStatus.FINISHING, UploadStatus.ATTACHED) for row in rows):
        return None
    return rows[0].operation


def _require_received(rows: Sequence[UploadSession]) -> None:
    for row in rows:
        if row.status == UploadStatus.RECEIVING:
            raise Conflict(
                f"{row.size - row.offset:,} of {row.size:,} bytes of {row} are missing. Send them first.",
                errors=[FieldError("uploadIds", "incomplete", f"{row} is not here whole.")],
                code="incomplete",
            )
        if row.status != UploadStatus.RECEIVED:
            raise Conflict(f"The upload of {row} was {row.get_status_display().lower()}.", code="not_received")
    names = [row.filename for row in rows]
    for name in names:
        if names.count(name) > 1:
            raise Conflict(f"Two of these uploads are named {name}. Cancel one.", code="duplicate_name")


def _begin(
    actor: Any, target_type: str, thing: TeamOwnedModel, rows: Sequence[UploadSession], work: int
) -> tuple[Operation, bool]:
    small = work <= settings.UPLOAD_INLINE_BYTES
    operation = operation_start(
        actor=actor,
        team=thing.team,
        kind=kind_of(target_type),
        target_type=target_type,
        target_id=thing.pk,
        message="Being read" if small else "Waiting for a worker",
    )
    for row in rows:
        row.status, row.operation, row.attempts = UploadStatus.FINISHING, operation, 0
        row.save(update_fields=["status", "operation", "attempts"])
    if not small:
        enqueue(TASK, str(operation.pk))
    return operation, small


def upload_finish_run(operation_id: UUID | str, *, raising: bool = False) -> None:
    """The work of one operation. Safe to call twice, also at once: one call works, the others return.

    A refusal ends the operation with the list of mistakes in its result and leaves the files as received uploads, so
    that the good ones among them need not be sent again. ``raising``: it is raised as well, for the person who waits.
    """
    operation = _claim(operation_id)
    if operation is None:
        return
    rows = list(
        UploadSession.objects.filter(operation=operation, status=UploadStatus.FINISHING).order_by("created_at", "id")
    )
    try:
        files = [_assembled(row, rows, operation) for row in rows]
        target = targets.get(operation.target_type)
        taken = target.take(
            actor=operation.created_by,
            target_id=operation.target_id,
            files=files,
            settle=lambda: _settle(operation),
            progress=lambda percent, text: operation_progress(
                operation.pk, _HASHED + (99 - _HASHED) * percent // 100, text
            ),
            operation_id=operation.pk,
        )
    except DomainError as error:
        _refused(operation, error.message, error.errors)
        if raising:
            raise
        audit.record_denial(error)
    except Exception:
        logger.exception("upload_not_taken", extra={"operation_id": str(operation.pk)})
        _refused(operation, "Taking the files broke down unexpectedly. Try again; if it stays, tell an operator.", [])
        if raising:
            raise
    else:
        operation_finish(operation.pk, taken.result, taken.message)
        discard_bytes(rows)  # emptied folders, leftovers of pieces


def _claim(operation_id: UUID | str) -> Operation | None:
    with transaction.atomic():
        operation = (
            Operation.objects.select_for_update(of=("self",))
            .select_related("created_by", "team")
            .filter(pk=operation_id, status__in=(OperationStatus.QUEUED, OperationStatus.RUNNING))
            .first()
        )
        if operation is None:
            return None
        if operation.status == OperationStatus.RUNNING and clock.now() - operation.updated_at < SILENCE:
            return None
        rows = UploadSession.objects.select_for_update().filter(operation=operation, status=UploadStatus.FINISHING)
        attempts = max((row.attempts for row in rows), default=0)
        if attempts >= MAX_ATTEMPTS:
            _refused(operation, f"Taking the files was interrupted {MAX_ATTEMPTS} times. Ask an operator why.", [])
            return None
        rows.update(attempts=attempts + 1)
        operation_progress(operation.pk, 1, "Putting the pieces together")
        return operation


def _assembled(row: UploadSession, rows: Sequence[UploadSession], operation: Operation) -> ReceivedFile:
    """The file as one object, hashed. A second run finds it done, also when it was moved to its target already."""
    whole = sum(entry.size for entry in rows)
    before = sum(entry.size for entry in rows[: rows.index(row)])
    if not row.sha256:
        part_store().finish(row)
        digest = hashlib.sha256()
        done, shown = 0, -1
        for chunk in store().open_range(row.key, 0, row.size):
            digest.update(chunk)
            done += len(chunk)
            percent = _HASHED * (before + done) // whole
            if percent != shown:
                shown = percent
                operation_progress(operation.pk, percent, f"Hashing {row}: {done:,} of {row.size:,} bytes")
        row.sha256 = digest.hexdigest()
        row.save(update_fields=["sha256"])
    if row.expected_sha256 and row.sha256 != row.expected_sha256:
        with transaction.atomic():
            session_end(row, UploadStatus.CANCELLED, operation.created_by)
        discard_bytes([row])
        message = (
            f"{row} is not what was announced: its SHA-256 is {row.sha256}, not {row.expected_sha256}. Send it again."
        )
        raise ValidationFailed.field("sha256", "checksum_mismatch", message)
    return ReceivedFile(row.pk, row.filename, StoredObject(row.key, row.size, row.sha256))


def _settle(operation: Operation) -> None:
    """Inside the target's transaction: the files are taken. Raises Conflict when somebody else settled it."""
    rows = UploadSession.objects.select_for_update().filter(operation=operation, status=UploadStatus.FINISHING)
    if not rows.update(status=UploadStatus.ATTACHED, updated_at=clock.now()):
        raise Conflict("These uploads were taken already, or were ended.", code="not_received")


def _refused(operation: Operation, message: str, errors: Sequence[FieldError]) -> None:
    """Give the files back to their owner and say why."""
    UploadSession.objects.filter(operation=operation, status=UploadStatus.FINISHING).update(
        status=UploadStatus.RECEIVED, operation=None, expires_at=expiry(), updated_at=clock.now()
    )
    operation_fail(operation.pk, message, {"errors": [error.as_dict() for error in errors]})


def uploads_resend() -> int:
    """Send operations that were lost with a worker or a message to a worker again, and close those whose worker died
    right after the files were taken; returns how many."""
    now = clock.now()
    silent = Operation.objects.filter(
        Q(status=OperationStatus.QUEUED, updated_at__lt=now - WAIT)
        | Q(status=OperationStatus.RUNNING, updated_at__lt=now - SILENCE)
    )
    ids = silent.filter(uploads__status=UploadStatus.FINISHING).values_list("pk", flat=True).distinct()[:500]
    lost = [str(pk) for pk in ids]
    with transaction.atomic():
        for operation_id in lost:
            enqueue(TASK, operation_id)
    done = silent.filter(uploads__status=UploadStatus.ATTACHED).exclude(uploads__status=UploadStatus.FINISHING)
    closed = list(done.values_list("pk", flat=True).distinct()[:500])
    for pk in closed:
        operation_finish(pk, message="The files were taken.")
    return len(lost) + len(closed)


def uploads_taking(*, target_type: str, target_id: UUID) -> Operation | None:
    """The operation that takes files into the thing now, or that was refused lately; for the thing's page."""
    latest = operation_latest(target_type=target_type, target_id=target_id, kind=kind_of(target_type))
    if latest is None or latest.finished_at is None:
        return latest
    news = latest.status == OperationStatus.FAILED and clock.now() - latest.finished_at < NEWS
    return latest if news else None
