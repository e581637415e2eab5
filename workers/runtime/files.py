"""Files that are either complete or absent."""

from __future__ import annotations

import json
import os
from pathlib import Path

from workers.contracts import Progress, to_plain
from workers.runtime.environment import timestamp


def write_atomically(path: Path, text: str) -> None:
    """Replace `path` with `text`; a reader sees the old content or the new, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


class ProgressFile:
    """The progress file. Failing to write it is never a reason to fail the run."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def update(
        self,
        phase: str,
        percent: float,
        message: str,
        *,
        step: int = 0,
        total_steps: int = 0,
    ) -> None:
        """Replace the file's content."""
        progress = Progress(
            phase=phase,
            percent=round(min(max(percent, 0.0), 100.0), 1),
            message=message,
            step=step,
            total_steps=total_steps,
            updated_at=timestamp(),
        )
        try:
            write_atomically(self._path, json.dumps(to_plain(progress)))
        except OSError:
            return
