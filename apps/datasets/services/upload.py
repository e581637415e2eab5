"""Uploading files: streamed to the store, read and checked, then registered all at once or not at all."""

from __future__ import annotations

import logging
import secrets
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from apps.accounts.models import User
from apps.core import audit
from apps.core.errors import Conflict, FieldError, ValidationFailed
from apps.core.storage import StoredObject, file_chunks, safe_filename, store
from apps.datasets.models import Dataset, DatasetCheck, DatasetFile
from apps.datasets.reading import EXTENSIONS, DataRefused, IncomingFile, ReadResult, file_format, read_files
from apps.datasets.selectors import dataset_get
from apps.datasets.services.access import dataset_locked, require_draft
from apps.datasets.services.checks import check_start
from apps.datasets.services.content import limits
from apps.datasets.types import PiiStatus
from apps.governance.services import authorize

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it arrives: its name and its content in pieces."""

    name: str
    chunks: Iterable[bytes]


@dataclass(frozen=True, slots=True)
class UploadResult:
    """What was taken."""

    dataset: Dataset
    files: tuple[DatasetFile, ...]
    check: DatasetCheck


@dataclass(frozen=True, slots=True)
class _Part:
    """A file of the dataset to be: stored just now, or already registered."""

    name: str
    stored: StoredObject
    known: DatasetFile | None = None


def upload_folder() -> str:
    """A name for one upload's place in the store; its time lets the sweep tell old leftovers from work going
    on."""
    return f"{int(time.time()):x}-{secrets.token_hex(4)}"


def dataset_upload(*, actor: User | None, dataset_id: object, files: Sequence[Upload]) -> UploadResult:
    """Add files to a draft; a file of the same name replaces the earlier one. The checks start by themselves.

    All files of the dataset are read together. With any mistake nothing is taken: ValidationFailed holds up
    to a hundred errors with their lines and the count of the rest. Raises also NotFound, PermissionRefused,
    Conflict (not a draft; somebody else uploaded meanwhile), TooLarge.
    """
    dataset = dataset_get(actor=actor, dataset_id=dataset_id)
    authorize(actor=actor, action="dataset.upload", obj=dataset)
    require_draft(dataset, "take files")
    names = _checked_names(files)
    return content_take(actor=actor, dataset=dataset, names=names, contents=[file.chunks for file in files])


def content_take(
    *, actor: User | None, dataset: Dataset, names: Sequence[str], contents: Sequence[Iterable[bytes]]
) -> UploadResult:
    """Store, read and register files whose names and permissions are checked; see :func:`dataset_upload`."""
    folder = upload_folder()
    place = f"{dataset.storage_prefix}/files/{folder}"
    rows_key = f"{dataset.storage_prefix}/rows/{folder}.parquet"
    known = {file.filename: file for file in dataset.files.order_by("position")}
    try:
        parts: dict[str, _Part] = {
            name: _Part(name, StoredObject(file.storage_key, file.size, file.sha256), file)
            for name, file in known.items()
        }
        for name, chunks in zip(names, contents, strict=True):
            stored = store().put(f"{place}/{name}", chunks, max_bytes=settings.UPLOAD_MAX_FILE_BYTES)
            parts[name] = _Part(name, stored)
        result, rows = _read(dataset, list(parts.values()), rows_key)
        with transaction.atomic():
            return _register(actor, dataset, list(parts.values()), known, result, rows)
    except BaseException:
        _discard(place, rows_key)
        raise


def _checked_names(files: Sequence[Upload]) -> list[str]:
    if not files:
        raise ValidationFailed.field("files", "required", "Send at least one file in the multipart field “files”.")
    if len(files) > settings.DATASETS_MAX_FILES:
        raise ValidationFailed.field(
            "files", "too_many", f"{len(files)} files were sent; at most {settings.DATASETS_MAX_FILES} at a time."
        )
    names: list[str] = []
    for file in files:
        name = safe_filename(file.name)
        if file_format(name) is None:
            known = ", ".join(EXTENSIONS)
            raise ValidationFailed.field(
                "files", "file_type", f"“{name}” is of a kind that is not taken. Upload one of {known}."
            )
        if name in names:
            raise ValidationFailed.field("files", "duplicate_name", f"Two files are named “{name}”. Rename one.")
        names.append(name)
    return names


def _read(dataset: Dataset, parts: Sequence[_Part], rows_key: str) -> tuple[ReadResult, StoredObject]:
    """Read all files together and store their rows. Raises ValidationFailed with the mistakes."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=settings.VAR_DIR / "tmp", prefix="rows-")))
        incoming = [IncomingFile(part.name, stack.enter_context(store().local_path(part.stored.key))) for part in parts]
        target = folder / "rows.parquet"
        try:
            result = read_files(incoming, dataset.type, target, limits())
        except DataRefused as refused:
            raise _refusal(refused) from refused
        with target.open("rb") as handle:
            return result, store().put(rows_key, file_chunks(handle))


