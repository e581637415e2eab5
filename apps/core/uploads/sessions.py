"""The first half of an upload's life: announced, received piece by piece, or given up."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from apps.core import audit, clock
from apps.core.errors import Conflict, DomainError, FieldError, PermissionRefused, TooLarge, ValidationFailed
from apps.core.models import TeamOwnedModel, UploadSession, UploadStatus
from apps.core.permissions import can
from apps.core.storage import CHUNK, safe_filename, store
from apps.core.transitions import get_or_not_found
from apps.core.uploads.parts import block_size, part_store
from apps.core.uploads.targets import targets

OPEN = (UploadStatus.RECEIVING, UploadStatus.RECEIVED, UploadStatus.FINISHING)
CHECKSUMS = ("sha256", "sha1")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class OffsetMismatch(Conflict):
    """409: the piece does not begin where the kept bytes end; ``offset`` says where they do."""

    default_code = "offset_mismatch"

    def __init__(self, message: str, *, offset: int) -> None:
        super().__init__(message, errors=[FieldError("uploadOffset", "offset_mismatch", message)])
        self.offset = offset


class ChecksumMismatch(DomainError):
    """460, as in the tus protocol: the piece is not what its checksum says. Nothing of it was kept."""

    status_code = 460
    default_code = "checksum_mismatch"


class ByteStream(Protocol):
    """Where the bytes of a piece come from."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; nothing at the end or when the connection broke."""


class Checksum:
    """An announced checksum of one piece: ``sha256 <base64>`` (or ``sha1``), compared when the piece is there."""

    def __init__(self, name: str, expected: bytes) -> None:
        self.expected = expected
        self.digest = hashlib.new(name, usedforsecurity=False)

    def require(self) -> None:
        """Raise :class:`ChecksumMismatch` unless the bytes seen are those announced."""
        if self.digest.digest() != self.expected:
            message = "The bytes that arrived are not those of the checksum. Send the piece again."
            raise ChecksumMismatch(message, errors=[FieldError("uploadChecksum", "checksum_mismatch", message)])


def uploads_of(*, actor: Any, target_type: str, target_id: UUID) -> QuerySet[UploadSession]:
    """The actor's uploads to one thing, newest first; ask the target for permission before."""
    return UploadSession.objects.filter(created_by=actor, target_type=target_type, target_id=target_id).order_by(
        "-created_at", "id"
    )


def upload_get(*, actor: Any, target_type: str, target_id: object, upload_id: object) -> UploadSession:
    """One of the actor's uploads; others do not exist for them. The thing itself must be open to uploads.

    Raises NotFound, PermissionRefused, Conflict (the thing takes no files any more).
    """
    thing = targets.get(target_type).require(actor=actor, target_id=target_id)
    mine = uploads_of(actor=actor, target_type=target_type, target_id=thing.pk)
    return get_or_not_found(mine, upload_id, "upload")


def upload_create(
    *, actor: Any, target_type: str, target_id: object, filename: str, size: int, sha256: str = ""
) -> UploadSession:
    """Announce a file of ``size`` bytes; its pieces may come now. ``sha256`` (hex) is checked at the end.

    Raises NotFound, PermissionRefused, Conflict, ValidationFailed (name, size, checksum), TooLarge.
    """
    target = targets.get(target_type)
    thing = target.require(actor=actor, target_id=target_id)
    (name,) = target.check_names(thing, [safe_filename(filename)])
    if size < 1:
        raise ValidationFailed.field("size", "empty", f"{name} is empty. Send a file that holds something.")
    if size > settings.UPLOAD_MAX_FILE_BYTES:
        message = f"{name} has {size:,} bytes; at most {settings.UPLOAD_MAX_FILE_BYTES:,} are accepted per file."
        raise TooLarge.field("size", "too_large", message)
    sha256 = sha256.lower()
    if sha256 and not _SHA256.fullmatch(sha256):
        raise ValidationFailed.field("sha256", "invalid", "Send sha256 as 64 hexadecimal digits, or leave it out.")
    return _made(actor, target_type, thing, name, size, sha256)


