"""Model servers behind one port: how each is started and spoken to."""

from apps.integrations.runtimes.external import external_upstream
from apps.integrations.runtimes.ports import (
    PORT_PLACEHOLDER,
    Dialect,
    LaunchPlan,
    LaunchRequest,
    Runtime,
    UnsupportedParameter,
    Upstream,
)
from apps.integrations.runtimes.registry import (
    runtime_for_image,
    runtime_for_provider,
    runtime_get,
    runtime_keys,
    runtimes,
)

__all__ = [
    "PORT_PLACEHOLDER",
    "Dialect",
    "LaunchPlan",
    "LaunchRequest",
    "Runtime",
    "UnsupportedParameter",
    "Upstream",
    "external_upstream",
    "runtime_for_image",
    "runtime_for_provider",
    "runtime_get",
    "runtime_keys",
    "runtimes",
]