def _refusal(refused: DataRefused) -> ValidationFailed:
    errors = [FieldError("files", problem.code, str(problem)) for problem in refused.problems]
    total = len(errors) + refused.more
    if refused.more:
        errors.append(FieldError("files", "more_errors", f"{refused.more:,} more mistakes are not listed."))
    more = "" if total == 1 else f" ({total:,} mistakes in all; nothing was taken)"
    return ValidationFailed(f"{errors[0].message}{more}", errors=errors, code="files_refused")


def _register(
    actor: User | None,
    dataset: Dataset,
    parts: Sequence[_Part],
    known: dict[str, DatasetFile],
    result: ReadResult,
    rows: StoredObject,
) -> UploadResult:
    locked = dataset_locked(actor=actor, dataset_id=dataset.pk, action="dataset.upload")
    require_draft(locked, "take files")
    if {file.pk for file in locked.files.all()} != {file.pk for file in known.values()}:
        raise Conflict(f"Somebody else changed the files of {locked} meanwhile. Upload yours again.", code="changed")
    kept = {part.known.pk for part in parts if part.known is not None}
    replaced = [file for file in known.values() if file.pk not in kept]
    obsolete = [file.storage_key for file in replaced] + ([locked.rows_key] if locked.rows_key else [])
    locked.files.filter(pk__in=[file.pk for file in replaced]).delete()
    new: list[DatasetFile] = []
    for position, (part, info) in enumerate(zip(parts, result.files, strict=True), start=1):
        facts: dict[str, Any] = {
            "format": info.format,
            "encoding": info.encoding,
            "delimiter": info.delimiter,
            "row_count": info.rows,
            "position": position,
        }
        if part.known is not None:
            locked.files.filter(pk=part.known.pk).update(**facts)
            continue
        new.append(
            DatasetFile.objects.create(
                dataset=locked,
                filename=part.name,
                size=part.stored.size,
                sha256=part.stored.sha256,
                storage_key=part.stored.key,
                uploaded_by=actor,
                **facts,
            )
        )
    formats = {info.format for info in result.files}
    locked.columns = [column.to_json() for column in result.columns]
    locked.row_count = result.rows
    locked.size_bytes = sum(part.stored.size for part in parts)
    locked.format = formats.pop() if len(formats) == 1 else "mixed"
    locked.rows_key, locked.rows_sha256 = rows.key, rows.sha256
    locked.pii_scan_status, locked.quality_score, locked.last_check = PiiStatus.PENDING, None, None
    locked.refresh_digest()
    locked.save()
    audit.record(
        actor=actor,
        action="datasets.dataset.uploaded",
        resource=locked,
        metadata={
            "files": [{"name": file.filename, "size": file.size, "sha256": file.sha256} for file in new],
            "rows": result.rows,
            "digest": locked.digest,
        },
    )
    check = check_start(dataset=locked, actor=actor)
    transaction.on_commit(lambda: _delete_keys(obsolete), robust=True)
    return UploadResult(locked, tuple(new), check)


def _delete_keys(keys: Sequence[str]) -> None:
    for key in keys:
        store().delete(key)


def _discard(place: str, rows_key: str) -> None:
    """Remove what a failed upload left; what cannot be removed now, the sweep removes later."""
    try:
        store().delete_prefix(place)
        store().delete(rows_key)
    except Exception:
        logger.exception("upload_not_discarded", extra={"place": place})