def _made(actor: Any, target_type: str, thing: TeamOwnedModel, name: str, size: int, sha256: str) -> UploadSession:
    unfinished = UploadSession.objects.filter(created_by=actor, status__in=OPEN).count()
    if unfinished >= settings.UPLOAD_MAX_OPEN:
        raise Conflict(
            f"You have {unfinished} unfinished uploads. Finish or cancel some before you begin another.",
            code="too_many_uploads",
        )
    session = UploadSession(
        team_id=thing.team_id,
        created_by=actor,
        target_type=target_type,
        target_id=thing.pk,
        filename=name,
        size=size,
        expected_sha256=sha256,
        block_size=block_size(size),
        expires_at=expiry(),
    )
    with transaction.atomic():
        session.save(force_insert=True)
        audit.record(
            actor=actor,
            action="core.upload.started",
            resource=session,
            metadata={"filename": name, "size": size, "target": f"{target_type} {thing.pk}"},
        )
    # After the commit: whatever breaks now, the row is there for the sweep to clean up after.
    session.store_upload_id = part_store().begin(session)
    session.save(update_fields=["store_upload_id"])
    return session


def upload_store_whole(
    *, actor: Any, target_type: str, thing: TeamOwnedModel, name: str, chunks: Iterable[bytes], size: int
) -> UploadSession:
    """A file that came in one request, kept as a received upload, so that a worker can take it. The caller has asked
    for permission and checked the name."""
    session = UploadSession(
        team_id=thing.team_id,
        created_by=actor,
        target_type=target_type,
        target_id=thing.pk,
        filename=name,
        size=max(1, size),
        block_size=block_size(size),
        expires_at=expiry(),
    )
    session.save(force_insert=True)
    try:
        stored = store().put(session.key, chunks, max_bytes=settings.UPLOAD_MAX_FILE_BYTES)
        if not stored.size:
            raise ValidationFailed.field("files", "empty", f"{name} is empty. Send a file that holds something.")
    except BaseException:
        discard_bytes([session])
        session.delete()
        raise
    session.size = session.offset = stored.size
    session.sha256, session.status = stored.sha256, UploadStatus.RECEIVED
    session.save()
    return session


def expiry() -> datetime:
    """When an upload that is touched now is given up."""
    return clock.now() + timedelta(hours=settings.UPLOAD_HOURS)


def upload_append(
    *, session: UploadSession, offset: int, stream: ByteStream, length: int | None, checksum: Checksum | None = None
) -> UploadSession:
    """Take one piece that begins at ``offset``; returns the session with its new offset.

    ``length`` is the piece's size where known; more than the file has left is refused before a byte is read. What
    arrived before a connection broke is kept (with a checksum: all of the piece or nothing). A request that finds
    another one still writing takes over from it: the other was cut off, or it will be told that it was replaced.

    Raises OffsetMismatch (409), ChecksumMismatch (460), Conflict (not receiving, replaced), ValidationFailed.
    """
    writer = _claim(session, offset, length)
    start, held = part_store().resume(writer.session)
    try:
        writer.run(stream, start, held, length, checksum)
    finally:
        writer.release()
    session.refresh_from_db()
    return session


def _claim(session: UploadSession, offset: int, length: int | None) -> _Writer:
    with transaction.atomic():
        row = UploadSession.objects.select_for_update().get(pk=session.pk)
        if row.status != UploadStatus.RECEIVING:
            if row.status in (UploadStatus.RECEIVED, UploadStatus.FINISHING, UploadStatus.ATTACHED):
                raise OffsetMismatch(f"All {row.size:,} bytes of {row} are here already.", offset=row.offset)
            raise Conflict(
                f"This upload of {row} was {row.get_status_display().lower()}. Begin a new one.", code="ended"
            )
        if offset != row.offset:
            raise OffsetMismatch(
                f"The piece begins at byte {offset:,}, but {row} is kept up to byte {row.offset:,}. Send from there.",
                offset=row.offset,
            )
        if length is not None and offset + length > row.size:
            raise ValidationFailed.field(
                "uploadOffset",
                "too_long",
                f"The piece would end at byte {offset + length:,}, behind the {row.size:,} bytes announced for {row}.",
            )
        row.writer = uuid4().hex
        row.save(update_fields=["writer"])
    return _Writer(row)


