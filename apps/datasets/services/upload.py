"""Uploading files: streamed to the store, read and checked, then registered all at once or not at all."""

from __future__ import annotations

import logging
import secrets
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from apps.accounts.models import User
from apps.core import audit
from apps.core.errors import Conflict, FieldError, ValidationFailed
from apps.core.models import Operation, UploadSession
from apps.core.storage import StoredObject, file_chunks, safe_filename, store
from apps.core.uploads.finishing import uploads_finish
from apps.core.uploads.sessions import upload_cancel, upload_store_whole
from apps.datasets.models import Dataset, DatasetCheck, DatasetFile
from apps.datasets.reading import EXTENSIONS, DataRefused, IncomingFile, ReadResult, file_format
from apps.datasets.reading.apart import read_bounded
from apps.datasets.reading.unpacking import COMPRESSIONS
from apps.datasets.selectors import dataset_get
from apps.datasets.services.access import dataset_locked, require_draft
from apps.datasets.services.checks import check_start
from apps.datasets.services.content import limits
from apps.datasets.types import PiiStatus
from apps.governance.services import authorize

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it arrives: its name, its content in pieces and, where known, its size in bytes."""

    name: str
    chunks: Iterable[bytes]
    size: int | None = None


@dataclass(frozen=True, slots=True)
class UploadResult:
    """What was taken. Files too large for the request are ``waiting`` for a worker: then ``check`` is None and
    ``operation`` tells how far it is."""

    dataset: Dataset
    files: tuple[DatasetFile, ...]
    check: DatasetCheck | None
    waiting: tuple[UploadSession, ...] = ()
    operation: Operation | None = None


def upload_folder() -> str:
    """A name for one upload's place in the store; its time lets the sweep tell old leftovers from work going
    on."""
    return f"{int(time.time()):x}-{secrets.token_hex(4)}"


def dataset_upload(*, actor: User | None, dataset_id: object, files: Sequence[Upload]) -> UploadResult:
    """Add files to a draft; a file of the same name replaces the earlier one. The checks start by themselves.

    All files of the dataset are read together. With any mistake nothing is taken: ValidationFailed holds up
    to a hundred errors with their lines and the count of the rest. More than ``UPLOAD_INLINE_BYTES`` are read by a
    worker. Raises also NotFound, PermissionRefused, Conflict (not a draft; somebody else uploaded meanwhile), TooLarge.
    """
    dataset = dataset_require_uploadable(actor=actor, dataset_id=dataset_id)
    names = checked_names([file.name for file in files])
    size = dataset.size_bytes + sum(file.size or 0 for file in files)
    if size > settings.UPLOAD_INLINE_BYTES:
        return _take_later(actor, dataset, names, files)
    return content_take(actor=actor, dataset=dataset, names=names, contents=[file.chunks for file in files])


def dataset_require_uploadable(*, actor: User | None, dataset_id: object) -> Dataset:
    """The dataset, when ``actor`` may add files to it now. Raises NotFound, PermissionRefused, Conflict."""
    dataset = dataset_get(actor=actor, dataset_id=dataset_id)
    authorize(actor=actor, action="dataset.upload", obj=dataset)
    require_draft(dataset, "take files")
    return dataset


def _take_later(actor: User | None, dataset: Dataset, names: Sequence[str], files: Sequence[Upload]) -> UploadResult:
    kept: list[UploadSession] = []
    try:
        for name, file in zip(names, files, strict=True):
            kept.append(
                upload_store_whole(
                    actor=actor,
                    target_type=Dataset.AUDIT_TYPE,
                    thing=dataset,
                    name=name,
                    chunks=file.chunks,
                    size=file.size or 0,
                )
            )
        operation = uploads_finish(
            actor=actor,
            target_type=Dataset.AUDIT_TYPE,
            target_id=dataset.pk,
            upload_ids=[session.pk for session in kept],
        )
    except BaseException:
        for session in kept:
            upload_cancel(session=session, actor=actor)
        raise
    return UploadResult(dataset, (), None, tuple(kept), operation)


def content_take(
    *, actor: User | None, dataset: Dataset, names: Sequence[str], contents: Sequence[Iterable[bytes]]
) -> UploadResult:
    """Store, read and register files whose names and permissions are checked; see :func:`dataset_upload`."""
    folder = upload_folder()
    place = f"{dataset.storage_prefix}/files/{folder}"
    rows_key = f"{dataset.storage_prefix}/rows/{folder}.parquet"
    try:
        new = {
            name: store().put(f"{place}/{name}", chunks, max_bytes=settings.UPLOAD_MAX_FILE_BYTES)
            for name, chunks in zip(names, contents, strict=True)
        }
        content = content_read(dataset, new, rows_key)
        with transaction.atomic():
            return content_register(actor, dataset, content, new)
    except BaseException:
        discard(place, rows_key)
        raise


@dataclass(frozen=True, slots=True)
class Content:
    """All files of a dataset to be, read together: what was found, and the rows file in the store."""

    known: dict[str, DatasetFile]
    names: tuple[str, ...]
    result: ReadResult
    rows: StoredObject


def content_read(
    dataset: Dataset,
    new: Mapping[str, StoredObject],
    rows_key: str,
    progress: Callable[[int, int], None] | None = None,
) -> Content:
    """Read the registered files together with ``new`` ones (by name, wherever they lie) and store the rows.

    Raises ValidationFailed with the mistakes.
    """
    known = {file.filename: file for file in dataset.files.order_by("position")}
    keys = {name: file.storage_key for name, file in known.items()} | {name: file.key for name, file in new.items()}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=settings.VAR_DIR / "tmp", prefix="rows-")))
        incoming = [IncomingFile(name, stack.enter_context(store().local_path(key))) for name, key in keys.items()]
        target = folder / "rows.parquet"
        try:
            result = read_bounded(
                incoming,
                dataset.type,
                target,
                limits(),
                memory_bytes=settings.DATASETS_READ_MEMORY_BYTES,
                progress=progress,
            )
        except DataRefused as refused:
            raise _refusal(refused) from refused
        with target.open("rb") as handle:
            return Content(known, tuple(keys), result, store().put(rows_key, file_chunks(handle)))


def checked_names(sent: Sequence[str]) -> list[str]:
    """The names of files sent together, made safe. Raises ValidationFailed for what cannot be taken."""
    if not sent:
        raise ValidationFailed.field("files", "required", "Send at least one file in the multipart field “files”.")
    if len(sent) > settings.DATASETS_MAX_FILES:
        raise ValidationFailed.field(
            "files", "too_many", f"{len(sent)} files were sent; at most {settings.DATASETS_MAX_FILES} at a time."
        )
    names: list[str] = []
    for text in sent:
        name = safe_filename(text)
        if file_format(name) is None:
            known = ", ".join(EXTENSIONS)
            packed = ", ".join(COMPRESSIONS)
            raise ValidationFailed.field(
                "files",
                "file_type",
                f"“{name}” is of a kind that is not taken. Upload one of {known}, or one of them as {packed}.",
            )
        if name in names:
            raise ValidationFailed.field("files", "duplicate_name", f"Two files are named “{name}”. Rename one.")
        names.append(name)
    return names


def _refusal(refused: DataRefused) -> ValidationFailed:
    errors = [FieldError("files", problem.code, str(problem)) for problem in refused.problems]
    total = len(errors) + refused.more
    if refused.more:
        errors.append(FieldError("files", "more_errors", f"{refused.more:,} more mistakes are not listed."))
    more = "" if total == 1 else f" ({total:,} mistakes in all; nothing was taken)"
    return ValidationFailed(f"{errors[0].message}{more}", errors=errors, code="files_refused")


def content_register(
    actor: User | None, dataset: Dataset, content: Content, new: Mapping[str, StoredObject]
) -> UploadResult:
    """Write down what was read, inside the caller's transaction; ``new`` says where the new files lie for good."""
    known, result, rows = content.known, content.result, content.rows
    locked = dataset_locked(actor=actor, dataset_id=dataset.pk, action="dataset.upload")
    require_draft(locked, "take files")
    if {file.pk for file in locked.files.all()} != {file.pk for file in known.values()}:
        raise Conflict(f"Somebody else changed the files of {locked} meanwhile. Upload yours again.", code="changed")
    replaced = [file for name, file in known.items() if name in new]
    obsolete = [file.storage_key for file in replaced] + ([locked.rows_key] if locked.rows_key else [])
    locked.files.filter(pk__in=[file.pk for file in replaced]).delete()
    created: list[DatasetFile] = []
    for position, (name, info) in enumerate(zip(content.names, result.files, strict=True), start=1):
        facts: dict[str, Any] = {
            "format": info.format,
            "encoding": info.encoding,
            "delimiter": info.delimiter,
            "row_count": info.rows,
            "position": position,
        }
        if name not in new:
            locked.files.filter(pk=known[name].pk).update(**facts)
            continue
        created.append(
            DatasetFile.objects.create(
                dataset=locked,
                filename=name,
                size=new[name].size,
                sha256=new[name].sha256,
                storage_key=new[name].key,
                uploaded_by=actor,
                **facts,
            )
        )
    formats = {info.format for info in result.files}
    locked.columns = [column.to_json() for column in result.columns]
    locked.row_count = result.rows
    kept = [file.size for name, file in known.items() if name not in new]
    locked.size_bytes = sum(kept) + sum(file.size for file in new.values())
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
            "files": [{"name": file.filename, "size": file.size, "sha256": file.sha256} for file in created],
            "rows": result.rows,
            "digest": locked.digest,
        },
    )
    check = check_start(dataset=locked, actor=actor)
    transaction.on_commit(lambda: _delete_keys(obsolete), robust=True)
    return UploadResult(locked, tuple(created), check)


def _delete_keys(keys: Sequence[str]) -> None:
    for key in keys:
        store().delete(key)


def discard(place: str | None, rows_key: str) -> None:
    """Remove what a failed upload left; what cannot be removed now, the sweep removes later."""
    try:
        if place:
            store().delete_prefix(place)
        store().delete(rows_key)
    except Exception:
        logger.exception("upload_not_discarded", extra={"place": place or rows_key})
