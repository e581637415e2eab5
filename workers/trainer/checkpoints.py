"""Checkpoints on disk: which one to go on from, which ones to remove.

A checkpoint counts only when its marker is there. The marker is written last, so a process killed while it
was writing a checkpoint goes on from the one before.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

from workers.contracts import TrainJobSpec, to_plain
from workers.runtime.files import write_atomically

MARKER = "complete.json"
_NAME = re.compile(r"checkpoint-(\d+)")
_IRRELEVANT = (
    "job_id",
    "output_dir",
    "metrics",
    "progress_file",
    "threads",
    "checkpoint",
    "log_every_steps",
)
"""Fields that do not change what is being trained."""


def fingerprint(spec: TrainJobSpec) -> str:
    """Hash of everything in the spec that decides the result. Paths count as they are written."""
    plain = {key: value for key, value in to_plain(spec).items() if key not in _IRRELEVANT}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def mark_complete(directory: Path, print_of_spec: str) -> None:
    """Declare the checkpoint usable."""
    write_atomically(directory / MARKER, json.dumps({"fingerprint": print_of_spec}))


def _numbered(root: Path) -> list[tuple[int, Path]]:
    found = []
    for path in root.glob("checkpoint-*"):
        match = _NAME.fullmatch(path.name)
        if match and path.is_dir():
            found.append((int(match.group(1)), path))
    return sorted(found)


def latest(root: Path, print_of_spec: str) -> tuple[int, Path] | None:
    """(step, directory) of the newest usable checkpoint of the same work; None = start from the beginning."""
    for step, path in reversed(_numbered(root)):
        try:
            marker = json.loads((path / MARKER).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(marker, dict) and marker.get("fingerprint") == print_of_spec:
            return step, path
    return None


def remove_except(root: Path, keep: Path | None) -> None:
    """Remove every checkpoint but `keep`: broken ones, and those of other work."""
    for _, path in _numbered(root):
        if path != keep:
            shutil.rmtree(path, ignore_errors=True)


def prune(root: Path, count: int) -> None:
    """Keep the newest `count` complete checkpoints."""
    complete = [path for _, path in _numbered(root) if (path / MARKER).is_file()]
    for path in complete[:-count]:
        shutil.rmtree(path, ignore_errors=True)
