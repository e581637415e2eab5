"""Which code ran: the release, and the commit where the source is a git checkout."""

from __future__ import annotations

from functools import cache
from pathlib import Path

RELEASE = "1.0.0"
ROOT = Path(__file__).resolve().parents[2]


@cache
def code_version() -> str:
    """Return release and commit ("1.0.0+3f2a…"), read from files: no git program is needed."""
    commit = _commit(ROOT / ".git")
    return f"{RELEASE}+{commit[:12]}" if commit else RELEASE


def _commit(git: Path) -> str:
    try:
        head = (git / "HEAD").read_text(encoding="ascii").strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        if (git / name).is_file():
            return (git / name).read_text(encoding="ascii").strip()
        for line in (git / "packed-refs").read_text(encoding="ascii").splitlines():
            commit, _, ref = line.partition(" ")
            if ref == name:
                return commit
    except (OSError, UnicodeDecodeError):
        return ""
    return ""
