"""The reconciler over real processes: states, slots, reasons, ends, restarts (P-8, FR-004, FR-004e)."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection

from apps.compute import handlers
from apps.compute.models import Workload, WorkloadEvent
from apps.compute.services import (
    reconcile_once,
    reconcile_with_lease,
    workload_log_stream,
    workload_log_tail,
    workload_stop,
    workload_submit,
    workloads_interrupt_all,
)
from apps.compute.services.lease import LOCK_ID
from apps.compute.services.transition import workload_transition
from apps.compute.types import WORKLOAD_TRANSITIONS, PassReport, WorkloadState
from apps.core.errors import Conflict, NotFound
from apps.integrations import registry
from apps.integrations.local import files
from apps.integrations.local.backend import LocalBackend
from apps.integrations.ports import BackendError, HttpProbe, Observation, SlotClass, WorkloadSpec
from tests.compute.conftest import Submit
from tests.compute.programs import FOREVER, alive, eventually, python
from tests.support.cast import Cast

SERVER = (
    "import http.server, os\nclass H(http.server.BaseHTTPRequestHandler):\n"
    " def do_GET(self):\n  self.send_response(200)\n  self.end_headers()\n"
    " def log_message(self, *a): pass\n"
    "http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), H).serve_forever()"
)


def reconciled(workload: Workload, *states: str) -> Workload:
    """Pass until the workload is in one of `states`."""

    def there() -> bool:
        report = reconcile_once()
        assert not report.errors
        workload.refresh_from_db()
        return workload.state in states

    eventually(there, what=f"{workload.name} in {states}")
    return workload


def states_of(workload: Workload) -> list[str]:
    return list(WorkloadEvent.objects.filter(workload=workload).values_list("to_state", flat=True))


@pytest.fixture
def heard() -> Iterator[list[tuple[str, str]]]:
    """What the owner's handler was told, as (previous, new)."""
    said: list[tuple[str, str]] = []
    handlers.register("test", lambda workload, previous: said.append((previous, workload.state)))
    yield said
    handlers._handlers.pop("test")


def test_workload_runs_to_its_end_and_tells_its_owner(submit: Submit, heard: list[tuple[str, str]]) -> None:
    """FR-004: pending → starting → running → succeeded, with events, times, log, and the owner informed."""
    workload = reconciled(submit(python("import time; time.sleep(0.3); print('done')")), "succeeded")
    assert states_of(workload) == ["pending", "starting", "running", "succeeded"]
    assert heard == [("pending", "starting"), ("starting", "running"), ("running", "succeeded")]
    assert workload.exit_code == 0
    assert workload.started_at is not None
    assert workload.finished_at is not None
    assert workload.started_at < workload.finished_at
    assert workload_log_tail(workload) == ["done"]
    assert "".join(workload_log_stream(workload)) == "done\n"


@pytest.mark.parametrize(
    ("spec", "code", "words"),
    [
        (python("raise SystemExit(7)"), "exit_code", "exit code 7"),
        (python("import time; time.sleep(60)", time_limit_seconds=1), "deadline", "time limit"),
        (WorkloadSpec(command=("/no/such/program",)), "binary_missing", "could not be found"),
        (
            python("x = b'x' * (80 * 2**20)\nimport time; time.sleep(60)", memory_bytes=40 * 2**20),
            "oom",
            "ran out of memory",
        ),
    ],
)
def test_failure_has_cause_and_remedy(submit: Submit, spec: WorkloadSpec, code: str, words: str) -> None:
    """FR-004e: every root cause is told in plain words with what to do."""
    workload = reconciled(submit(spec), "failed")
    assert workload.reason_code == code
    assert words in workload.reason
    assert workload.remedy


def test_submitting_an_attempt_twice_makes_one_workload(submit: Submit, cast: Cast) -> None:
    """P-8: the same attempt of the same owner is the same workload."""
    first = submit(python("pass"))
    again = workload_submit(
        actor=cast.ada,
        created_by=cast.ada,
        kind="training",
        owner_type="test",
        owner_id=first.owner_id,
        team=cast.support,
        spec=python("print('other')"),
    )
    assert again.pk == first.pk
    assert Workload.objects.count() == 1


