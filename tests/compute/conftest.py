"""A local backend of its own for each test, and workloads that belong to Ada's team."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from apps.compute.models import Workload
from apps.compute.services import workload_submit
from apps.integrations import registry
from apps.integrations.local import files
from apps.integrations.local.backend import LocalBackend
from apps.integrations.ports import WorkloadSpec
from tests.support.cast import Cast

Submit = Callable[..., Workload]


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalBackend]:
    """The backend “local”, in a folder of this test; nothing it started outlives the test."""
    backend = LocalBackend(root=tmp_path / "compute", max_jobs=2, max_endpoints=1, port_range=(22000, 22999))
    registry.backend_register("local", lambda: backend)
    yield backend
    registry.backend_register("local", registry.local_backend)
    for name in backend.running_names():
        state = files.read_json(tmp_path / "compute" / name / files.STATE) or {}
        if state.get("child_pid"):
            with contextlib.suppress(ProcessLookupError):  # it may end by itself just now
                os.killpg(state["child_pid"], signal.SIGKILL)
    assert backend.wait_ended(backend.running_names(), 10) == []


@pytest.fixture
def submit(cast: Cast, local: LocalBackend) -> Submit:
    """Submit a specification as Ada, for a new owner."""

    def call(spec: WorkloadSpec, **fields: object) -> Workload:
        values = {"kind": "training", "owner_type": "test", "owner_id": uuid4(), "team": cast.support}
        return workload_submit(actor=cast.ada, created_by=cast.ada, spec=spec, **(values | fields))  # type: ignore[arg-type]

    return call
