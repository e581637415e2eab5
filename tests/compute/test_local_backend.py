"""The local backend against real processes: limits, ends, identity, logs (P-7, P-8, FR-004e)."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.integrations.local import files, procfs
from apps.integrations.local.backend import LocalBackend
from apps.integrations.local.cgroup import MemoryCgroup
from apps.integrations.ports import (
    BackendError,
    ComputeBackend,
    HttpProbe,
    Observation,
    ObservedState,
    ReasonCode,
    SlotClass,
    WorkloadSpec,
)
from tests.compute.programs import FOREVER, STUBBORN, alive, eventually, python


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[LocalBackend]:
    """A backend with a folder of its own; whatever a test leaves running is ended."""
    found = LocalBackend(root=tmp_path / "compute", port_range=(21000, 21999))
    yield found
    for name in found.running_names():
        state = read_state(found, name)
        if state["child_pid"]:
            os.killpg(int(str(state["child_pid"])), signal.SIGKILL)
    assert found.wait_ended(found.running_names(), 10) == []


def read_state(backend: LocalBackend, name: str) -> dict[str, object]:
    data = files.read_json(backend._root / name / files.STATE)
    assert data is not None
    return data


def look(backend: LocalBackend, name: str) -> Observation:
    return backend.observe([name])[name]


def until(backend: LocalBackend, name: str, *states: ObservedState) -> Observation:
    eventually(lambda: look(backend, name).state in states, what=f"{name} in {states}")
    return look(backend, name)


def test_local_backend_keeps_the_port(backend: LocalBackend) -> None:
    """P-7: the local backend is one implementation of the compute port."""
    assert isinstance(backend, ComputeBackend)


def test_process_that_ends_well_is_succeeded(backend: LocalBackend) -> None:
    """P-8: the exit record holds code, times and usage."""
    backend.submit("good", python("print('hello')"))
    seen = until(backend, "good", ObservedState.SUCCEEDED)
    assert (seen.exit_code, seen.reason) == (0, ReasonCode.NONE)
    assert seen.started_at is not None
    assert seen.finished_at is not None
    assert seen.finished_at >= seen.started_at
    assert backend.log_tail("good", 10) == ["hello"]


@pytest.mark.parametrize(
    ("code", "exit_code", "words"),
    [
        ("raise SystemExit(3)", 3, "exit code 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", 139, "SIGSEGV"),
    ],
)
def test_process_that_fails_says_how(backend: LocalBackend, code: str, exit_code: int, words: str) -> None:
    """FR-004e: an exit code or a signal is told in plain words."""
    backend.submit("bad", python(code))
    seen = until(backend, "bad", ObservedState.FAILED)
    assert (seen.exit_code, seen.reason) == (exit_code, ReasonCode.EXIT_CODE)
    assert words in seen.message


def test_missing_program_is_a_reason_of_its_own(backend: LocalBackend) -> None:
    """FR-004e: a program that is not there is not an exit code."""
    seen = backend.submit("nothing", WorkloadSpec(command=("/no/such/program",)))
    seen = until(backend, "nothing", ObservedState.FAILED)
    assert seen.reason is ReasonCode.BINARY_MISSING
    assert "/no/such/program" in seen.message


def test_time_limit_ends_the_whole_group(backend: LocalBackend) -> None:
    """FR-004g: the time limit is enforced, on children too, and on those that ignore the request."""
    code = f"import subprocess, sys\nsubprocess.run([sys.executable, '-S', '-c', {STUBBORN!r}])"
    backend.submit("long", python(code, time_limit_seconds=1, grace_seconds=0.3))
    seen = until(backend, "long", ObservedState.FAILED)
    assert seen.reason is ReasonCode.DEADLINE
    assert "1 seconds" in seen.message
    marked = f"LLMOPS_WORKLOAD_MARK={mark(backend, 'long')}"
    eventually(lambda: procfs.pids_with_environment(marked) == [], what="the end of the whole group")


def test_memory_limit_is_enforced_over_the_tree(backend: LocalBackend) -> None:
    """FR-004e: passing the memory limit is OOM with figures; the peak is recorded."""
    code = "import time\nx = bytearray(120 * 2**20)\nfor i in range(0, len(x), 4096): x[i] = 1\ntime.sleep(60)"
    backend.submit("fat", python(code, memory_bytes=60 * 2**20))
    seen = until(backend, "fat", ObservedState.FAILED)
    assert seen.reason is ReasonCode.OOM
    assert "of 60 MiB allowed" in seen.message
    assert (seen.peak_memory_bytes or 0) > 60 * 2**20


def test_stop_ends_politely_then_by_force(backend: LocalBackend) -> None:
    """P-8: stopping leaves nothing, whether the program listens or not."""
    backend.submit("polite", python(FOREVER))
    backend.submit("stubborn", python(STUBBORN, grace_seconds=0.3))
    eventually(lambda: backend.log_tail("polite", 1) and backend.log_tail("stubborn", 1))
    backend.stop("polite")
    backend.stop("stubborn")
    polite = until(backend, "polite", ObservedState.STOPPED)
    stubborn = until(backend, "stubborn", ObservedState.STOPPED)
    assert (polite.signal, stubborn.signal) == (signal.SIGTERM, signal.SIGKILL)
    backend.stop("polite")
    backend.stop("never-there")


def test_daemons_of_a_workload_do_not_outlive_it(backend: LocalBackend) -> None:
    """P-8: what leaves the session and its parent is still found and ended."""
    code = (
        "import os, time\nif os.fork() == 0:\n os.setsid()\n if os.fork(): os._exit(0)\n"
        " print('daemon', os.getpid()); time.sleep(60)\nelse:\n time.sleep(0.5)"
    )
    backend.submit("parent", python(code))
    until(backend, "parent", ObservedState.SUCCEEDED)
    daemon = int(backend.log_tail("parent", 1)[0].split()[1])
    assert not alive(daemon)


def test_submitting_twice_starts_once(backend: LocalBackend, tmp_path: Path) -> None:
    """P-8: a name is run once, also when many ask at the same moment, and also after its end."""
    counter = tmp_path / "count"
    spec = python(f"open({str(counter)!r}, 'a').write('x')")
    threads = [threading.Thread(target=backend.submit, args=("once", spec)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(backend, "once", ObservedState.SUCCEEDED)
    backend.submit("once", spec)
    assert counter.read_text() == "x"


def test_killed_witness_takes_the_workload_with_it(backend: LocalBackend) -> None:
    """P-8: kill -9 of a witness is an interruption; not even a daemon of the workload is left."""
    code = (
        "import os, time\nif os.fork() == 0:\n os.setsid()\n print('daemon', os.getpid())\n time.sleep(60)\n"
        "time.sleep(60)"
    )
    seen = backend.submit("orphan", python(code))
    eventually(lambda: backend.log_tail("orphan", 1))
    daemon = int(backend.log_tail("orphan", 1)[0].split()[1])
    os.kill(int(str(read_state(backend, "orphan")["pid"])), signal.SIGKILL)
    seen = until(backend, "orphan", ObservedState.INTERRUPTED)
    assert seen.reason is ReasonCode.INTERRUPTED
    eventually(lambda: not alive(seen.pid or 0) and not alive(daemon))
    assert backend.submit("orphan", python(code)).state is ObservedState.INTERRUPTED


def test_recycled_pid_is_never_taken_for_the_workload(backend: LocalBackend) -> None:
    """P-8: a stranger under the recorded pid is neither believed to be ours nor harmed."""
    stranger = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
    try:
        backend.submit("gone", python("pass"))
        until(backend, "gone", ObservedState.SUCCEEDED)
        path = backend._root / "gone" / files.STATE
        state = json.loads(path.read_text())
        state |= {"phase": "running", "pid": stranger.pid, "child_pid": stranger.pid, "finished_at": None}
        path.write_text(json.dumps(state))
        assert look(backend, "gone").state is ObservedState.INTERRUPTED
        backend.stop("gone")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_reboot_is_an_interruption(backend: LocalBackend) -> None:
    """P-8: a record of an earlier boot of the machine never counts as alive."""
    backend.submit("before", python("pass"))
    until(backend, "before", ObservedState.SUCCEEDED)
    path = backend._root / "before" / files.STATE
    state = json.loads(path.read_text())
    state |= {"phase": "running", "pid": os.getpid(), "start": own_start(), "boot": "another"}
    path.write_text(json.dumps(state))
    assert look(backend, "before").state is ObservedState.INTERRUPTED


def test_unreadable_folder_is_an_error_not_an_absence(backend: LocalBackend) -> None:
    """P-8: “could not ask” is never read as “nothing there”."""
    folder = backend._root / "blocked"
    folder.mkdir(parents=True)
    (folder / files.STATE).mkdir()
    with pytest.raises(BackendError) as caught:
        backend.observe(["blocked"])
    (folder / files.STATE).rmdir()
    assert not caught.value.permanent


def test_readiness_follows_the_probe(backend: LocalBackend) -> None:
    """FR-006: ready only when the server answers; the allocated port is in command and environment."""
    code = (
        "import http.server, os, sys\nassert os.environ['PORT'] == sys.argv[1]\n"
        "h = http.server.SimpleHTTPRequestHandler\n"
        "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), h).serve_forever()"
    )
    spec = WorkloadSpec(
        command=(sys.executable, "-c", code, "{port}"),
        working_dir=str(backend._root.parent),
        port=0,
        readiness=HttpProbe(path="/", period_seconds=0.1),
        slot_class=SlotClass.ENDPOINT,
    )
    backend.submit("server", spec)
    seen = until(backend, "server", ObservedState.READY)
    assert seen.port is not None
    assert 21000 <= seen.port <= 21999
    with pytest.raises(BackendError):
        backend.remove("server")
    backend.stop("server")
    until(backend, "server", ObservedState.STOPPED)
    backend.remove("server")
    assert look(backend, "server").state is ObservedState.ABSENT


def test_two_servers_get_two_ports(backend: LocalBackend) -> None:
    """FR-006: a port that is taken or promised is not given again."""
    code = "import time; time.sleep(60)"
    ports = {backend.submit(f"port-{index}", python(code, port=0)).port for index in range(3)}
    assert len(ports) == 3


def test_busy_port_is_not_chosen(tmp_path: Path) -> None:
    """FR-006: a port that a stranger listens on is passed over; an empty range is an error with a remedy."""
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    port = server.server_port
    backend = LocalBackend(root=tmp_path, port_range=(port, port))
    with pytest.raises(BackendError) as caught:
        backend.submit("squeezed", python("pass", port=0))
    assert "LLMOPS_LOCAL_PORTS" in caught.value.remedy
    server.server_close()


def test_server_that_never_gets_ready_is_ended(backend: LocalBackend) -> None:
    """FR-006m-p: the probe's patience is bounded."""
    probe = HttpProbe(path="/", timeout_seconds=0.2, period_seconds=0.1, start_seconds=0.5)
    backend.submit("deaf", python(FOREVER, port=0, readiness=probe))
    seen = until(backend, "deaf", ObservedState.FAILED)
    assert seen.reason is ReasonCode.NOT_READY


