"""Background work of uploads."""

from __future__ import annotations

from celery import shared_task

from apps.core.uploads import finishing, sessions


@shared_task(name="apps.core.uploads.tasks.upload_finish")
def upload_finish(operation_id: str) -> None:
    """Take received files into their target; harmless when it was done already or another worker does it."""
    finishing.upload_finish_run(operation_id)


@shared_task(name="apps.core.uploads.tasks.uploads_reconcile")
def uploads_reconcile() -> int:
    """Send lost work again; end abandoned uploads and remove their bytes. Returns how many were touched."""
    return finishing.uploads_resend() + sessions.uploads_expire() + sessions.uploads_forget()
