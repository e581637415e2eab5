"""Getting rid of bytes: what was deleted, and what broken uploads left behind."""

from __future__ import annotations

import logging
from datetime import timedelta

from apps.catalog.models import DiscardedFiles
from apps.core import clock
from apps.core.errors import DomainError
from apps.core.storage import store
from apps.core.tasks import enqueue

logger = logging.getLogger(__name__)


def files_discard(*, prefix: str, after: timedelta = timedelta(0)) -> None:
    """Note that everything below *prefix* has to go, at once (after commit) or when *after* has passed."""
    DiscardedFiles.objects.update_or_create(prefix=prefix, defaults={"due_at": clock.now() + after})
    if not after:
        enqueue("apps.catalog.tasks.discarded_files_reconcile")


def files_keep(*, prefix: str) -> None:
    """Take back a note: nothing is left below *prefix*."""
    DiscardedFiles.objects.filter(prefix=prefix).delete()


def discarded_files_sweep(*, limit: int = 200) -> int:
    """Delete what is due; returns how many prefixes are gone. What the store refuses stays noted."""
    gone = 0
    for row in DiscardedFiles.objects.filter(due_at__lte=clock.now()).order_by("due_at")[:limit]:
        try:
            store().delete_prefix(row.prefix)
        except (DomainError, OSError) as error:
            logger.warning("discarded_files_remain", extra={"prefix": row.prefix, "error": str(error)})
            continue
        row.delete()
        gone += 1
    return gone
