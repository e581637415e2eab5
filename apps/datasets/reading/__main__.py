"""The reading process: ``python -m apps.datasets.reading`` with its order as JSON on stdin.

Speaks one JSON object per line on stdout: ``{"progress": [done, all]}`` on the way, at the end ``{"result": …}`` or
``{"refused": […], "more": n}``. It limits its own memory before it opens anything.
"""

from __future__ import annotations

import json
import resource
import sys
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa

from apps.datasets.reading import DataRefused, IncomingFile, Limits, Problem, read_files
from apps.datasets.reading.apart import result_json


def _say(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Read as ordered; exit 0 when the last word was said."""
    order = json.load(sys.stdin)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = int(order["memory_bytes"])
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pa.set_cpu_count(1)
    files = [IncomingFile(name, Path(path)) for name, path in order["files"]]
    shown = -1

    def progress(done: int, whole: int) -> None:
        nonlocal shown
        percent = 100 * done // max(1, whole)
        if percent != shown:
            shown = percent
            _say({"progress": [done, whole]})

    try:
        result = read_files(
            files, order["dataset_type"], Path(order["destination"]), Limits(**order["limits"]), progress
        )
    except DataRefused as refused:
        _say({"refused": [asdict(problem) for problem in refused.problems], "more": refused.more})
    except MemoryError:
        text = f"Reading needs more than {limit // 1024**2:,} MiB of memory. Use smaller row groups, pages and values."
        _say({"refused": [asdict(Problem(files[0].name, "too_expensive", text))], "more": 0})
    else:
        _say({"result": result_json(result)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
