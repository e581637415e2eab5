"""From `useGpu` and `resourceProfile` to what a job gets."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.conf import settings

from apps.core.quantities import cpu_cores, memory_bytes
from apps.training.selectors import gpu_types
from apps.training.services.problems import Problems
from apps.training.types import JobType, Resources

GIB = 2**30
MAX_GPUS = 1024
MAX_NODES = 256
KNOWN = {"gpuCount", "gpuType", "maxDuration", "cpuCores", "memory", "nodes"}


def whole_number(value: Any) -> int | None:
    """Return an integer that was sent as one (3, 3.0, "3"), else None. True is not a number."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) else None


def resources_from(
    profile: Mapping[str, Any], *, use_gpu: bool, job_type: str, problems: Problems, warnings: list[str]
) -> Resources:
    """Read a resource profile; what is wrong goes to `problems`, what is ignored to `warnings`."""
    limits = settings.TRAINING_LIMITS[use_gpu]
    unknown = sorted(set(profile) - KNOWN)
    if unknown:
        warnings.append(f"resourceProfile: unknown keys were ignored: {', '.join(map(str, unknown))[:200]}.")
    gpu_count, gpu_type = _gpus(profile, use_gpu, problems, warnings)
    nodes = _count(profile, "nodes", 1, MAX_NODES, 1, problems)
    minutes = _count(profile, "maxDuration", 1, settings.TRAINING_MAX_MINUTES, settings.TRAINING_MAX_MINUTES, problems)
    if job_type == JobType.DISTRIBUTED and nodes < 2 and gpu_count < 2:
        if use_gpu:
            text = "A distributed job needs at least 2 GPUs (gpuCount) or 2 nodes."
            problems.add("resourceProfile.gpuCount", "too_few", text)
        else:
            problems.add("resourceProfile.nodes", "too_few", "A distributed job on CPU needs at least 2 nodes.")
    return Resources(
        cpu=_cores(profile.get("cpuCores"), limits["cpu_limit"], problems),
        memory_bytes=_memory(profile.get("memory"), limits["memory_limit"], problems),
        gpu_count=gpu_count,
        gpu_type=gpu_type,
        nodes=nodes,
        minutes=minutes,
    )


def _gpus(profile: Mapping[str, Any], use_gpu: bool, problems: Problems, warnings: list[str]) -> tuple[int, str]:
    if not use_gpu:
        if profile.get("gpuCount") or profile.get("gpuType"):
            warnings.append("useGpu is false: gpuCount and gpuType of resourceProfile were ignored.")
        return 0, ""
    count = _count(profile, "gpuCount", 1, MAX_GPUS, 1, problems)
    kind = profile.get("gpuType")
    if kind in (None, ""):
        return count, ""
    offered = [item.id for item in gpu_types() if item.enabled]
    if kind not in offered:
        text = f"There is no GPU type {str(kind)[:40]!r}. Offered: {', '.join(offered) or 'none'}."
        problems.add("resourceProfile.gpuType", "unknown", text)
        return count, ""
    return count, str(kind)


def _count(profile: Mapping[str, Any], key: str, low: int, high: int, default: int, problems: Problems) -> int:
    value = profile.get(key)
    if value is None:
        return default
    number = whole_number(value)
    if number is None or not low <= number <= high:
        text = f"{key} must be a whole number between {low} and {high}."
        problems.add(f"resourceProfile.{key}", "invalid", text)
        return default
    return number


def _cores(value: Any, default: str, problems: Problems) -> Decimal:
    if value is None:
        return cpu_cores(default)
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError("cpuCores must be a number of cores, like 2 or 500m.")
        return cpu_cores(str(value))
    except ValueError as error:
        problems.add("resourceProfile.cpuCores", "invalid", str(error))
        return Decimal(1)


def _memory(value: Any, default: str, problems: Problems) -> int:
    if value is None:
        return memory_bytes(default)
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError("memory must be a quantity like 4Gi, or a number of GiB.")
        # A bare number of bytes would be absurd here: people write 8 and mean gibibytes.
        text = f"{value}Gi" if isinstance(value, int | float) and value < 65536 else str(value)
        return memory_bytes(text)
    except ValueError as error:
        problems.add("resourceProfile.memory", "invalid", str(error))
        return GIB
