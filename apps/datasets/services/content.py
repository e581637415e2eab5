"""Reading a dataset's content: the local rows file, and the guards around its use."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from apps.core.errors import Conflict, FieldError, GateRefused, NotFound
from apps.core.ranges import seekable
from apps.core.storage import store
from apps.datasets.models import Dataset
from apps.datasets.reading import Limits, RowsFile
from apps.datasets.selectors import dataset_digest
from apps.datasets.types import DatasetStatus, PiiStatus

_CHUNK = 1024 * 1024


def limits() -> Limits:
    """What an upload may demand, from the settings."""
    return Limits(
        max_cell=settings.DATASETS_MAX_CELL_CHARACTERS,
        max_columns=settings.DATASETS_MAX_COLUMNS,
        max_unpacked=settings.DATASETS_MAX_UNPACKED_BYTES,
    )


@contextmanager
def rows_opened(dataset: Dataset) -> Iterator[RowsFile]:
    """The rows of a dataset as a local file, for as long as the block runs.

    Raises Conflict when nothing was uploaded, NotFound when the store has lost the file.
    """
    if not dataset.has_files:
        raise Conflict(f"{dataset} has no files yet. Upload some first.", code="no_files")
    with store().local_path(dataset.rows_key) as path:
        yield RowsFile(path, dataset.column_list)


@contextmanager
def rows_ranged(dataset: Dataset) -> Iterator[RowsFile]:
    """The rows of a dataset for reading pages: on a remote store only the parts that are read are fetched.

    The file cannot be scanned as a whole. Raises as :func:`rows_opened`.
    """
    if not dataset.has_files:
        raise Conflict(f"{dataset} has no files yet. Upload some first.", code="no_files")
    with seekable(dataset.rows_key) as source:
        yield RowsFile(Path(dataset.rows_key), dataset.column_list, source)


def content_digest(dataset: Dataset) -> str:
    """SHA-256 over rows and columns: what results about the content alone are kept under."""
    facts = [dataset.rows_sha256, dataset.columns]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def usability_errors(dataset: Dataset) -> list[FieldError]:
    """Why the dataset must not be used by a job; empty when it may."""
    errors: list[FieldError] = []
    if dataset.status != DatasetStatus.APPROVED:
        errors.append(
            FieldError("status", "not_approved", f"{dataset} is {dataset.status}; it must be approved by a reviewer.")
        )
    if dataset.pii_scan_status != PiiStatus.CLEAN:
        errors.append(
            FieldError(
                "piiScanStatus",
                "pii_not_clean",
                f"The PII scan of {dataset} is {dataset.pii_scan_status}; it must be clean. Make a redacted version.",
            )
        )
    errors += expiry_errors(dataset)
    if not dataset.has_files:
        errors.append(FieldError("files", "no_files", f"{dataset} has no files."))
    elif dataset.digest != dataset_digest(dataset):
        errors.append(
            FieldError("digest", "digest_changed", f"{dataset} is not what was approved: its digest has changed.")
        )
    return errors


def expiry_errors(dataset: Dataset) -> list[FieldError]:
    """Why the retention keeps the dataset from new jobs and evaluations; empty when it does not."""
    if not dataset.is_expired:
        return []
    text = f"The retention of {dataset} ended on {dataset.retention_until}; no new work may use it."
    return [FieldError("retention", "expired", f"{text} A reviewer may extend it, or it is deleted.")]


def dataset_require_usable(*, dataset: Dataset) -> None:
    """Let a job use the dataset, or raise GateRefused with every reason: approved, PII clean, digest
    intact."""
    errors = usability_errors(dataset)
    if errors:
        raise GateRefused(" ".join(error.message for error in errors), errors=errors)


def dataset_materialise(*, dataset: Dataset, destination: Path) -> Path:
    """Write all rows as one JSON Lines file with the uploaded column names; returns its path.

    ``destination`` is a folder (the file is then ``data.jsonl``) or a path that ends in ``.jsonl``. The
    stored rows are hashed first: raises GateRefused when they are not what was registered, Conflict without
    files.
    """
    target = destination if destination.suffix == ".jsonl" else destination / "data.jsonl"
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    try:
        with rows_opened(dataset) as rows:
            _require_intact(dataset, rows.path)
            with partial.open("wb") as handle:
                handle.writelines(rows.json_lines())
    except NotFound as error:
        raise GateRefused.field(
            "files", "files_missing", f"The stored rows of {dataset} are gone. Upload the files as a new version."
        ) from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(target)
    return target


def _require_intact(dataset: Dataset, path: Path) -> None:
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != dataset.rows_sha256:
        raise GateRefused.field(
            "files",
            "files_changed",
            f"The stored rows of {dataset} are not those that were checked. Upload the files as a new version.",
        )
