"""The long-lived reconciler as a real process: woken by commits, killed, replaced (P-8)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.management import call_command

from apps.compute.models import ReconcilerBeat, Workload
from apps.compute.services import workload_stop, workload_submit
from apps.integrations import registry
from apps.integrations.local.backend import LocalBackend
from tests.compute.programs import FOREVER, alive, eventually, python
from tests.support.cast import make_cast

Reconciler = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[LocalBackend]:
    """The folder that the child processes use too."""
    found = LocalBackend(root=tmp_path / "var" / "compute")
    registry.backend_register("local", lambda: found)
    yield found
    registry.backend_register("local", registry.local_backend)
    for name in found.running_names():
        found.stop(name)
    assert found.wait_ended(found.running_names(), 20) == []


@pytest.fixture
def reconciler(committed_db: str, tmp_path: Path, backend: LocalBackend) -> Iterator[Reconciler]:
    """Start `manage.py reconcile` against the test database."""
    started: list[subprocess.Popen[bytes]] = []
    address = urlsplit(os.environ["DATABASE_URL"])
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "llmops.settings.development",
        "DATABASE_URL": urlunsplit(address._replace(path=f"/{committed_db}")),
        "LLMOPS_VAR_DIR": str(tmp_path / "var"),
        "SECRET_KEY": settings.SECRET_KEY,
        "LLMOPS_READ_ENV_FILES": "false",
    }

    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "manage.py", "reconcile"], env=environment)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def submit() -> Workload:
    cast = make_cast()
    return workload_submit(
        actor=cast.ada,
        created_by=cast.ada,
        kind="training",
        owner_type="test",
        owner_id=uuid4(),
        team=cast.support,
        spec=python(FOREVER),
    )


def state(workload: Workload) -> str:
    workload.refresh_from_db()
    return workload.state


@pytest.mark.slow
def test_killed_reconciler_is_replaced_without_a_second_process(reconciler: Reconciler, backend: LocalBackend) -> None:
    """Issue 2: kill -9 of the reconciler loses and doubles nothing; the workload goes on under its witness."""
    first = reconciler()
    workload = submit()
    eventually(lambda: state(workload) == "running", seconds=60)
    pid = workload.pid or 0
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert alive(pid)
    second = reconciler()
    eventually(lambda: ReconcilerBeat.objects.filter(holder__endswith=f":{second.pid}").exists(), seconds=60)
    assert state(workload) == "running"
    assert (workload.pid, backend.running_names()) == (pid, [workload.name])
    began = time.monotonic()
    workload_stop(workload_id=workload.pk, reason="done")
    eventually(lambda: state(workload) == "stopped", seconds=30)
    assert time.monotonic() - began < 15
    assert not alive(pid)
    second.send_signal(signal.SIGTERM)
    assert second.wait(timeout=20) == 0


@pytest.mark.slow
def test_shutdown_command_ends_what_runs(reconciler: Reconciler, backend: LocalBackend) -> None:
    """Issue 2: after SIGTERM of the reconciler, `compute_stop_all` leaves no process behind."""
    process = reconciler()
    workload = submit()
    eventually(lambda: state(workload) == "running", seconds=60)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0
    assert alive(workload.pid or 0), "the reconciler's end is not the workload's end"
    call_command("compute_stop_all", "--timeout", "15")
    assert state(workload) == "failed"
    assert workload.reason_code == "interrupted"
    assert backend.running_names() == []
