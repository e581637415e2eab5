"""The witness: a small program that runs one workload, outlives the portal, and writes down how it ended.

Started as `python -m apps.integrations.local.witness DIRECTORY` by the local backend. It detaches itself,
takes the directory's lock (so that one directory is run by one witness, once), starts the command in a
session of its own and then watches: output, time, memory, readiness, a request to stop. Stdlib only.

The workload dies with its witness (PR_SET_PDEATHSIG); whatever it had started besides carries a mark in its
environment by which the backend finds and ends it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from apps.integrations.local import files, procfs
from apps.integrations.local.cgroup import MemoryCgroup
from apps.integrations.local.probe import Probe
from apps.integrations.local.spawn import Started, adopt_orphans, spawn

TICK_SECONDS = 0.5
USAGE_EVERY_SECONDS = 15.0
DRAIN_SECONDS = 2.0


def say(text: str) -> None:
    """Leave a line in the witness's own log."""
    with contextlib.suppress(OSError):
        os.write(2, text.encode() + b"\n")


class Witness:
    """Runs the request in `directory`. `state` is what the file `state.json` shows."""

    def __init__(self, directory: Path, request: dict[str, Any]) -> None:
        self.directory = directory
        self.request = request
        self.state: dict[str, Any] = {
            "schema": 1,
            "name": request["name"],
            "nonce": request["nonce"],
            "boot": procfs.boot_id(),
            "pid": os.getpid(),
            "start": self._own_start(),
            "child_pid": None,
            "child_start": None,
            "port": request["port"],
            "phase": "starting",
            "ready": False,
            "created_at": time.time(),
            "started_at": None,
            "finished_at": None,
            "exit_code": None,
            "signal": None,
            "reason": "",
            "message": "",
            "peak_memory_bytes": 0,
            "cpu_seconds": 0.0,
        }
        self.stop_requested = False
        self.kill_at: float | None = None
        self.why = ""
        self.why_message = ""
        self.peak = 0
        self.oom_before = procfs.machine_oom_kills()
        self.cgroup: MemoryCgroup | None = None

    @staticmethod
    def _own_start() -> int:
        stat = procfs.proc_stat(os.getpid())
        return stat.start if stat else 0

    def save(self, *, durable: bool = False) -> bool:
        """Write the state file; on a full disk the caller tries again later."""
        try:
            files.write_json(self.directory / files.STATE, self.state, durable=durable)
        except OSError as error:
            say(f"state not written: {error}")
            return False
        return True

    def run(self) -> None:
        """Start the command, watch it to its end, record the end."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for ignored in (signal.SIGINT, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_IGN)
        adopt_orphans()
        memory = int(self.request["memory_bytes"])
        if memory:
            self.cgroup = MemoryCgroup.create(self.request["name"], memory)
        try:
            process = spawn(
                self.request["command"],
                working_dir=self.request["working_dir"],
                nice=int(self.request["nice"]),
                before_exec=self.cgroup.enter if self.cgroup else None,
            )
        except OSError as error:
            self._finish_unstarted(error)
            return
        stat = procfs.proc_stat(process.pid)
        self.state.update(
            phase="running",
            started_at=time.time(),
            child_pid=process.pid,
            child_start=stat.start if stat else None,
        )
        self.save()
        self._finish(*self._watch(process, wake_read))

    def _on_stop(self, _signal: int, _frame: FrameType | None) -> None:
        self.stop_requested = True

    def _watch(self, process: Started, wake: int) -> tuple[int, float]:
        """Pump output and enforce limits until the command has ended; return wait status and CPU seconds."""
        log = files.LogWriter(self.directory, int(self.request["log_max_bytes"]))
        selector = selectors.DefaultSelector()
        selector.register(process.output, selectors.EVENT_READ)
        selector.register(wake, selectors.EVENT_READ)
        probe = self._probe()
        began = next_check = time.monotonic()
        next_usage = began + USAGE_EVERY_SECONDS
        status: int | None = None
        cpu = 0.0
        while status is None:
            self._select(selector, wake, log, TICK_SECONDS)
            moment = time.monotonic()
            if self.stop_requested and not self.why:
                self._end(process.pid, "stopped", "It was asked to stop.", moment)
            if self.kill_at is not None and moment >= self.kill_at:
                self._kill_tree(signal.SIGKILL)
            if moment >= next_check:
                next_check = moment + TICK_SECONDS
                self._check_limits(process.pid, moment - began, moment, probe)
            if moment >= next_usage:
                next_usage = moment + USAGE_EVERY_SECONDS
                self.state["peak_memory_bytes"] = self.peak
                self.save()
            status, cpu = self._reap(process.pid, cpu)
        cpu = self._clear_tree(cpu)
        deadline = time.monotonic() + DRAIN_SECONDS
        while process.output in selector.get_map() and time.monotonic() < deadline:
            self._select(selector, wake, log, 0.05)
        log.close()
        return status, cpu

    def _select(self, selector: selectors.BaseSelector, wake: int, log: files.LogWriter, timeout: float) -> None:
        for key, _ in selector.select(timeout):
            if key.fd == wake:
                self._drain_wake(wake)
            elif not self._pump(key.fd, log):
                selector.unregister(key.fd)

    def _probe(self) -> Probe | None:
        settings = self.request["readiness"]
        if not settings or not self.request["port"]:
            return None
        probe = Probe(settings, int(self.request["port"]))
        probe.start()
        return probe

    @staticmethod
    def _drain_wake(wake: int) -> None:
        try:
            while os.read(wake, 512):
                pass
        except BlockingIOError:
            return

    @staticmethod
    def _pump(output: int, log: files.LogWriter) -> bool:
        """Copy what is there; False at the end of the stream."""
        try:
            data = os.read(output, 262144)
        except BlockingIOError:
            return True
        if not data:
            return False
        log.write(data)
        return True

    def _check_limits(self, child: int, age: float, moment: float, probe: Probe | None) -> None:
        tree = procfs.descendants(os.getpid())
        used = sum(stat.rss for stat in tree)
        limit = int(self.request["memory_bytes"])
        if limit and used > limit:
            # RSS counts shared pages once per process; only the proportional figure convicts.
            used = procfs.proportional_bytes([stat.pid for stat in tree])
        self.peak = max(self.peak, used)
        if probe is not None and probe.ready != self.state["ready"]:
            self.state["ready"] = probe.ready
            self.save()
        if self.why:
            return
        seconds = int(self.request["time_limit_seconds"])
        patience = float((self.request["readiness"] or {}).get("start_seconds", 0))
        if limit and used > limit:
            mib = 1024 * 1024
            self.why, self.why_message = "oom", f"It used {used // mib} MiB of {limit // mib} MiB allowed."
            self.kill_at = moment
        elif seconds and age > seconds:
            self._end(child, "deadline", f"It ran longer than the {seconds} seconds allowed.", moment)
        elif probe is not None and patience and not self.state["ready"] and age > patience:
            self._end(child, "not_ready", f"It did not become ready within {patience:g} seconds.", moment)

    def _end(self, child: int, why: str, message: str, moment: float) -> None:
        """Ask the whole group to end, and set the moment at which asking stops."""
        self.why, self.why_message = why, message
        self.kill_at = moment + float(self.request["grace_seconds"])
        try:
            os.killpg(child, signal.SIGTERM)
        except ProcessLookupError:
            return

    @staticmethod
    def _kill_tree(signum: signal.Signals) -> bool:
        """Signal everything below this witness; returns whether anything was there."""
        tree = procfs.descendants(os.getpid())
        for stat in tree:
            procfs.send_signal(stat.pid, stat.start, signum)
        return bool(tree)

    @staticmethod
    def _reap(child: int, cpu: float) -> tuple[int | None, float]:
        """Collect ended children; returns the command's wait status once it is among them."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return None, cpu
            if pid == 0:
                return None, cpu
            cpu += usage.ru_utime + usage.ru_stime
            if pid == child:
                return status, cpu

    def _clear_tree(self, cpu: float) -> float:
        """Nothing that the command started may outlive it."""
        if self._kill_tree(signal.SIGTERM):
            polite_until = time.monotonic() + min(float(self.request["grace_seconds"]), 2.0)
            while procfs.descendants(os.getpid()) and time.monotonic() < polite_until:
                _, cpu = self._reap(-1, cpu)
                time.sleep(0.05)
            while self._kill_tree(signal.SIGKILL):
                _, cpu = self._reap(-1, cpu)
                time.sleep(0.02)
        return self._reap(-1, cpu)[1]

    def _finish(self, status: int, cpu: float) -> None:
        code = os.waitstatus_to_exitcode(status)
        reason, message = self.why, self.why_message
        if self.cgroup is not None:
            if self.cgroup.oom_killed():
                reason, message = "oom", "The kernel ended it for passing its memory limit."
            self.cgroup.remove()
        if not reason and code == -signal.SIGKILL and procfs.machine_oom_kills() > self.oom_before:
            reason, message = "oom", "The machine ran out of memory and the kernel ended it."
        if not reason and code != 0:
            reason = "exit_code"
            message = (
                f"It was ended by signal {-code} ({signal.Signals(-code).name})."
                if code < 0
                else f"It ended with exit code {code}."
            )
        self.state.update(
            phase="exited",
            ready=False,
            finished_at=time.time(),
            exit_code=128 - code if code < 0 else code,
            signal=-code if code < 0 else None,
            reason=reason,
            message=message,
            peak_memory_bytes=self.peak,
            cpu_seconds=round(cpu, 3),
        )
        self._save_end()

    def _finish_unstarted(self, error: OSError) -> None:
        if self.cgroup is not None:
            self.cgroup.remove()
        self.state.update(
            phase="exited",
            finished_at=time.time(),
            exit_code=127,
            reason="binary_missing",
            message=f"{error.strerror}: {error.filename or self.request['command'][0]}",
        )
        self._save_end()

    def _save_end(self) -> None:
        # The end is the one thing that must not be lost: on a full disk, wait for room.
        while not self.save(durable=True):
            time.sleep(1.0)


def main(directory: Path) -> int:
    """Detach, take the lock, run. The caller is released as soon as the state file exists."""
    ready_read, ready_write = os.pipe()
    if os.fork():
        os.close(ready_write)
        answer = os.read(ready_read, 512)
        if answer != b"ok":
            say(answer.decode() or "the witness did not come up")
            return 1
        return 0
    os.close(ready_read)
    os.setsid()
    try:
        lock = os.open(directory / files.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.write(ready_write, b"ok")  # another witness runs this directory
            os._exit(0)
        request = files.read_json(directory / files.REQUEST)
        if request is None:
            raise FileNotFoundError(f"{directory / files.REQUEST} is missing")
        if (directory / files.STATE).exists():
            os.write(ready_write, b"ok")  # it ran already: a name is run once
            os._exit(0)
        witness = Witness(directory, request)
        files.write_json(directory / files.STATE, witness.state)
    except (OSError, ValueError, KeyError) as error:
        os.write(ready_write, f"{type(error).__name__}: {error}".encode()[:500])
        os._exit(1)
    os.write(ready_write, b"ok")
    os.close(ready_write)
    witness.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
