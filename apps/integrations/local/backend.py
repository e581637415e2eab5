"""The local-process backend: starts witnesses, reads what they wrote, ends what must end.

It keeps nothing in memory: everything is in the files of `root`, so any number of processes of the portal may
use it and all may be killed at any moment.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from apps.integrations.local import files, procfs
from apps.integrations.local.environment import workload_environment
from apps.integrations.ports import (
    BackendError,
    Capacity,
    LogChunk,
    Observation,
    ObservedState,
    PodInfo,
    ReasonCode,
    SlotClass,
    WorkloadSpec,
)

MARK = "LLMOPS_WORKLOAD_MARK"
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
SOURCE_ROOT = Path(__file__).resolve().parents[3]
SPAWN_TIMEOUT_SECONDS = 30
TAIL_BYTES = 512 * 1024


class LocalBackend:
    """Runs workloads as processes of this machine. `root` is a folder of this installation alone."""

    name = "local"
    ends_with_portal = True

    def __init__(
        self,
        *,
        root: Path,
        max_jobs: int = 2,
        max_endpoints: int = 4,
        gpus: int = 0,
        port_range: tuple[int, int] = (20000, 20999),
    ) -> None:
        self._root = root
        self._capacity = Capacity(jobs=max_jobs, endpoints=max_endpoints, gpus=gpus)
        self._ports = port_range

    def capacity(self) -> Capacity:
        """Return the places of this machine, from settings."""
        return self._capacity

    def unplaceable(self, spec: WorkloadSpec) -> str:
        """Return why this machine can never run `spec` ("" = it can)."""
        if spec.nodes > 1:
            return f"It asks for {spec.nodes} nodes, and this backend is one machine. Set up one that has several."
        have = self._capacity.gpus
        if spec.gpu_count > have:
            return (
                f"It asks for {spec.gpu_count} GPU(s), and this machine offers {have or 'none'}. "
                "Run it with useGpu=false, or on a backend that has GPUs."
            )
        if self._capacity.of(spec.slot_class) < 1:
            return f"This machine is set up to run no {spec.slot_class.value}s at all."
        return ""

    def check(self) -> str:
        """Return "" when workloads can be started here."""
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self._root).free
        except OSError as error:
            return f"The workload folder {self._root} cannot be used: {error.strerror}."
        if free < 64 * 1024 * 1024:
            return f"The disk of {self._root} is full: {free // 1024 // 1024} MiB left."
        return ""

    # --- starting -----------------------------------------------------------------------------------------

    def submit(self, name: str, spec: WorkloadSpec) -> Observation:
        """Start `spec` under `name` unless that name ever ran; returns what is there now."""
        directory = self._directory(name)
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not (directory / files.STATE).exists():
                request = self._request(name, directory, spec)
                self._spawn(directory, request, spec)
        except (OSError, subprocess.SubprocessError) as error:
            raise BackendError(
                f"The workload “{name}” could not be started: {error}",
                permanent=False,
                remedy="Check free disk space, memory and the process limit of this machine.",
            ) from error
        return self._observe_one(name)

    def _request(self, name: str, directory: Path, spec: WorkloadSpec) -> dict[str, Any]:
        existing = files.read_json(directory / files.REQUEST)
        if existing is not None:
            return existing
        with self._ports_locked():
            port = spec.port if spec.port != 0 else self._free_port(name)
            request = {
                "schema": 1,
                "name": name,
                "nonce": secrets.token_hex(12),
                "command": [argument.replace("{port}", str(port or "")) for argument in spec.command],
                "working_dir": spec.working_dir,
                "memory_bytes": spec.memory_bytes,
                "time_limit_seconds": spec.time_limit_seconds,
                "grace_seconds": spec.grace_seconds,
                "log_max_bytes": spec.log_max_bytes,
                "port": port,
                "nice": 10 if spec.slot_class is SlotClass.JOB else 0,
                "readiness": (
                    {
                        "path": spec.readiness.path,
                        "timeout_seconds": spec.readiness.timeout_seconds,
                        "period_seconds": spec.readiness.period_seconds,
                        "start_seconds": spec.readiness.start_seconds,
                    }
                    if spec.readiness
                    else None
                ),
            }
            files.write_json(directory / files.REQUEST, request)
        return request

    def _spawn(self, directory: Path, request: Mapping[str, Any], spec: WorkloadSpec) -> None:
        own = {MARK: self._mark(request)}
        if request["port"]:
            own["PORT"] = str(request["port"])
        environment = workload_environment(spec.env, spec.secret_env, own)
        with (directory / files.WITNESS_LOG).open("ab") as log:
            os.fchmod(log.fileno(), 0o600)
            # -E: the workload's own PYTHON* variables are for the workload, not for its witness.
            outcome = subprocess.run(
                [sys.executable, "-E", "-S", "-m", "apps.integrations.local.witness", str(directory)],
                cwd=SOURCE_ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                timeout=SPAWN_TIMEOUT_SECONDS,
                check=False,
            )
        if outcome.returncode != 0:
            said = (directory / files.WITNESS_LOG).read_text(errors="replace")[-500:].strip()
            raise BackendError(f"The witness did not start: {said}", permanent=False)

    @staticmethod
    def _mark(request: Mapping[str, Any]) -> str:
        return f"{request['name']}:{request['nonce']}"

    def _ports_locked(self) -> files.FileLock:
        return files.FileLock(self._root / "ports.lock")

    def _free_port(self, name: str) -> int:
        low, high = self._ports
        taken = {request["port"] for request in self._live_requests()}
        count = high - low + 1
        first = zlib.crc32(name.encode()) % count
        for step in range(count):
            port = low + (first + step) % count
            if port not in taken and _can_bind(port):
                return port
        raise BackendError(
            f"No port between {low} and {high} is free.",
            permanent=False,
            remedy="Stop an endpoint, or widen LLMOPS_LOCAL_PORTS.",
        )

    def _live_requests(self) -> Iterator[dict[str, Any]]:
        """Yield the requests whose port may be in use: started and not ended, or about to start."""
        for entry in os.scandir(self._root):
            if not entry.is_dir():
                continue
            directory = Path(entry.path)
            request = files.read_json(directory / files.REQUEST)
            if request is None or not request["port"]:
                continue
            state = files.read_json(directory / files.STATE)
            if state is None or self._is_alive(state):
                yield request

    # --- looking ------------------------------------------------------------------------------------------

    def observe(self, names: Sequence[str]) -> Mapping[str, Observation]:
        """Return what the witnesses wrote. A folder that cannot be read is an error, not an absence."""
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            return {name: self._observe_one(name) for name in names}
        except OSError as error:
            raise BackendError(f"The workload folder could not be read: {error}", permanent=False) from error

    def _observe_one(self, name: str) -> Observation:
        directory = self._directory(name)
        try:
            state = files.read_json(directory / files.STATE)
        except ValueError as error:
            raise BackendError(f"The record of “{name}” is damaged: {error}", permanent=True) from error
        if state is None:
            return Observation(ObservedState.ABSENT)
        common: dict[str, Any] = {
            "exit_code": state["exit_code"],
            "signal": state["signal"],
            "pid": state["child_pid"],
            "address": "127.0.0.1" if state["port"] else "",
            "port": state["port"],
            "started_at": state["started_at"],
            "finished_at": state["finished_at"],
            "peak_memory_bytes": state["peak_memory_bytes"],
            "cpu_seconds": state["cpu_seconds"],
        }
        if state["phase"] == "exited":
            return Observation(_ended(state), ReasonCode(state["reason"]), state["message"], **common)
        if not self._is_alive(state):
            # The witness may have written its last word between our two looks.
            state = files.read_json(directory / files.STATE) or state
            if state["phase"] == "exited":
                return self._observe_one(name)
            self._end_survivors(state)
            return Observation(
                ObservedState.INTERRUPTED,
                ReasonCode.INTERRUPTED,
                "It vanished without an exit record: the machine restarted, or it was killed from outside.",
                **common,
            )
        if state["phase"] == "starting":
            return Observation(ObservedState.STARTING, **common)
        return Observation(ObservedState.READY if state["ready"] else ObservedState.RUNNING, **common)

    @staticmethod
    def _is_alive(state: Mapping[str, Any]) -> bool:
        return (
            state["phase"] != "exited"
            and state["boot"] == procfs.boot_id()
            and procfs.same_process(state["pid"], state["start"])
        )

    def _end_survivors(self, state: Mapping[str, Any]) -> None:
        """End what a killed witness left, found by its mark; a later user of the pid has no such mark."""
        if state["boot"] != procfs.boot_id():
            return
        for pid in procfs.pids_with_environment(f"{MARK}={self._mark(state)}"):
            stat = procfs.proc_stat(pid)
            if stat is not None:
                procfs.send_signal(pid, stat.start, signal.SIGKILL)

    def running_names(self) -> list[str]:
        """Return every name with a living witness."""
        try:
            if not self._root.exists():
                return []
            found = []
            for entry in os.scandir(self._root):
                if entry.is_dir():
                    state = files.read_json(Path(entry.path) / files.STATE)
                    if state is not None and self._is_alive(state):
                        found.append(entry.name)
            return sorted(found)
        except OSError as error:
            raise BackendError(f"The workload folder could not be read: {error}", permanent=False) from error

    def known_names(self) -> list[str]:
        """Return every name that has a folder."""
        try:
            if not self._root.exists():
                return []
            return sorted(entry.name for entry in os.scandir(self._root) if entry.is_dir())
        except OSError as error:
            raise BackendError(f"The workload folder could not be read: {error}", permanent=False) from error

    def pods(self, name: str) -> list[PodInfo]:
        """Return the workload's process as one pod."""
        seen = self._observe_one(name)
        if seen.state is ObservedState.ABSENT:
            return []
        return [
            PodInfo(
                name=name,
                phase=seen.state.value,
                node=socket.gethostname(),
                pid=seen.pid,
                message=seen.message,
            )
        ]

    # --- ending -------------------------------------------------------------------------------------------

    def stop(self, name: str) -> None:
        """Ask the witness to end its workload; unknown or ended names are fine."""
        state = files.read_json(self._directory(name) / files.STATE)
        if state is None or state["phase"] == "exited":
            return
        if not self._is_alive(state):
            self._end_survivors(state)
            return
        try:
            procfs.send_signal(state["pid"], state["start"], signal.SIGTERM)
        except PermissionError as error:
            raise BackendError(
                f"The workload “{name}” belongs to another user of this machine.", permanent=True
            ) from error

    def wait_ended(self, names: Sequence[str], timeout_seconds: float) -> list[str]:
        """Wait until none of `names` is alive; return those that still are when the time is over."""
        until = time.monotonic() + timeout_seconds
        left = list(names)
        while True:
            running = set(self.running_names())
            left = [name for name in left if name in running]
            if not left or time.monotonic() >= until:
                return left
            time.sleep(0.05)

    def remove(self, name: str) -> None:
        """Delete the files of an ended workload."""
        directory = self._directory(name)
        state = files.read_json(directory / files.STATE)
        if state is not None and self._is_alive(state):
            raise BackendError(f"The workload “{name}” is still running.", permanent=False)
        shutil.rmtree(directory, ignore_errors=True)

    # --- logs ---------------------------------------------------------------------------------------------

    def log_read(self, name: str, offset: int, max_bytes: int) -> LogChunk:
        """Return output from `offset` on (negative: from the end), cut at a line end where it is long."""
        directory = self._directory(name)
        if not directory.exists():
            return LogChunk("", offset, offset)
        whole_lines = offset < 0
        if whole_lines:
            offset = max(files.log_end(directory) + offset, 0)
        data, begin = files.log_bytes(directory, offset, max_bytes)
        if whole_lines and begin > 0 and (cut := data.find(b"\n") + 1):
            data, begin = data[cut:], begin + cut
        if len(data) == max_bytes and (cut := data.rfind(b"\n")) >= 0:
            data = data[: cut + 1]
        return LogChunk(data.decode("utf-8", "replace"), begin, begin + len(data))

    def log_tail(self, name: str, lines: int) -> list[str]:
        """Return the last `lines` lines of what is kept."""
        directory = self._directory(name)
        if not directory.exists():
            return []
        end = files.log_end(directory)
        data, begin = files.log_bytes(directory, max(end - TAIL_BYTES, 0), TAIL_BYTES)
        found = data.decode("utf-8", "replace").splitlines()
        if begin > 0 and len(found) > 1:
            found = found[1:]  # begins in the middle of a line
        return found[-lines:] if lines > 0 else []

    def log_chunks(self, name: str) -> Iterator[bytes]:
        """Yield all kept output."""
        directory = self._directory(name)
        return files.log_iterate(directory) if directory.exists() else iter(())

    def _directory(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise BackendError(f"“{name}” is not a workload name.", permanent=True)
        return self._root / name


def _can_bind(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _ended(state: Mapping[str, Any]) -> ObservedState:
    if state["reason"] == ReasonCode.STOPPED:
        return ObservedState.STOPPED
    return ObservedState.SUCCEEDED if state["exit_code"] == 0 and not state["reason"] else ObservedState.FAILED