def test_jobs_and_endpoints_have_slots_of_their_own(submit: Submit) -> None:
    """Issue 2: slots are counted apart; who waits knows place and line; nobody overtakes."""
    jobs = [submit(python(FOREVER)) for _ in range(4)]
    server = submit(
        python(SERVER, port=0, readiness=HttpProbe(path="/", period_seconds=0.1), slot_class=SlotClass.ENDPOINT),
        kind="serving",
    )
    reconciled(server, "ready")
    for job in jobs:
        job.refresh_from_db()
    assert [job.state for job in jobs] == ["running", "running", "pending", "pending"]
    assert "number 1 of 2" in jobs[2].reason
    assert "number 2 of 2" in jobs[3].reason
    assert jobs[3].reason_code == "waiting_for_slot"
    workload_stop(workload_id=jobs[0].pk, reason="enough")
    reconciled(jobs[2], "running")
    jobs[3].refresh_from_db()
    assert "number 1 of 1" in jobs[3].reason
    assert states_of(jobs[3]) == ["pending", "pending"], "moving up in the line is no event of its own"


def test_higher_priority_goes_first(submit: Submit, local: LocalBackend) -> None:
    """FR-004f: priorities order the line."""
    running = [submit(python(FOREVER)) for _ in range(2)]
    reconcile_once()
    low, high = submit(python(FOREVER)), submit(python(FOREVER), priority=5)
    workload_stop(workload_id=running[0].pk, reason="room")
    reconciled(high, "running")
    low.refresh_from_db()
    assert low.state == "pending"


def test_gpu_work_stays_pending_and_says_why(submit: Submit) -> None:
    """API contract: a GPU job that no backend can place stays queued, does not block the line, says why."""
    gpu = submit(python("pass", gpu_count=1))
    cpu = submit(python("pass"))
    reconciled(cpu, "succeeded")
    gpu.refresh_from_db()
    assert (gpu.state, gpu.reason_code) == ("pending", "unplaceable")
    assert "useGpu=false" in gpu.reason


def test_server_becomes_ready_and_is_stopped_whole(submit: Submit) -> None:
    """FR-006: address and port are known once it is ready; stopping ends its process."""
    spec = python(SERVER, port=0, readiness=HttpProbe(path="/", period_seconds=0.1), slot_class=SlotClass.ENDPOINT)
    workload = reconciled(submit(spec, kind="serving"), "ready")
    assert workload.url == f"http://127.0.0.1:{workload.port}"
    assert workload.ready_at is not None
    pid = workload.pid or 0
    workload_stop(workload_id=workload.pk, reason="deleted")
    reconciled(workload, "stopped")
    assert workload.reason == "deleted"
    assert not alive(pid)


def test_server_that_leaves_by_itself_has_failed(submit: Submit) -> None:
    """FR-006q-t: a model server that exits with code 0 is not “succeeded”."""
    workload = reconciled(submit(python("pass", slot_class=SlotClass.ENDPOINT), kind="serving"), "failed")
    assert workload.reason_code == "exit_code"


def test_stopping_what_waits_never_starts_it(submit: Submit, local: LocalBackend) -> None:
    """FR-004f: cancel leaves nothing orphaned."""
    workload = submit(python(FOREVER))
    workload_stop(workload_id=workload.pk, reason="changed my mind")
    workload_stop(workload_id=workload.pk, reason="twice is fine")
    reconcile_once()
    workload.refresh_from_db()
    assert (workload.state, workload.reason) == ("stopped", "changed my mind")
    assert local.running_names() == []


