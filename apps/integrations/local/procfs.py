"""What /proc knows: identity that survives pid reuse, trees, memory. Linux only, stdlib only."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class ProcStat:
    """One process: `start` is in clock ticks since boot, `rss` in bytes, `cpu` in seconds."""

    pid: int
    state: str
    ppid: int
    session: int
    cpu: float
    start: int
    rss: int


def boot_id() -> str:
    """Return the identity of this boot of the machine ("" where the kernel does not tell)."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def proc_stat(pid: int) -> ProcStat | None:
    """Return what is known about `pid`, or None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            raw = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name may hold blanks and brackets; everything after the last ")" is well-formed.
    fields = raw[raw.rindex(b")") + 2 :].split()
    return ProcStat(
        pid=pid,
        state=fields[0].decode(),
        ppid=int(fields[1]),
        session=int(fields[3]),
        cpu=(int(fields[11]) + int(fields[12])) / TICKS,
        start=int(fields[19]),
        rss=int(fields[21]) * PAGE,
    )


def same_process(pid: int | None, start: int | None) -> bool:
    """Tell whether `pid` is still the process that started at `start` ticks, no corpse, no namesake."""
    if not pid or start is None:
        return False
    stat = proc_stat(pid)
    return stat is not None and stat.start == start and stat.state not in ("Z", "X")


def all_stats() -> list[ProcStat]:
    """Return every process that can be seen."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            stat = proc_stat(int(entry))
            if stat is not None:
                found.append(stat)
    return found


def descendants(root: int) -> list[ProcStat]:
    """Return the living processes below `root` (not `root` itself)."""
    children: dict[int, list[ProcStat]] = {}
    for stat in all_stats():
        children.setdefault(stat.ppid, []).append(stat)
    found: list[ProcStat] = []
    queue = [root]
    while queue:
        for stat in children.get(queue.pop(), ()):
            queue.append(stat.pid)
            if stat.state not in ("Z", "X"):
                found.append(stat)
    return found


def proportional_bytes(pids: list[int]) -> int:
    """Return the proportional set size of `pids`: shared pages are counted once, unlike in RSS sums."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
                for line in file:
                    if line.startswith(b"Pss:"):
                        total += int(line.split()[1]) * 1024
                        break
        except OSError:
            stat = proc_stat(pid)
            total += stat.rss if stat else 0
    return total


def pids_with_environment(marker: str) -> list[int]:
    """Return the processes whose environment holds the entry `marker` ("NAME=value")."""
    wanted = marker.encode()
    found = []
    for stat in all_stats():
        if stat.state in ("Z", "X"):
            continue
        try:
            with open(f"/proc/{stat.pid}/environ", "rb") as file:
                if wanted in file.read().split(b"\0"):
                    found.append(stat.pid)
        except OSError:
            continue
    return found


def send_signal(pid: int, start: int, signum: signal.Signals) -> bool:
    """Signal the very process (pid, start); a recycled pid is never hit. Returns whether it was there."""
    try:
        handle = os.pidfd_open(pid)
    except (ProcessLookupError, OSError):
        return False
    try:
        # The handle pins the process: if the identity holds now, the signal cannot reach anybody else.
        if not same_process(pid, start):
            return False
        signal.pidfd_send_signal(handle, signum)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)


def machine_oom_kills() -> int:
    """Return how many processes the kernel has killed for want of memory since boot."""
    try:
        with open("/proc/vmstat", encoding="ascii") as file:
            for line in file:
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    except OSError:
        return 0
    return 0
