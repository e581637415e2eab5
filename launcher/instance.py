"""One portal per var folder: a locked file tells who runs it; a port that is taken is told with its owner."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from launcher.processes import LauncherError, process_command

LOCK_FILE = "portal.lock"


@dataclass(frozen=True)
class Instance:
    """A portal that runs: its supervisor's pid and its address."""

    pid: int
    url: str


def running_instance(var: Path) -> Instance | None:
    """Who holds the lock of this var folder; None when nobody does, whatever a dead one left in the file."""
    path = var / LOCK_FILE
    try:
        handle = path.open("r+")
    except FileNotFoundError:
        return None
    with handle:
        if _lock(handle):
            return None
        return _read(handle)


def claim_instance(var: Path, url: str) -> IO[str]:
    """Take the lock for this process; keep the result open for as long as the portal runs."""
    var.mkdir(parents=True, exist_ok=True)
    handle = (var / LOCK_FILE).open("a+")
    if not _lock(handle):
        other = _read(handle)
        handle.close()
        raise LauncherError(
            f"The portal of this folder is running already: {other.url} (pid {other.pid}). "
            f"Use that one, or end it (Ctrl-C in its terminal, or kill {other.pid}). "
            "A second one needs its own PORT and LLMOPS_VAR_DIR."
        )
    handle.seek(0)
    handle.truncate()
    json.dump({"pid": os.getpid(), "url": url}, handle)
    handle.flush()
    return handle


def _lock(handle: IO[str]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(handle: IO[str]) -> Instance:
    handle.seek(0)
    try:
        data = json.load(handle)
        return Instance(int(data["pid"]), str(data["url"]))
    except (ValueError, KeyError, TypeError):
        return Instance(0, "address unknown, it is just starting")


def check_port(host: str, port: int) -> None:
    """Refuse a port that cannot be listened on, naming who has it and what to do."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise LauncherError(_port_message(host, port, error)) from error


def _port_message(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        owner = port_owner(port)
        by = f" by pid {owner} ({process_command(owner)[:80]})" if owner else " by another program"
        return f"Port {port} is taken{by}. End that, or choose another: make run PORT={port + 1}"
    if error.errno == errno.EACCES:
        return f"Port {port} is reserved for root. Choose one above 1023: make run PORT=8000"
    return f"Cannot listen on {host}:{port}: {error.strerror}. HOST and PORT say where to listen."


def port_owner(port: int) -> int | None:
    """Pid of the process that listens on a TCP port, as far as /proc lets us see."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:  # 0A: listening
                inodes.add(f"socket:[{fields[9]}]")
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if any(os.readlink(entry) in inodes for entry in (folder / "fd").iterdir()):
                return int(folder.name)
        except OSError:
            continue
    return None
