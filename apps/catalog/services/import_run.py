"""Doing an import: fetch, check, register. Runs in a worker, and again after that worker died.

Every file is fetched into a work folder of this machine (continued there after a break), checked against the hub's
hash, and put into the store's staging area. Only when all are there is the model made, in one transaction with its
files and its scan: an import that fails leaves no model behind.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from apps.catalog.front_matter import README, README_LIMIT, CardUnreadable, metadata_from_card
from apps.catalog.import_models import IMPORT_TRANSITIONS, ImportSource, ImportStatus, ModelImport
from apps.catalog.services.bundle_read import read_bundle
from apps.catalog.services.entries import model_create
from apps.catalog.services.import_plan import check_limits, plan_files
from apps.catalog.services.imports import checked_identity, forget_files, send
from apps.catalog.services.uploads import file_register, scan_start
from apps.core import audit, clock
from apps.core.crypto import decrypt
from apps.core.errors import DomainError, InfrastructureError, Unavailable
from apps.core.locks import advisory_lock
from apps.core.operations import operation_fail, operation_finish, operation_progress
from apps.core.quantities import readable_bytes
from apps.core.storage import StoredObject, file_chunks, store
from apps.core.transitions import get_locked, transition
from apps.governance.services import authorize
from apps.integrations.huggingface import Hub, HubError, HubFile, model_hub

logger = logging.getLogger(__name__)

REPORT_SECONDS = 2.0
ROOM_KEPT = 500_000_000  # bytes of the work disk that an import leaves free
FIRST_WAIT = 30.0  # seconds; doubles with every attempt
LONGEST_WAIT = 3_600.0
UPLOADING = 0.9  # share of the bar that fetching fills; the rest is registration


class _Cancelled(Exception):
    """Somebody cancelled the import while it ran."""


def import_run(*, import_id: UUID | str) -> str:
    """Do, or continue, an import; returns its status afterwards, ``busy`` while another worker is at it."""
    with advisory_lock(f"catalog-import-{import_id}") as free:
        if not free:
            return "busy"
        row = _claim(import_id)
        if row is None:
            return "ended"
        try:
            if row.source == ImportSource.HUB:
                _fetch_from_hub(row)
            else:
                _unpack_bundle(row)
            _register(row)
        except _Cancelled:
            _clear_work(row)
        except HubError as error:
            _again_or_fail(row, error.code, error.message, retry=error.retry, wait=error.retry_after)
        except (Unavailable, InfrastructureError) as error:
            _again_or_fail(row, error.code, error.message, retry=True)
        except DomainError as error:
            audit.record_denial(error)
            _fail(row, error.code, " ".join(dict.fromkeys([error.message, *(one.message for one in error.errors)])))
        except OSError as error:
            logger.warning("import_interrupted", exc_info=True, extra={"import": str(row.pk)})
            _again_or_fail(row, "local", f"The worker could not write or read: {error.strerror or error}.", retry=True)
        except Exception:
            # Left running, it would be sent to a worker again for ever.
            logger.exception("import_broke_down", extra={"import": str(row.pk)})
            _fail(row, "unexpected", "It broke down unexpectedly. Try again; if it fails again, tell an operator.")
        row.refresh_from_db(fields=["status"])
        return str(row.status)


@transaction.atomic
def _claim(import_id: UUID | str) -> ModelImport | None:
    row = get_locked(ModelImport.objects.select_related("team", "created_by"), import_id, "import")
    if not row.active:
        return None
    if row.status == ImportStatus.QUEUED:
        transition(row, ImportStatus.RUNNING, IMPORT_TRANSITIONS)
    return row


# Fetching


def _fetch_from_hub(row: ModelImport) -> None:
    hub = model_hub(decrypt(row.token_ciphertext) if row.token_ciphertext else "")
    work = _work_folder(row)
    if not row.commit:
        _report(row, 0, "Asking the hub")
        _plan(row, hub, work)
    progress = _Progress(row)
    for number, entry in enumerate(row.files):
        if entry.get("done") and store().exists(row.staging + entry["filename"]):
            continue
        progress.file(entry, number)
        file = HubFile(entry["filename"], entry["size"], entry.get("sha256", ""), entry.get("git_sha1", ""))
        path = work / f"{number}.part"
        sha256 = _fetch(hub, row, file, path, progress)
        with path.open("rb") as content:
            stored = store().put(row.staging + file.path, file_chunks(content))
        if stored.sha256 != sha256:
            raise Unavailable(f"{file.path} changed on its way into the store.")
        path.unlink()
        entry.update(done=True, stored_sha256=sha256)
        row.save(update_fields=["files"])


def _plan(row: ModelImport, hub: Hub, work: Path) -> None:
    found = hub.model(row.repo_id, row.revision)
    plan = plan_files(found.files, row.include)
    check_limits(
        plan,
        file_limit=settings.UPLOAD_MAX_FILE_BYTES,
        total_limit=settings.LLMOPS_HUB_MAX_BYTES,
        free=max(0, shutil.disk_usage(work).free - ROOM_KEPT),
    )
    row.commit = found.commit[:64]
    row.files = [
        {"filename": file.path, "size": file.size, "sha256": file.sha256, "git_sha1": file.git_sha1}
        for file in plan.files
    ]
    row.skipped = list(plan.skipped[:500])
    row.bytes_total = plan.size
    row.save(update_fields=["commit", "files", "skipped", "bytes_total"])


def _fetch(hub: Hub, row: ModelImport, file: HubFile, path: Path, progress: _Progress) -> str:
    """Bring the whole file to *path*, continuing what lies there; returns its SHA-256 after comparing hashes."""
    check = _Check(file)
    if path.exists():
        with path.open("rb") as begun:
            for piece in file_chunks(begun):
                check.add(piece)
        if check.size > file.size:
            path.unlink()
            check = _Check(file)
    if check.size < file.size:
        with hub.download(row.repo_id, row.commit, file.path, start=check.size) as (offset, pieces):
            if offset != check.size:
                check = _Check(file)
            with path.open("ab" if offset else "wb") as out:
                for piece in pieces:
                    check.add(piece)
                    if check.size > file.size:
                        break
                    out.write(piece)
                    progress.bytes(check.size)
    problem = check.problem()
    if problem:
        path.unlink(missing_ok=True)
        # Once more: a proxy in between may have cut or changed it. Always the same means that the hub is wrong.
        raise HubError("hash_differs", problem, retry=True)
    return check.sha256.hexdigest()


class _Check:
    """Size and both hashes of what came in."""

    def __init__(self, file: HubFile) -> None:
        self.file = file
        self.size = 0
        self.sha256 = hashlib.sha256()
        self._git = hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False) if file.git_sha1 else None

    def add(self, piece: bytes) -> None:
        """Count and hash."""
        self.size += len(piece)
        self.sha256.update(piece)
        if self._git is not None:
            self._git.update(piece)

    def problem(self) -> str:
        """Say what differs from what the hub promised; empty when nothing does."""
        file = self.file
        if self.size != file.size:
            return f"{file.path} came with {self.size:,} bytes instead of {file.size:,}."
        if file.sha256 and self.sha256.hexdigest() != file.sha256:
            return f"{file.path} does not have the SHA-256 that the hub names."
        if self._git is not None and self._git.hexdigest() != file.git_sha1:
            return f"{file.path} does not have the hash that the hub names."
        return ""


class _Progress:
    """Tells people and the sweep that it goes on, and notices a cancellation; at most every other second."""

    def __init__(self, row: ModelImport) -> None:
        self._row = row
        self._before = 0
        self._label = ""
        self._told = 0.0

    def file(self, entry: Mapping[str, Any], number: int) -> None:
        """The next file begins."""
        self._before = sum(one["size"] for one in self._row.files if one.get("done"))
        self._label = f"{entry['filename']} (file {number + 1} of {len(self._row.files)})"
        self._tell(0)

    def bytes(self, done: int) -> None:
        """So many bytes of it are here."""
        if time.monotonic() - self._told >= REPORT_SECONDS:
            self._tell(done)

    def _tell(self, done: int) -> None:
        self._told = time.monotonic()
        row = self._row
        here = self._before + done
        text = f"{self._label}: {readable_bytes(here)} of {readable_bytes(row.bytes_total)}"
        _report(row, here, text)


def _report(row: ModelImport, bytes_done: int, text: str) -> None:
    """Store the progress; raises ``_Cancelled`` where the import does not run any more."""
    changed = ModelImport.objects.filter(pk=row.pk, status=ImportStatus.RUNNING).update(
        bytes_done=bytes_done, message=text[:500], updated_at=clock.now()
    )
    if not changed:
        raise _Cancelled
    if row.operation_id is not None:
        share = bytes_done / row.bytes_total if row.bytes_total else 0.0
        operation_progress(row.operation_id, int(100 * UPLOADING * share), text)


def _unpack_bundle(row: ModelImport) -> None:
    """Check a bundle and put its files into staging; name and version come from it where the caller gave none."""
    contents = read_bundle(
        row.bundle_key,
        staging=row.staging,
        file_limit=settings.UPLOAD_MAX_FILE_BYTES,
        total_limit=settings.LLMOPS_HUB_MAX_BYTES,
        report=lambda done, total, text: _bundle_report(row, done, total, text),
    )
    name, version = row.name or contents.name, row.version or contents.version
    # Before anything is saved: a bundle may say what no column holds.
    checked_identity(row.team, name, version, contents.type, row.model_visibility, [], taken=False)
    row.name, row.version, row.type = name, version, contents.type
    row.metadata = contents.metadata
    row.files = [
        {"filename": name, "size": size, "stored_sha256": sha256, "done": True} for name, size, sha256 in contents.files
    ]
    row.bytes_total = sum(entry["size"] for entry in row.files)
    row.save(update_fields=["name", "version", "type", "metadata", "files", "bytes_total"])


def _bundle_report(row: ModelImport, done: int, total: int, text: str) -> None:
    row.bytes_total = total
    _report(row, done, text)


# Registration


@transaction.atomic
def _register(row: ModelImport) -> None:
    """Make the model, move its files into place and start their scan, as the person who asked for it."""
    locked = get_locked(ModelImport.objects.select_related("team", "created_by"), row.pk, "import")
    if locked.status != ImportStatus.RUNNING:
        raise _Cancelled
    actor = row.created_by
    authorize(actor=actor, action="model.import", team=row.team)  # it may have been taken away meanwhile
    model = model_create(
        actor=actor,
        name=row.name,
        version=row.version,
        type=row.type,
        owner_team=row.team,
        metadata=_metadata(row),
        visibility=row.model_visibility,
    )
    try:
        for entry in row.files:
            key = model.storage_prefix + entry["filename"]
            store().move(row.staging + entry["filename"], key)
            stored = StoredObject(key, entry["size"], entry["stored_sha256"])
            file_register(model=model, filename=entry["filename"], stored=stored, key=key, actor=actor)
    except BaseException:
        store().delete_prefix(model.storage_prefix)
        raise
    audit.record(
        actor=actor,
        action="catalog.model.imported",
        resource=model,
        metadata={
            "source": row.source,
            "repo_id": row.repo_id,
            "revision": row.revision,
            "commit": row.commit,
            "files": [{"filename": one["filename"], "sha256": one["stored_sha256"]} for one in row.files],
        },
    )
    scan_start(actor=actor, model=model)
    transition(
        locked,
        ImportStatus.SUCCEEDED,
        IMPORT_TRANSITIONS,
        model=model,
        finished_at=clock.now(),
        token_ciphertext="",
        bytes_done=row.bytes_total,
        message=f"{len(row.files)} files are registered as {model}.",
    )
    if row.operation_id is not None:
        operation_finish(
            row.operation_id,
            {"modelId": str(model.pk), "commit": row.commit, "files": len(row.files), "skipped": row.skipped[:100]},
            message=locked.message,
        )
    forget_files(row)
    transaction.on_commit(lambda: _clear_work(row))


def _metadata(row: ModelImport) -> dict[str, Any]:
    """What the card says, then what the person said, then where it comes from."""
    if row.source == ImportSource.BUNDLE:
        return dict(row.metadata)
    origin = {
        "huggingface_model_id": row.repo_id,
        "huggingface_revision": row.revision,
        "huggingface_commit": row.commit,
    }
    return {**_card(row), **row.metadata, **origin}


def _card(row: ModelImport) -> dict[str, Any]:
    if README not in [entry["filename"] for entry in row.files]:
        return {}
    with store().open(row.staging + README) as file:
        text = file.read(README_LIMIT).decode("utf-8", "replace")
    try:
        return metadata_from_card(text)
    except CardUnreadable as problem:
        # The files are right and the card is for people to write: no reason to lose the import.
        row.skipped = [*row.skipped, f"card: {problem}"]
        return {}


# Ends


def _again_or_fail(row: ModelImport, code: str, message: str, *, retry: bool, wait: int = 0) -> None:
    if retry and row.attempts + 1 < settings.LLMOPS_HUB_ATTEMPTS:
        with transaction.atomic():
            locked = get_locked(ModelImport.objects.all(), row.pk, "import")
            if locked.status != ImportStatus.RUNNING:
                return
            row.attempts = locked.attempts + 1
            seconds = min(LONGEST_WAIT, max(FIRST_WAIT * 2 ** (row.attempts - 1), float(wait)))
            text = f"{message} Attempt {row.attempts + 1} follows by itself."
            transition(
                locked,
                ImportStatus.QUEUED,
                IMPORT_TRANSITIONS,
                attempts=row.attempts,
                error_code=code,
                message=text[:500],
            )
            if row.operation_id is not None:
                operation_progress(row.operation_id, 0, text)
            send(locked, countdown=seconds)
        return
    _fail(row, code, message)


@transaction.atomic
def _fail(row: ModelImport, code: str, message: str) -> None:
    locked = get_locked(ModelImport.objects.all(), row.pk, "import")
    if locked.status != ImportStatus.RUNNING:
        return
    transition(
        locked,
        ImportStatus.FAILED,
        IMPORT_TRANSITIONS,
        error_code=code[:40],
        message=message[:500],
        finished_at=clock.now(),
        token_ciphertext="",
    )
    if row.operation_id is not None:
        operation_fail(row.operation_id, message)
    audit.record(actor=row.created_by, action="catalog.import.failed", resource=locked, metadata={"code": code[:40]})
    if row.source == ImportSource.BUNDLE:
        forget_files(row)


def _work_folder(row: ModelImport) -> Path:
    folder = Path(settings.VAR_DIR) / "work" / "imports" / str(row.pk)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _clear_work(row: ModelImport) -> None:
    shutil.rmtree(Path(settings.VAR_DIR) / "work" / "imports" / str(row.pk), ignore_errors=True)


def work_folders_sweep() -> int:
    """Remove work folders of imports that are over or unknown; returns how many."""
    root = Path(settings.VAR_DIR) / "work" / "imports"
    names = [path.name for path in root.iterdir()] if root.is_dir() else []
    active = {str(pk) for pk in ModelImport.objects.filter(status__in=_KEPT).values_list("pk", flat=True)}
    gone = [name for name in names if name not in active]
    for name in gone:
        shutil.rmtree(root / name, ignore_errors=True)
    return len(gone)


_KEPT = (ImportStatus.QUEUED, ImportStatus.RUNNING)
