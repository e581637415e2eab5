"""The process itself: threads, offline mode, versions, memory, times."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import sys
import time
import warnings
from datetime import UTC, datetime

from workers.contracts import Environment, Resources

_PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "accelerate",
    "safetensors",
    "sacrebleu",
    "rouge-score",
)


def prepare_process(threads: int) -> None:
    """Set what torch and its friends read at import. Call before they are imported.

    Passive waiting matters more than the number of threads: spinning OpenMP threads of two busy processes
    slow each other down many times over. Nothing is ever fetched from the network by a worker.
    """
    for name in (
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "RAYON_NUM_THREADS",
    ):
        os.environ[name] = str(threads)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")  # talk between libraries
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic cuBLAS


def timestamp() -> str:
    """Now in UTC, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def say(message: str) -> None:
    """One readable log line on stdout, at once."""
    print(f"{timestamp()} {message}", flush=True)


def describe(*, device: str, threads: int, gpu_name: str = "") -> Environment:
    """Where this runs and with which versions."""
    packages: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        cpu_count=os.cpu_count() or 1,
        device=device,
        threads=threads,
        packages=packages,
        gpu_name=gpu_name,
    )


def memory_bytes() -> int:
    """Resident memory of this process now; the peak where /proc is missing."""
    try:
        with open("/proc/self/statm", encoding="ascii") as handle:
            return int(handle.read().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return peak_memory_bytes()


def peak_memory_bytes() -> int:
    """Largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class Stopwatch:
    """Wall and CPU time since it was made."""

    def __init__(self) -> None:
        self._wall = time.monotonic()
        self.started_at = timestamp()

    @property
    def wall_seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._wall

    def resources(self, peak_gpu_memory_bytes: int = 0) -> Resources:
        """What the process used until now."""
        return Resources(
            wall_seconds=round(self.wall_seconds, 3),
            cpu_seconds=round(time.process_time(), 3),
            peak_memory_bytes=peak_memory_bytes(),
            peak_gpu_memory_bytes=peak_gpu_memory_bytes,
        )
