"""Running the safety scan over a model's files and writing down what it found."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import transaction

from apps.catalog.front_matter import README
from apps.catalog.models import ModelEntry, ModelFile
from apps.catalog.scanning import FileReport, ModelFacts, Reason, Verdict, scan_directory
from apps.catalog.services.readme import card_fill
from apps.catalog.types import ModelStatus, ScanStatus
from apps.core import audit, clock
from apps.core.operations import operation_fail, operation_finish, operation_latest, operation_progress
from apps.core.storage import store
from apps.core.tasks import enqueue
from apps.core.transitions import get_locked

logger = logging.getLogger(__name__)

OVERDUE = timedelta(minutes=10)  # a scan that takes longer was probably lost; scanning twice is harmless


def model_scan_run(*, model_id: UUID | str, operation_id: UUID | str | None = None) -> str:
    """Scan all files of the model and store verdicts and facts; returns the model's scan status.

    Safe to run twice and beside uploads: a verdict is written only to the very bytes (by hash) that were read.
    """
    model = ModelEntry.objects.filter(pk=model_id).first()
    files = list(model.files.all()) if model is not None else []
    if model is None or not any(file.scan_status == ScanStatus.PENDING for file in files):
        if operation_id is not None:
            operation_finish(operation_id, message="Nothing was left to scan.")
        return model.scan_status if model is not None else ScanStatus.NONE
    workplace = Path(settings.VAR_DIR) / "work" / "scan"
    workplace.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=workplace) as folder:
        reports, facts = _scan(model, files, Path(folder), operation_id)
    status = _store_result(model.pk, files, reports, facts)
    fresh_card = any(file.filename == README and file.scan_status == ScanStatus.PENDING for file in files)
    note = card_fill(model_id=model.pk) if fresh_card else ""
    if operation_id is not None:
        bad = [report.filename for report in reports if report.verdict is not Verdict.SAFE]
        text = f"{len(reports)} files are safe." if not bad else f"Not safe: {', '.join(bad)[:300]}."
        operation_finish(operation_id, {"scanStatus": status, "refused": bad}, message=f"{text} {note}".strip())
    return status


def _scan(
    model: ModelEntry, files: Sequence[ModelFile], folder: Path, operation_id: UUID | str | None
) -> tuple[list[FileReport], ModelFacts]:
    store().download_prefix(model.storage_prefix, folder)
    names = [file.filename for file in files]
    there = [name for name in names if (folder / name).is_file()]

    def progress(done: int, report: FileReport) -> None:
        if operation_id is not None:
            operation_progress(operation_id, 100 * done // len(files), f"Scanned {report.filename}")

    result = scan_directory(
        folder,
        there,
        memory_bytes=settings.CATALOG_SCAN_MEMORY_BYTES,
        seconds=settings.CATALOG_SCAN_SECONDS,
        on_file=progress,
    )
    lost = Reason("missing", "The file is not in the store any more.", "Upload it again.")
    gone = [FileReport(name, "", Verdict.CORRUPT, [lost]) for name in names if name not in there]
    return [*result.files, *gone], result.facts


@transaction.atomic
def _store_result(model_id: UUID, files: Sequence[ModelFile], reports: Sequence[FileReport], facts: ModelFacts) -> str:
    model = get_locked(ModelEntry.objects.all(), model_id)
    hashes = {file.filename: file.sha256 for file in files}
    for report in reports:
        model.files.filter(filename=report.filename, sha256=hashes[report.filename]).update(
            scan_status=report.verdict.value,
            scan_reasons=[reason_json(reason) for reason in report.reasons],
            facts=report.facts,
            scanned_at=clock.now(),
            updated_at=clock.now(),
        )
    before = model.scan_status
    model.scan_status = _combined([file.scan_status for file in model.files.all()])
    if model.scan_status != ScanStatus.PENDING:
        _store_facts(model, facts)
    model.save()
    if model.scan_status != before:
        refused = {report.filename: report.verdict.value for report in reports if report.verdict is not Verdict.SAFE}
        audit.record(
            actor=None,
            action="catalog.model.scanned",
            resource=model,
            metadata={"scan_status": model.scan_status, "refused": refused},
        )
    return str(model.scan_status)


def reason_json(reason: Reason) -> dict[str, str]:
    """The stored form of a reason."""
    return {"code": reason.code, "message": reason.message, "remedy": reason.remedy}


def _combined(states: Sequence[str]) -> ScanStatus:
    for state in (ScanStatus.PENDING, ScanStatus.UNSAFE, ScanStatus.FAILED, ScanStatus.CORRUPT):
        if state in states:
            return state
    return ScanStatus.SAFE if states else ScanStatus.NONE


def _store_facts(model: ModelEntry, facts: ModelFacts) -> None:
    model.architecture = facts.architecture[:200]
    model.detected_family = facts.family[:100]
    model.dtype = facts.dtype[:30]
    model.parameter_count = facts.parameter_count
    model.context_length = facts.context_length
    model.weight_bytes = facts.weight_bytes
    model.memory_bytes = facts.memory_bytes
    model.kv_bytes_per_token = facts.kv_bytes_per_token
    if not model.model_family and model.status == ModelStatus.DRAFT:
        model.model_family = model.detected_family


def scan_failed(*, operation_id: UUID | str | None, message: str) -> None:
    """Tell the person who waits that the scanner itself broke; the files stay unscanned."""
    if operation_id is not None:
        operation_fail(operation_id, message)


def scans_resend() -> int:
    """Send scans that were lost (broker away, worker killed) again; returns how many."""
    late = clock.now() - OVERDUE
    waiting = ModelEntry.objects.filter(scan_status=ScanStatus.PENDING, updated_at__lt=late).values_list(
        "pk", flat=True
    )
    for pk in list(waiting[:500]):
        scan = operation_latest(target_type=ModelEntry.AUDIT_TYPE, target_id=pk, kind="model_scan")
        # An operation that has ended stays as it is; one that is open ends with the scan.
        enqueue("apps.catalog.tasks.model_scan", str(pk), str(scan.pk) if scan is not None else None)
    return len(waiting)