def test_stop_between_intent_and_call_starts_nothing(submit: Submit, local: LocalBackend) -> None:
    """P-8: a reconciler died after “starting” and before the call; meanwhile the owner wants it gone."""
    workload = submit(python(FOREVER))
    workload_transition(workload, WorkloadState.STARTING)
    workload_stop(workload_id=workload.pk, reason="cancelled")
    reconcile_once()
    workload.refresh_from_db()
    assert workload.state == "stopped"
    assert local.running_names() == []


def test_crash_between_intent_and_record_is_repaired(submit: Submit, local: LocalBackend) -> None:
    """P-8: a reconciler that died around the call leaves one process, not none and not two."""
    never_called, answer_lost = submit(python(FOREVER)), submit(python(FOREVER))
    for workload in (never_called, answer_lost):
        workload_transition(workload, WorkloadState.STARTING)
    pid = local.submit(answer_lost.name, WorkloadSpec.from_json(answer_lost.spec)).pid
    reconciled(never_called, "running")
    reconciled(answer_lost, "running")
    assert answer_lost.pid in (pid, local.observe([answer_lost.name])[answer_lost.name].pid)
    assert sorted(local.running_names()) == sorted([never_called.name, answer_lost.name])


def test_killed_witness_is_an_interruption(submit: Submit, local: LocalBackend) -> None:
    """P-8: gone without a record means interrupted, which owners retry; nothing of it is left alive."""
    workload = reconciled(submit(python(FOREVER)), "running")
    state = files.read_json(local._root / workload.name / files.STATE) or {}
    os.kill(state["pid"], signal.SIGKILL)
    reconciled(workload, "failed")
    assert workload.reason_code == "interrupted"
    eventually(lambda: not alive(state["child_pid"]))


def test_vanished_record_of_a_running_one_is_an_interruption(submit: Submit, local: LocalBackend) -> None:
    """P-8: a reset folder under a running row is told, not restarted silently."""
    workload = submit(python("pass"))
    workload_transition(workload, WorkloadState.STARTING)
    workload_transition(workload, WorkloadState.RUNNING)
    reconcile_once()
    workload.refresh_from_db()
    assert (workload.state, workload.reason_code) == ("failed", "interrupted")


def test_process_stopped_by_a_strange_hand_is_an_interruption(submit: Submit, local: LocalBackend) -> None:
    """P-8: SIGTERM from outside (machine shutdown) is not what the owner wanted."""
    workload = reconciled(submit(python(FOREVER)), "running")
    local.stop(workload.name)
    reconciled(workload, "failed")
    assert workload.reason_code == "interrupted"


def test_shutdown_ends_everything_and_starts_nothing(submit: Submit, local: LocalBackend) -> None:
    """Issue 2: the supervisor's shutdown ends all processes and records the interruption."""
    running = [reconciled(submit(python(FOREVER)), "running") for _ in range(2)]
    waiting = submit(python(FOREVER))
    assert workloads_interrupt_all(timeout_seconds=10) == []
    assert local.running_names() == []
    for workload in running:
        workload.refresh_from_db()
        assert (workload.state, workload.reason_code) == ("failed", "interrupted")
    waiting.refresh_from_db()
    assert waiting.state == "pending"


class Unreachable(LocalBackend):
    """A backend that cannot be asked."""

    def observe(self, names: object) -> dict[str, Observation]:
        raise BackendError("connection refused", permanent=False)


def test_unreachable_backend_changes_nothing(submit: Submit, local: LocalBackend) -> None:
    """P-8: “could not ask” never means gone."""
    workload = reconciled(submit(python(FOREVER)), "running")
    registry.backend_register("local", lambda: Unreachable(root=local._root))
    report = reconcile_once()
    registry.backend_register("local", lambda: local)
    workload.refresh_from_db()
    assert workload.state == "running"
    assert report.unreachable == {"local": "connection refused"}


class Refusing(LocalBackend):
    """A backend that refuses what it is given."""

    permanent = True

    def submit(self, name: str, spec: WorkloadSpec) -> Observation:
        raise BackendError("not like this", permanent=self.permanent)


