"""The files of one local workload: who writes which, and how they are read and written whole. Stdlib only.

<root>/<name>/request.json   written once by the backend: command, limits, port (no secrets)
              lock           held (flock) by the witness for as long as it lives
              state.json     written by the witness only, always by rename
              log-<offset>   output; the number is the offset of the first byte, old pieces are dropped
              witness.log    what the witness itself had to say
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STATE = "state.json"
REQUEST = "request.json"
LOCK = "lock"
WITNESS_LOG = "witness.log"
LOG_PREFIX = "log-"


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the object in `path`, or None when the file does not exist."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return data if isinstance(data, dict) else None


def write_json(path: Path, data: dict[str, Any], *, durable: bool = False) -> None:
    """Write `data` so that a reader sees the old or the new content, never half; mode 600."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(data, file)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    os.replace(temporary, path)


class FileLock:
    """An exclusive lock between processes, held for a moment."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> None:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


class LogWriter:
    """Appends output in pieces and drops the oldest ones, so that a chatty process cannot fill the disk."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._piece = max(max_bytes // 4, 4096)
        self._max = max(max_bytes, self._piece)
        self._offset = 0
        self._written = 0
        self._file = self._open()

    def _open(self) -> int:
        path = self._directory / f"{LOG_PREFIX}{self._offset:020d}"
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, data: bytes) -> None:
        """Append; output that the disk does not take is dropped, the workload goes on."""
        view = memoryview(data)
        while view:
            room = self._piece - self._written
            part = view[:room]
            try:
                done = os.write(self._file, part)
            except OSError:
                return
            self._written += done
            self._offset += done
            view = view[done:]
            if self._written >= self._piece:
                os.close(self._file)
                self._written = 0
                self._file = self._open()
                self._drop_old()

    def _drop_old(self) -> None:
        pieces = log_pieces(self._directory)
        while len(pieces) > 1 and self._offset - pieces[0][0] > self._max:
            pieces.pop(0)[1].unlink(missing_ok=True)

    def close(self) -> None:
        """Close the current piece."""
        os.close(self._file)


def log_pieces(directory: Path) -> list[tuple[int, Path]]:
    """Return (offset, file) of every kept piece, oldest first."""
    pieces = [
        (int(entry.name[len(LOG_PREFIX) :]), Path(entry.path))
        for entry in os.scandir(directory)
        if entry.name.startswith(LOG_PREFIX)
    ]
    return sorted(pieces)


def log_bytes(directory: Path, offset: int, max_bytes: int) -> tuple[bytes, int]:
    """Return up to `max_bytes` from `offset` on (or from the oldest kept byte), and where they begin."""
    parts: list[bytes] = []
    begin = max(offset, 0)
    left = max_bytes
    for start, path in log_pieces(directory):
        try:
            size = path.stat().st_size
            if start + size <= begin:
                continue
            if not parts:
                begin = max(begin, start)
            with path.open("rb") as file:
                file.seek(max(begin - start, 0) if not parts else 0)
                data = file.read(left)
        except FileNotFoundError:
            continue
        parts.append(data)
        left -= len(data)
        if left <= 0:
            break
    return b"".join(parts), begin


def log_end(directory: Path) -> int:
    """Return the offset behind the last byte that was written."""
    pieces = log_pieces(directory)
    if not pieces:
        return 0
    start, path = pieces[-1]
    return start + path.stat().st_size


def log_iterate(directory: Path) -> Iterator[bytes]:
    """Yield the kept output in pieces of at most 64 KiB."""
    for _, path in log_pieces(directory):
        try:
            with path.open("rb") as file:
                while chunk := file.read(65536):
                    yield chunk
        except FileNotFoundError:
            continue
