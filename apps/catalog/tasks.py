"""Background work of the catalog. Every task may run twice, and again after a crash."""

from __future__ import annotations

import logging
from collections.abc import Callable

from celery import shared_task

from apps.catalog.scanning import ScannerBroken
from apps.catalog.services import (
    approvals_check,
    dependents_check,
    discarded_files_sweep,
    model_scan_run,
    model_sign_run,
    model_verify_run,
    scan_failed,
    scans_resend,
    signatures_resend,
)
from apps.catalog.services.exports import exports_resend, model_export_run
from apps.catalog.services.import_run import import_run, work_folders_sweep
from apps.catalog.services.imports import imports_resend
from apps.core.errors import DomainError
from apps.core.operations import operation_fail
from apps.integrations.signing import SigningError

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


@shared_task(name="apps.catalog.tasks.model_sign")
def model_sign(model_id: str, operation_id: str | None = None) -> str:
    """Sign the files of one approved model."""
    return _reading(model_sign_run, model_id, operation_id)


@shared_task(name="apps.catalog.tasks.model_verify")
def model_verify(model_id: str, operation_id: str | None = None) -> str:
    """Verify the signature of one model."""
    return _reading(model_verify_run, model_id, operation_id)


def _reading(run: Callable[..., str], model_id: str, operation_id: str | None) -> str:
    """A store or a key that cannot be read says nothing about the files: the sweep sends the work again."""
    try:
        return run(model_id=model_id, operation_id=operation_id)
    except (DomainError, OSError, SigningError) as error:
        logger.exception("model_files_unread", extra={"model_id": model_id})
        if operation_id is not None:
            operation_fail(operation_id, f"The files could not be read or signed; it will be tried again: {error}")
        return "failed"


@shared_task(name="apps.catalog.tasks.lineage_changed")
def lineage_changed(kind: str, object_id: str) -> int:
    """Something changed that models may have been made of; returns how many approvals lapsed by it."""
    return dependents_check(kind=kind, object_id=object_id)


@shared_task(name="apps.catalog.tasks.discarded_files_reconcile")
def discarded_files_reconcile() -> int:
    """Delete bytes whose rows are gone, and leftovers of broken uploads."""
    return discarded_files_sweep()


@shared_task(name="apps.catalog.tasks.models_reconcile")
def models_reconcile() -> int:
    """Send lost scans and signatures again, let approvals lapse that no longer hold; returns how many were touched."""
    return scans_resend() + approvals_check() + signatures_resend()


@shared_task(name="apps.catalog.tasks.model_import")
def model_import(import_id: str) -> str:
    """Do, or continue, one import."""
    return import_run(import_id=import_id)


@shared_task(name="apps.catalog.tasks.model_export")
def model_export(operation_id: str) -> str:
    """Write one bundle."""
    return model_export_run(operation_id=operation_id)


@shared_task(name="apps.catalog.tasks.transfers_reconcile")
def transfers_reconcile() -> int:
    """Send lost imports and exports again and tidy this machine's work folders; returns how many were touched."""
    return imports_resend() + exports_resend() + work_folders_sweep()
