"""A memory cgroup (v2) around one workload, where this user may make one. Stdlib only.

Where it may not (containers, v1 hierarchies, plain users) the witness watches memory by itself.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


class MemoryCgroup:
    """One group `<root>/llmops/<name>` with a memory limit in bytes that the kernel enforces."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, name: str, memory_bytes: int, root: Path = ROOT) -> MemoryCgroup | None:
        """Make the group, or return None where the system does not let us."""
        try:
            if "memory" not in (root / "cgroup.controllers").read_text(encoding="ascii").split():
                return None
            parent = root / "llmops"
            parent.mkdir(exist_ok=True)
            for folder in (root, parent):
                control = folder / "cgroup.subtree_control"
                if "memory" not in control.read_text(encoding="ascii").split():
                    control.write_text("+memory", encoding="ascii")
            path = parent / name
            path.mkdir(exist_ok=True)
            (path / "memory.max").write_text(str(memory_bytes), encoding="ascii")
            (path / "memory.oom.group").write_text("1", encoding="ascii")
        except OSError:
            return None
        return cls(path)

    def enter(self) -> None:
        """Move the calling process into the group (called between fork and exec)."""
        descriptor = os.open(self.path / "cgroup.procs", os.O_WRONLY)
        os.write(descriptor, b"0")
        os.close(descriptor)

    def oom_killed(self) -> bool:
        """Tell whether the kernel killed anything here for passing the limit."""
        try:
            for line in (self.path / "memory.events").read_text(encoding="ascii").splitlines():
                key, _, value = line.partition(" ")
                if key == "oom_kill":
                    return int(value) > 0
        except OSError:
            return False
        return False

    def remove(self) -> None:
        """Remove the empty group; a busy one is left to the next boot."""
        try:
            self.path.rmdir()
        except OSError:
            return
