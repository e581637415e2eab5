"""Start one command so that it cannot outlive its witness. Stdlib only.

`subprocess` offers no safe place between fork and exec; the witness has one thread at this point, so the two
calls are made here by hand.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Started:
    """A running command: its pid (also its group and session) and the descriptor its output comes from."""

    pid: int
    output: int


def adopt_orphans() -> None:
    """Make orphans of our descendants our children, so that none can slip out of the tree."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def spawn(
    command: Sequence[str], *, working_dir: str, nice: int, before_exec: Callable[[], None] | None = None
) -> Started:
    """Run `command` in a session of its own. Raises OSError when it cannot be executed."""
    output_read, output_write = os.pipe()
    error_read, error_write = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(command, working_dir, nice, before_exec, parent, output_write, error_write)
    os.close(output_write)
    os.close(error_write)
    # The pipe closes on a successful exec; before that it carries the reason of a failed one.
    problem = os.read(error_read, 4096)
    os.close(error_read)
    if problem:
        os.close(output_read)
        os.waitpid(pid, 0)
        number, _, name = problem.decode(errors="replace").partition(":")
        raise OSError(int(number), os.strerror(int(number)), name)
    os.set_blocking(output_read, False)
    return Started(pid, output_read)


def _become(
    command: Sequence[str],
    working_dir: str,
    nice: int,
    before_exec: Callable[[], None] | None,
    parent: int,
    output: int,
    error: int,
) -> NoReturn:
    try:
        os.setsid()
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # the witness died before it could take us along
            os._exit(137)
        signal.set_wakeup_fd(-1)
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(signum, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        if nice:
            os.nice(nice)
        if before_exec is not None:
            before_exec()
        if working_dir:
            os.chdir(working_dir)
        os.execvp(command[0], list(command))
    except OSError as failure:
        name = failure.filename or command[0]
        with contextlib.suppress(OSError):
            os.write(error, f"{failure.errno or 1}:{name}".encode())
    finally:
        os._exit(127)
