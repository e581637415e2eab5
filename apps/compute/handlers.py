"""Where owners of workloads say whom to tell when a workload changes.

A higher app registers its handler in `AppConfig.ready()`. Handlers run inside the transaction of the change:
they must be quick, touch the database only, and enqueue the rest on commit.
"""

from __future__ import annotations

from collections.abc import Callable

from apps.compute.models import Workload

WorkloadHandler = Callable[[Workload, str], None]

BilledResource = Callable[[Workload], object]

_handlers: dict[str, WorkloadHandler] = {}
_billed: dict[str, BilledResource] = {}


def register(owner_type: str, handler: WorkloadHandler, *, billed_as: BilledResource | None = None) -> None:
    """Call `handler(workload, previous_state)` on every change of workloads of `owner_type`.

    `billed_as` names the resource whose costs these are, where that is not the owner itself (a revision's costs are
    its endpoint's).
    """
    _handlers[owner_type] = handler
    if billed_as is not None:
        _billed[owner_type] = billed_as


def billed_resource(workload: Workload) -> str:
    """The id under which the usage of a workload is booked."""
    billed_as = _billed.get(workload.owner_type)
    return str((billed_as(workload) if billed_as is not None else None) or workload.owner_id)


def notify(workload: Workload, previous_state: str) -> None:
    """Tell the owner, if anybody registered for it."""
    handler = _handlers.get(workload.owner_type)
    if handler is not None:
        handler(workload, previous_state)
