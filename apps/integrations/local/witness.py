"""The witness: a small program that runs one workload, outlives the portal, and writes down how it ended.

Started as `python -m apps.integrations.local.witness DIRECTORY` by the local backend. It detaches itself, takes
the directory's lock (so that one directory is run by one witness, once), starts the command in a session of
its own and then watches: output, time, memory, readiness, a request to stop. Standard library only.

The workload dies with its witness (PR_SET_PDEATHSIG); whatever it had started besides carries a mark in its
environment by which the backend finds and ends it.
"""

from __future__ import annotations

import ctypes
import fcntl
import http.client
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

from apps.integrations.local import files, procfs
from apps.integrations.local.cgroup import MemoryCgroup

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
TICK_SECONDS = 0.5
USAGE_EVERY_SECONDS = 15.0
DRAIN_SECONDS = 2.0


class Probe(threading.Thread):
    """Asks the workload over HTTP whether it is ready; three misses in a row take readiness away again."""

    def __init__(self, settings: dict[str, Any], port: int) -> None:
        super().__init__(daemon=True)
        self._settings = settings
        self._port = port
        self.ready = False

    def run(self) -> None:
        """Probe for ever; the thread ends with the process."""
        misses = 0
        while True:
            if self._once():
                misses = 0
                self.ready = True
            else:
                misses += 1
                if misses >= 3:
                    self.ready = False
            time.sleep(self._settings["period_seconds"] * (5 if self.ready and not misses else 1))

    def _once(self) -> bool:
        connection = http.client.HTTPConnection(
            "127.0.0.1", self._port, timeout=self._settings["timeout_seconds"]
        )
        try:
            connection.request("GET", self._settings["path"])
            return 200 <= connection.getresponse().status < 400
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


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
            print(f"state not written: {error}", file=sys.stderr, flush=True)
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
        # Orphans of the workload become our children, so that none can slip out of the tree.
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        memory = int(self.request["memory_bytes"])
        if memory:
            self.cgroup = MemoryCgroup.create(self.request["name"], memory)
        try:
            process = self._start()
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
        status, usage_cpu = self._watch(process, wake_read)
        self._finish(status, usage_cpu)

    def _start(self) -> subprocess.Popen[bytes]:
        cgroup = self.cgroup
        libc = ctypes.CDLL(None, use_errno=True)
        parent = os.getpid()
        nice = int(self.request["nice"])

        def prepare() -> None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:  # the witness died between fork and prctl
                os._exit(137)
            if nice:
                os.nice(nice)
            if cgroup is not None:
                cgroup.enter()

        return subprocess.Popen(
            self.request["command"],
            cwd=self.request["working_dir"] or None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            restore_signals=True,
            preexec_fn=prepare,
        )

    def _on_stop(self, _signal: int, _frame: FrameType | None) -> None:
        self.stop_requested = True

    def _watch(self, process: subprocess.Popen[bytes], wake: int) -> tuple[int, float]:
        """Pump output and enforce limits until the command has ended; return its wait status and CPU seconds."""
        assert process.stdout is not None
        output = process.stdout.fileno()
        os.set_blocking(output, False)
        log = files.LogWriter(self.directory, int(self.request["log_max_bytes"]))
        selector = selectors.DefaultSelector()
        selector.register(output, selectors.EVENT_READ)
        selector.register(wake, selectors.EVENT_READ)
        probe = self._probe()
        began = time.monotonic()
        next_check = began
        next_usage = began + USAGE_EVERY_SECONDS
        status: int | None = None
        cpu = 0.0
        while status is None:
            for key, _ in selector.select(TICK_SECONDS):
                if key.fd == wake:
                    self._drain_wake(wake)
                elif not self._pump(output, log):
                    selector.unregister(output)
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
        process.returncode = os.waitstatus_to_exitcode(status)
        cpu = self._clear_tree(cpu)
        deadline = time.monotonic() + DRAIN_SECONDS
        while output in selector.get_map() and time.monotonic() < deadline:
            for key, _ in selector.select(0.05):
                if key.fd == wake:
                    self._drain_wake(wake)
                elif not self._pump(output, log):
                    selector.unregister(output)
        log.close()
        return status, cpu

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
            print(answer.decode() or "the witness did not come up", file=sys.stderr)
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
    except Exception as error:
        os.write(ready_write, f"{type(error).__name__}: {error}".encode()[:500])
        os._exit(1)
    os.write(ready_write, b"ok")
    os.close(ready_write)
    witness.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
