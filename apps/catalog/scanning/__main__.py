"""The scanner process: ``python -m apps.catalog.scanning DIRECTORY`` with the file names as JSON on stdin.

Speaks one JSON object per line on stdout: ``{"start": filename}`` before and the report after each file. It
limits its own memory, processor time and writing before it opens anything, so that a hostile file costs at
most this process.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path

from apps.catalog.scanning.directory import scan_files


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def main() -> int:
    """Read the order from stdin, write reports to stdout; exit 0 when every file has its report."""
    directory = Path(sys.argv[1])
    order = json.load(sys.stdin)
    _limit(resource.RLIMIT_AS, int(order["memory_bytes"]))
    _limit(resource.RLIMIT_CPU, int(order["cpu_seconds"]))
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, 64)
    os.umask(0o077)
    out = sys.stdout
    filenames: list[str] = order["filenames"]
    reports = scan_files(directory, filenames, siblings=set(order["siblings"]))
    for filename in filenames:
        out.write(json.dumps({"start": filename}) + "\n")
        out.flush()
        out.write(json.dumps(next(reports).to_json()) + "\n")
        out.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
