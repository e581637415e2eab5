"""Finds a Chromium for the browser tests, installs one where that is easy; without one those tests skip."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from launcher.console import run_logged, step
from launcher.install import log_path, npm_command
from launcher.paths import ROOT
from launcher.processes import LauncherError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
NPM_PACKAGE = "@sparticuz/chromium@153.0.0"
UNPACK = "import('@sparticuz/chromium').then(async m => console.log(await m.default.executablePath()))"


def find_chromium() -> str | None:
    """Path of a Chromium that starts: LLMOPS_CHROMIUM, the system's, or the one that we fetched earlier."""
    candidates = [os.environ.get("LLMOPS_CHROMIUM", ""), *(shutil.which(name) or "" for name in NAMES)]
    candidates.append(str(ROOT / "var" / "chromium" / "chromium"))
    return next((path for path in candidates if path and _starts(path)), None)


def provide_chromium() -> str | None:
    """`find_chromium`, else try to install one: the distribution's as root, else npm's packed binary."""
    found = find_chromium()
    if found or os.environ.get("LLMOPS_INSTALL") == "none":
        return found
    for attempt in (_by_apt, _by_npm):
        try:
            attempt()
        except LauncherError as error:
            print(f"    {str(error).splitlines()[0]}")
        found = find_chromium()
        if found:
            return found
    return None


def _starts(path: str) -> bool:
    try:
        done = subprocess.run([path, "--version"], capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _by_apt() -> None:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with step("installing Chromium with apt-get (for the browser tests)") as status:
        run_logged(["apt-get", "update", "-q"], log=log_path(), status=status, env=quiet)
        command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "chromium"]
        run_logged(command, log=log_path(), status=status, env=quiet)


def _by_npm() -> None:
    folder = ROOT / "var" / "chromium"
    folder.mkdir(parents=True, exist_ok=True)
    with step("fetching a packed Chromium with npm (for the browser tests)") as status:
        npm = npm_command(status)
        install = [
            *npm,
            "install",
            "--prefix",
            str(folder),
            "--no-audit",
            "--no-fund",
            "--no-save",
            NPM_PACKAGE,
        ]
        run_logged(install, log=log_path(), status=status, cwd=folder)
        node = npm[0] if npm[0].endswith("node") else "node"
        output = run_logged([node, "--input-type=module", "-e", UNPACK], log=log_path(), status=status, cwd=folder)
        unpacked = Path(output.strip().splitlines()[-1])
        if unpacked.exists():
            shutil.copy2(unpacked, folder / "chromium")
