"""Background work of the catalog. Every task may run twice, and again after a crash."""

from __future__ import annotations

import logging

from celery import shared_task

from apps.catalog.scanning import ScannerBroken
from apps.catalog.services import (
    approvals_check,
    discarded_files_sweep,
    model_scan_run,
    scan_failed,
    scans_resend,
)
from apps.core.errors import DomainError

logger = logging.getLogger(__name__)


@shared_task(name="apps.catalog.tasks.model_scan")
def model_scan(model_id: str, operation_id: str | None = None) -> str:
    """Scan the files of one model."""
    try:
        return model_scan_run(model_id=model_id, operation_id=operation_id)
    except (ScannerBroken, DomainError, OSError) as error:
        # The files stay pending and the sweep sends the scan again; whoever waits is told now.
        logger.exception("model_scan_failed", extra={"model_id": model_id})
        scan_failed(operation_id=operation_id, message=f"The scan could not run and will be tried again: {error}")
        return "failed"


@shared_task(name="apps.catalog.tasks.discarded_files_reconcile")
def discarded_files_reconcile() -> int:
    """Delete bytes whose rows are gone, and leftovers of broken uploads."""
    return discarded_files_sweep()


@shared_task(name="apps.catalog.tasks.models_reconcile")
def models_reconcile() -> int:
    """Send lost scans again and let approvals lapse whose model has changed; returns how many were touched."""
    return scans_resend() + approvals_check()
