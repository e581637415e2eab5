"""Operations: background work with a progress that people see and programs poll."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from apps.core import clock
from apps.core.models import Operation, OperationStatus

ENDED = (OperationStatus.SUCCEEDED, OperationStatus.FAILED, OperationStatus.CANCELLED)


def operation_start(
    *, actor: Any, team: Any, kind: str, target_type: str = "", target_id: object = "", message: str = ""
) -> Operation:
    """Record that work was accepted; the task moves it on."""
    return Operation.objects.create(
        created_by=actor,
        team=team,
        kind=kind,
        target_type=target_type,
        target_id=str(target_id),
        message=message,
    )


def _update(operation_id: UUID | str, **fields: Any) -> None:
    Operation.objects.filter(pk=operation_id).exclude(status__in=ENDED).update(updated_at=clock.now(), **fields)


def operation_progress(operation_id: UUID | str, percent: int, message: str = "") -> None:
    """Set progress (0–100) and, when given, the message. An ended operation stays ended."""
    fields: dict[str, Any] = {"status": OperationStatus.RUNNING, "progress": max(0, min(100, percent))}
    if message:
        fields["message"] = message[:500]
    _update(operation_id, **fields)


def operation_finish(operation_id: UUID | str, result: dict[str, Any] | None = None, message: str = "") -> None:
    """End it well."""
    _update(
        operation_id,
        status=OperationStatus.SUCCEEDED,
        progress=100,
        result=result or {},
        message=message[:500],
        finished_at=clock.now(),
    )


def operation_fail(operation_id: UUID | str, message: str, result: dict[str, Any] | None = None) -> None:
    """End it badly, in words that the person who started it can use; ``result`` may list what was wrong."""
    _update(
        operation_id,
        status=OperationStatus.FAILED,
        message=message[:500],
        result=result or {},
        finished_at=clock.now(),
    )


def operation_latest(*, target_type: str, target_id: object, kind: str = "") -> Operation | None:
    """The newest operation on a target, for progress bars."""
    found = Operation.objects.filter(target_type=target_type, target_id=str(target_id))
    return (found.filter(kind=kind) if kind else found).order_by("-created_at").first()
