"""The installation's pure parts: stamps, disk space, the sets and their pins."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import install
from launcher.console import run_logged
from launcher.paths import ROOT
from launcher.processes import LauncherError

PIN = re.compile(r"^[a-z0-9][a-z0-9._-]*==[^\s;]+(; python_full_version < \"[0-9.]+\")?(  # via .+)?$")


@pytest.mark.parametrize("name", ["base", "workers", "dev", "demo"])
def test_every_requirement_is_pinned(name: str) -> None:
    """Issue 2: what one person installs is what the next one gets."""
    for line in (ROOT / "requirements" / f"{name}.txt").read_text().splitlines():
        assert line.startswith(("#", "-r ")) or PIN.match(line), line


def test_portal_needs_no_torch() -> None:
    """Issue 2: requirements are split; the web image installs without torch."""
    assert not re.search(
        r"^(torch|transformers|peft)==", (ROOT / "requirements" / "base.txt").read_text(), re.MULTILINE
    )


def test_stamp_changes_with_included_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Issue 2: a change in base.txt makes the development set install again."""
    folder = tmp_path / "requirements"
    folder.mkdir()
    (folder / "dev.txt").write_text("-r base.txt\npytest==9\n")
    (folder / "base.txt").write_text("django==5\n")
    monkeypatch.setattr(install, "ROOT", tmp_path)
    before = install.digest_of(*install.requirement_files("dev"))
    (folder / "base.txt").write_text("django==6\n")
    assert install.digest_of(*install.requirement_files("dev")) != before


def test_full_disk_is_told_before_it_is_full() -> None:
    """Issue 2: an installation that cannot fit does not begin."""
    with pytest.raises(LauncherError, match="needs about 1000000 GB of disk"):
        install.check_disk(10**15, "This")
    install.check_disk(1, "This")


def test_old_python_is_told_in_a_sentence(tmp_path: Path) -> None:
    """Issue 2: a wrong Python is told plainly (the check itself, with the version faked)."""
    code = (
        "import sys, runpy\n"
        "sys.version_info = (3, 8, 1)\n"
        f"runpy.run_path({str(ROOT / 'launcher' / 'bootstrap.py')!r}, run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "needs Python 3.11 or newer; this is 3.8" in done.stderr
    assert "Traceback" not in done.stderr


def test_failing_command_shows_its_last_lines_and_the_remedy(tmp_path: Path) -> None:
    """Issue 2: a failure says which step and what to do."""
    with pytest.raises(LauncherError) as caught:
        run_logged(
            [sys.executable, "-c", "print('no space left'); raise SystemExit(4)"],
            log=tmp_path / "log",
            remedy="Free some.",
        )
    text = str(caught.value)
    assert "exit code 4" in text
    assert "no space left" in text
    assert "Free some." in text
    assert "no space left" in (tmp_path / "log").read_text()


def test_lock_file_names_no_registry() -> None:
    """Issue 2: the lock pins by content hash and leaves the place to the machine."""
    text = (ROOT / "package-lock.json").read_text()
    assert '"resolved"' not in text
    assert text.count('"integrity"') >= 8
