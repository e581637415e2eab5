"""Enqueueing background work after commit, and the base for what tasks do about errors."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from celery import current_app, shared_task
from django.conf import settings
from django.db import transaction

from apps.core import audit, clock
from apps.core.errors import DomainError
from apps.core.models import IdempotencyKey

logger = logging.getLogger(__name__)


def enqueue(task_name: str, *args: Any, countdown: float | None = None) -> None:
    """Send a task once the current transaction commits.

    A broker that is away does not fail the caller: the row already says what is to be done, and a sweep sends it again.
    """

    def send() -> None:
        try:
            _task(task_name).apply_async(args=args, countdown=countdown)
        except (OSError, *current_app.connection().connection_errors) as error:
            logger.warning("task_not_sent", extra={"task": task_name, "error": str(error)})

    transaction.on_commit(send)


def _task(name: str) -> Any:
    """The registered task. Only workers import all task modules at start; other processes do it at the first need."""
    if name not in current_app.tasks:
        current_app.loader.import_default_modules()
    return current_app.tasks[name]


def recording_denials(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator for task bodies that act for a person: a refusal is audited, then raised on."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except DomainError as error:
            audit.record_denial(error)
            raise

    return wrapper


@shared_task(name="apps.core.tasks.idempotency_keys_purge")
def idempotency_keys_purge() -> int:
    """Forget idempotency keys past their time. Returns how many."""
    limit = clock.now() - timedelta(hours=settings.IDEMPOTENCY_HOURS)
    return IdempotencyKey.objects.filter(created_at__lt=limit).delete()[0]
