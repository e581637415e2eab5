"""Reading in a process of its own, whose memory is limited, where a library decides how much it takes.

Text is read here line by line with our own bounds. Parquet is decoded by Arrow, which allocates what the file's pages
ask for; a hostile file costs at most that process.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from apps.datasets.reading import IncomingFile, ReadResult, compression_of, file_format, read_files
from apps.datasets.reading.base import FileInfo
from apps.datasets.reading.limits import MIB, Limits
from apps.datasets.reading.problems import DataRefused, Problem
from apps.datasets.types import Column

ROOT = Path(__file__).resolve().parents[3]
SILENCE = 900.0  # seconds without a word after which reading is given up
_LINE_LIMIT = 64 * MIB
# One thread each: the limit on address space counts their stacks, and the worker shares the machine.
_CALM = {
    "POLARS_MAX_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "ARROW_IO_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}


def read_bounded(
    files: Sequence[IncomingFile],
    dataset_type: str,
    destination: Path,
    limits: Limits,
    *,
    memory_bytes: int,
    progress: Callable[[int, int], None] | None = None,
) -> ReadResult:
    """Like :func:`read_files`, in bounded memory whatever the files are. Raises DataRefused."""
    if all(file_format(file.name) in {"csv", "jsonl", None} for file in files):
        return read_files(files, dataset_type, destination, limits, progress)
    return _read_apart(files, dataset_type, destination, limits, memory_bytes, progress)


def _read_apart(
    files: Sequence[IncomingFile],
    dataset_type: str,
    destination: Path,
    limits: Limits,
    memory_bytes: int,
    progress: Callable[[int, int], None] | None,
) -> ReadResult:
    order = {
        "files": [[file.name, str(file.path)] for file in files],
        "dataset_type": dataset_type,
        "limits": asdict(limits),
        "memory_bytes": memory_bytes,
    }
    # It works in a folder of its own, so that what a killed reader leaves goes away too.
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix="apart-") as folder:
        written = Path(folder) / "rows.parquet"
        order["destination"] = str(written)
        process = subprocess.Popen(
            [sys.executable, "-m", "apps.datasets.reading"],
            cwd=ROOT,
            env={"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", **_CALM},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            answer = _converse(process, json.dumps(order).encode(), progress)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if answer is None:
            raise DataRefused([_too_expensive(files, memory_bytes)])
        if "refused" in answer:
            raise DataRefused([Problem(**problem) for problem in answer["refused"]], answer["more"])
        written.replace(destination)
    return _result(answer["result"])


def _too_expensive(files: Sequence[IncomingFile], memory_bytes: int) -> Problem:
    blamed = next(
        (file for file in files if file_format(file.name) == "parquet" or compression_of(file.name)), files[0]
    )
    return Problem(
        blamed.name,
        "too_expensive",
        f"Reading the file broke down or needs more than {memory_bytes // MIB:,} MiB of memory. Write it with smaller "
        "row groups, pages and values, or upload it as JSONL.",
    )


def _converse(
    process: subprocess.Popen[bytes], order: bytes, progress: Callable[[int, int], None] | None
) -> dict[str, Any] | None:
    """Give the order, hand progress on, return the last word; None when the process died or fell silent."""
    if process.stdin is None or process.stdout is None:
        return None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(order)
        process.stdin.close()
    buffer = b""
    deadline = time.monotonic() + SILENCE
    with process.stdout as pipe, selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            chunk = os.read(pipe.fileno(), 65_536)
            if not chunk:
                return None
            buffer += chunk
            if len(buffer) > _LINE_LIMIT:
                return None
            *lines, buffer = buffer.split(b"\n")
            for line in lines:
                deadline = time.monotonic() + SILENCE
                message: dict[str, Any] = json.loads(line)
                if "progress" not in message:
                    return message
                if progress is not None:
                    progress(*message["progress"])
    return None


def result_json(result: ReadResult) -> dict[str, Any]:
    """What the reading process says at its end."""
    return {
        "columns": [column.to_json() for column in result.columns],
        "rows": result.rows,
        "files": [
            {**asdict(info), "kinds": {name: sorted(kinds) for name, kinds in info.kinds.items()}}
            for info in result.files
        ],
        "required": list(result.required),
    }


def _result(said: dict[str, Any]) -> ReadResult:
    return ReadResult(
        tuple(Column.from_json(column) for column in said["columns"]),
        said["rows"],
        tuple(
            FileInfo(**{**info, "kinds": {name: set(kinds) for name, kinds in info["kinds"].items()}})
            for info in said["files"]
        ),
        tuple(said["required"]),
    )