def test_portal_secrets_do_not_reach_workloads(backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """P-2: the environment is built from a list; secrets of the workload are in no file and no argument."""
    monkeypatch.setenv("DATABASE_URL", "postgres://secret")
    monkeypatch.setenv("LLMOPS_SECRET_KEY", "secret")
    code = "import os; print(sorted(os.environ)); print(os.environ['TOKEN'] == '-'.join(['hush'] * 2))"
    backend.submit("env", python(code, env={"A": "1"}, secret_env={"TOKEN": "hush-hush"}))
    until(backend, "env", ObservedState.SUCCEEDED)
    names, matched = backend.log_tail("env", 2)
    assert "DATABASE_URL" not in names
    assert "SECRET_KEY" not in names
    assert "'A'" in names
    assert matched == "True"
    for path in (backend._root / "env").iterdir():
        assert b"hush-hush" not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0


def test_chatty_process_cannot_fill_the_disk(backend: LocalBackend) -> None:
    """P-8: the log keeps its end and its limit; offsets stay true after old pieces were dropped."""
    code = "for i in range(20000): print(f'line {i:06d}')"
    backend.submit("chatty", python(code, log_max_bytes=65536))
    until(backend, "chatty", ObservedState.SUCCEEDED)
    assert backend.log_tail("chatty", 1) == ["line 019999"]
    kept = sum(len(chunk) for chunk in backend.log_chunks("chatty"))
    assert kept <= 65536 + 16384
    chunk = backend.log_read("chatty", 0, 100)
    assert chunk.offset > 0
    assert chunk.offset % 12 == 0 or not chunk.text.startswith("line")
    collected, offset = "", chunk.offset
    while (piece := backend.log_read("chatty", offset, 5000)).text:
        collected += piece.text
        offset = piece.next_offset
    assert collected.endswith("line 019999\n")
    assert offset == 20000 * 12


def test_log_can_be_followed_while_it_grows(backend: LocalBackend) -> None:
    """FR-004a: a reader that remembers its offset sees every byte once."""
    backend.submit("talker", python("import time\nfor i in range(5): print(i); time.sleep(0.05)"))
    text, offset = "", 0

    def read() -> bool:
        nonlocal text, offset
        chunk = backend.log_read("talker", offset, 4)
        text, offset = text + chunk.text, chunk.next_offset
        return text == "0\n1\n2\n3\n4\n"

    eventually(read)


def test_names_cannot_leave_the_folder(backend: LocalBackend) -> None:
    """P-8: a name is a name, never a path."""
    for name in ("../x", "a/b", "", "UPPER", "a" * 64):
        with pytest.raises(BackendError):
            backend.submit(name, python("pass"))


def test_gpu_is_refused_in_words_where_there_is_none(backend: LocalBackend) -> None:
    """FR-004d: the reason names the remedy."""
    assert "useGpu=false" in backend.unplaceable(python("pass", gpu_count=1))
    assert backend.unplaceable(python("pass")) == ""


def test_spec_snapshot_round_trips_without_secrets() -> None:
    """P-2: the stored snapshot holds the names of secrets only."""
    spec = python("pass", secret_env={"TOKEN": "x"}, readiness=HttpProbe("/health"), port=0)
    data = json.loads(json.dumps(spec.to_json()))
    assert "x" not in json.dumps(data["secret_env"])
    assert data["secret_names"] == ["TOKEN"]
    assert WorkloadSpec.from_json(data, secret_env={"TOKEN": "x"}) == spec
    assert "TOKEN" not in repr(spec)


def test_memory_cgroup_is_used_only_where_it_can_be_made(tmp_path: Path) -> None:
    """P-7: with a delegated v2 tree the kernel keeps the limit; without one nothing is pretended."""
    assert MemoryCgroup.create("job", 1024, root=tmp_path) is None
    (tmp_path / "cgroup.controllers").write_text("cpu memory")
    (tmp_path / "cgroup.subtree_control").write_text("memory")
    (tmp_path / "llmops").mkdir()
    (tmp_path / "llmops" / "cgroup.subtree_control").write_text("memory")
    group = MemoryCgroup.create("job", 4096, root=tmp_path)
    assert group is not None
    assert (group.path / "memory.max").read_text() == "4096"
    assert not group.oom_killed()
    (group.path / "memory.events").write_text("low 0\noom_kill 2\n")
    assert group.oom_killed()


def mark(backend: LocalBackend, name: str) -> str:
    return f"{name}:{read_state(backend, name)['nonce']}"


def own_start() -> int:
    stat = procfs.proc_stat(os.getpid())
    assert stat is not None
    return stat.start