def test_permanent_refusal_fails_at_once(submit: Submit, local: LocalBackend) -> None:
    """FR-004e: what can never work is not tried for ever."""
    registry.backend_register("local", lambda: Refusing(root=local._root))
    workload = submit(python("pass"))
    reconcile_once()
    workload.refresh_from_db()
    assert (workload.state, workload.reason_code) == ("failed", "backend_refused")
    assert "not like this" in workload.reason


def test_passing_trouble_is_tried_again(submit: Submit, local: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """P-8: a backend that stumbles once gets asked again."""
    monkeypatch.setattr(Refusing, "permanent", False)
    registry.backend_register("local", lambda: Refusing(root=local._root))
    workload = submit(python("pass"))
    reconcile_once()
    workload.refresh_from_db()
    assert (workload.state, workload.reason_code) == ("starting", "backend_unreachable")
    registry.backend_register("local", lambda: local)
    reconciled(workload, "succeeded")


def test_trouble_of_one_workload_does_not_stop_the_others(submit: Submit, local: LocalBackend) -> None:
    """P-8: a handler that breaks concerns its own workload only; that one keeps its state."""

    def broken(workload: Workload, previous: str) -> None:
        if workload.state == "succeeded":
            raise ValueError("boom")

    handlers.register("broken", broken)
    bad, good = submit(python("pass"), owner_type="broken"), submit(python("pass"))
    report = PassReport()

    def ended() -> bool:
        nonlocal report
        report = reconcile_once()
        good.refresh_from_db()
        return good.state == "succeeded" and bool(report.errors)

    eventually(ended)
    handlers._handlers.pop("broken")
    bad.refresh_from_db()
    assert bad.state in ("starting", "running")
    assert "boom" in report.errors[0]


def test_second_reconciler_waits_for_the_lease(submit: Submit, local: LocalBackend) -> None:
    """P-8: while one reconciler is there, another one does nothing; a dead one's lease is free at once."""
    workload = submit(python("pass"))
    parameters = connection.get_connection_params()
    for key in ("cursor_factory", "context", "prepare_threshold"):
        parameters.pop(key, None)
    other = psycopg.connect(**parameters, autocommit=True)
    other.execute("SELECT pg_try_advisory_lock(%s)", [LOCK_ID])
    assert reconcile_with_lease() is None
    workload.refresh_from_db()
    assert workload.state == "pending"
    other.close()
    eventually(lambda: reconcile_with_lease() is not None)


@pytest.mark.parametrize("start", WORKLOAD_TRANSITIONS)
@pytest.mark.parametrize("to", WorkloadState)
def test_states_change_only_along_the_table(submit: Submit, start: str, to: WorkloadState) -> None:
    """P-8: every step that the table lacks is a conflict."""
    workload = submit(python("pass"))
    Workload.objects.filter(pk=workload.pk).update(state=start, finished_at=workload.created_at)
    workload.refresh_from_db()
    if to.value in WORKLOAD_TRANSITIONS[start]:
        workload_transition(workload, to)
        assert workload.state == to
    else:
        with pytest.raises(Conflict):
            workload_transition(workload, to)


def test_secrets_of_a_workload_are_encrypted_then_forgotten(submit: Submit, local: LocalBackend) -> None:
    """P-2: secrets rest encrypted, reach the process, and leave the row at its end."""
    workload = submit(python("import os; print(os.environ['TOKEN'][::-1])", secret_env={"TOKEN": "hush"}))
    row = Workload.objects.filter(pk=workload.pk).values().get()
    assert "hush" not in str(row)
    assert row["spec_secrets"]
    reconciled(workload, "succeeded")
    assert workload_log_tail(workload) == ["hsuh"]
    assert workload.spec_secrets == ""


def test_stopping_what_does_not_exist_is_not_found(db: None) -> None:
    """P-1: an unknown id is an error of its own."""
    with pytest.raises(NotFound):
        workload_stop(workload_id="0" * 32, reason="x")  # type: ignore[arg-type]
