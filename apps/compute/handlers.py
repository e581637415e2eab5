"""Where owners of workloads say whom to tell when a workload changes.

A higher app registers its handler in `AppConfig.ready()`. Handlers run inside the transaction of the change:
they must be quick, touch the database only, and enqueue the rest on commit.
"""

from __future__ import annotations

from collections.abc import Callable

from apps.compute.models import Workload

WorkloadHandler = Callable[[Workload, str], None]

_handlers: dict[str, WorkloadHandler] = {}


def register(owner_type: str, handler: WorkloadHandler) -> None:
    """Call `handler(workload, previous_state)` on every change of workloads of `owner_type`."""
    _handlers[owner_type] = handler


def notify(workload: Workload, previous_state: str) -> None:
    """Tell the owner, if anybody registered for it."""
    handler = _handlers.get(workload.owner_type)
    if handler is not None:
        handler(workload, previous_state)
