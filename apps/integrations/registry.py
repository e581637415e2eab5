"""Which adapters this installation uses. The only place that turns settings into adapter objects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock

from django.conf import settings

from apps.integrations.local.backend import LocalBackend
from apps.integrations.ports import BackendError, ComputeBackend

BackendFactory = Callable[[], ComputeBackend]

_factories: dict[str, BackendFactory] = {}
_built: dict[str, ComputeBackend] = {}
_lock = Lock()


def backend_register(name: str, factory: BackendFactory) -> None:
    """Make a compute backend available under `name`; a later registration replaces an earlier one."""
    with _lock:
        _factories[name] = factory
        _built.pop(name, None)


def backend_default_name() -> str:
    """Return the name of the backend that new workloads go to."""
    return str(settings.LLMOPS_COMPUTE_BACKEND)


def compute_backend(name: str = "") -> ComputeBackend:
    """Return the backend `name` ("" = the default one); raises `BackendError` for an unknown name."""
    name = name or backend_default_name()
    with _lock:
        if name not in _built:
            if name not in _factories:
                raise BackendError(
                    f"No compute backend is called “{name}”.",
                    permanent=False,
                    remedy="Set LLMOPS_COMPUTE_BACKEND to one of: " + ", ".join(sorted(_factories)) + ".",
                )
            _built[name] = _factories[name]()
        return _built[name]


def backend_names() -> list[str]:
    """Return the names of the backends that can be used."""
    return sorted(_factories)


def local_backend() -> ComputeBackend:
    """Build the backend of this machine from settings."""
    low, _, high = str(settings.LLMOPS_LOCAL_PORTS).partition("-")
    return LocalBackend(
        root=Path(settings.VAR_DIR) / "compute",
        max_jobs=settings.LLMOPS_LOCAL_MAX_JOBS,
        max_endpoints=settings.LLMOPS_LOCAL_MAX_ENDPOINTS,
        gpus=settings.LLMOPS_LOCAL_GPUS,
        port_range=(int(low), int(high or low)),
    )


backend_register("local", local_backend)