class _Writer:
    """One request that writes. Every block is written under the row's lock, and only while no newer request has
    taken over, so two requests never mix their bytes."""

    def __init__(self, session: UploadSession) -> None:
        self.session = session
        self.token = session.writer
        self.size = session.size

    def run(self, stream: ByteStream, start: int, held: bytes, length: int | None, checksum: Checksum | None) -> None:
        """Read to the end of the piece, writing block by block."""
        block = self.session.block_size
        buffer = bytearray(held)
        position = self.session.offset
        end = self.size if length is None else position + length
        # A piece with a checksum moves the offset only once the checksum is known to be right.
        commit = checksum is None
        broken: OSError | None = None
        while position < end:
            try:
                data = stream.read(min(CHUNK, block - len(buffer), end - position))
            except OSError as error:  # the connection broke
                broken = error
                break
            if not data:
                break
            if checksum is not None:
                checksum.digest.update(data)
            buffer += data
            position += len(data)
            if len(buffer) == block:
                self._write(start, buffer, position if commit else None)
                start, buffer = start + block, bytearray()
        if checksum is not None:
            if position < end and length is not None:
                raise ValidationFailed.field(
                    "uploadOffset",
                    "cut_off",
                    "The piece was cut off before its end; nothing of it was kept. Send it again.",
                )
            checksum.require()
        if buffer or not commit:
            self._write(start, buffer, position)
        if broken is not None:
            raise ValidationFailed.field(
                "uploadOffset",
                "cut_off",
                f"The connection broke; {position:,} bytes are kept. Send the rest from there.",
            ) from broken
        if length is None and position == self.size and stream.read(1):
            raise ValidationFailed.field(
                "uploadOffset", "too_long", f"More bytes came than the {self.size:,} announced; the rest was left out."
            )

    def _write(self, start: int, data: bytearray, offset: int | None) -> None:
        with transaction.atomic():
            row = (
                UploadSession.objects.select_for_update()
                .filter(pk=self.session.pk, writer=self.token, status=UploadStatus.RECEIVING)
                .first()
            )
            if row is None:
                raise Conflict(
                    f"Another request goes on with {self.session}, or the upload was ended.", code="replaced"
                )
            if data:
                part_store().write(row, start, data)
            if offset is None:
                return
            row.offset = offset
            row.expires_at = expiry()
            if offset == row.size:
                row.status = UploadStatus.RECEIVED
            row.save(update_fields=["offset", "expires_at", "status"])

    def release(self) -> None:
        """Nobody writes any more."""
        UploadSession.objects.filter(pk=self.session.pk, writer=self.token).update(writer="")


def upload_cancel(*, session: UploadSession, actor: Any) -> None:
    """Give an upload up and remove its bytes: one's own, or as operator anybody's.

    Raises PermissionRefused, Conflict (being taken, taken already).
    """
    if actor is not None and session.created_by_id != actor.pk and not can(actor, "upload.cancel", session):
        raise PermissionRefused("Only its owner or an operator may cancel an upload.")
    with transaction.atomic():
        row = UploadSession.objects.select_for_update().get(pk=session.pk)
        if row.status == UploadStatus.FINISHING:
            raise Conflict(f"{row} is being taken right now; wait for the outcome.", code="finishing")
        if row.status == UploadStatus.ATTACHED:
            raise Conflict(f"{row} was taken already; remove the file instead.", code="attached")
        if row.status not in OPEN:
            return
        session_end(row, UploadStatus.CANCELLED, actor)
    discard_bytes([row])


def session_end(row: UploadSession, status: UploadStatus, actor: Any) -> None:
    """Close a locked upload, audited; the caller discards its bytes after the commit."""
    row.status, row.writer = status, ""
    row.save(update_fields=["status", "writer"])
    audit.record(
        actor=actor,
        action=f"core.upload.{status.value}",
        resource=row,
        metadata={"filename": row.filename, "received": row.offset, "size": row.size},
    )


def discard_bytes(sessions: Sequence[UploadSession]) -> int:
    """Remove what was received of ended uploads; returns of how many. Raises nothing: the sweep comes again."""
    done = 0
    for session in sessions:
        try:
            part_store().discard(session)
        except (DomainError, OSError):
            continue
        done += 1
    return done


def uploads_expire(*, limit: int = 500) -> int:
    """End abandoned uploads, audit it and remove their bytes; returns how many. Part of the sweep."""
    due = UploadSession.objects.filter(
        status__in=(UploadStatus.RECEIVING, UploadStatus.RECEIVED), expires_at__lte=clock.now()
    )
    ended = []
    for pk in list(due.values_list("pk", flat=True)[:limit]):
        with transaction.atomic():
            row = due.select_for_update(skip_locked=True).filter(pk=pk).first()
            if row is not None:
                session_end(row, UploadStatus.EXPIRED, None)
                ended.append(row)
    discard_bytes(ended)
    return len(ended)


def uploads_forget(*, days: int = 7) -> int:
    """Delete the rows of uploads that ended some days ago, and once more whatever of their bytes a refused deletion
    left. Returns how many."""
    old = UploadSession.objects.exclude(status__in=OPEN).filter(updated_at__lt=clock.now() - timedelta(days=days))
    rows = list(old[:500])
    for row in rows:
        part_store().discard(row)
        row.delete()
    return len(rows)
