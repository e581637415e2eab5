"""The life of an endpoint over a real backend: a small server process instead of a model, driven by hand."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from apps.accounts.models import User
from apps.catalog.models import ModelEntry
from apps.compute.models import Workload
from apps.compute.services import reconcile_once
from apps.core.errors import Conflict, GateRefused
from apps.core.models import AuditEvent
from apps.integrations import registry
from apps.integrations.local.backend import LocalBackend
from apps.integrations.runtimes import LaunchPlan, LaunchRequest
from apps.integrations.runtimes import registry as runtime_registry
from apps.integrations.runtimes.transformers_serve import TransformersServe
from apps.serving import services
from apps.serving.models import Endpoint, HealthCheck
from tests.serving.support import approved_model, external_model
from tests.support.cast import Cast, commit_now
from tests.support.model_server import ModelServer

pytestmark = pytest.mark.django_db

PROGRAM = Path(__file__).with_name("small_server.py")


class SmallServer(TransformersServe):
    """The embedded runtime's routes and manners, served by a script that starts in a moment."""

    options: ClassVar[tuple[str, ...]] = ()

    def launch(self, request: LaunchRequest) -> LaunchPlan:
        """A plain Python process."""
        command = (sys.executable, str(PROGRAM), request.port, request.model_dir, *self.options)
        return LaunchPlan(command=command)


@pytest.fixture(autouse=True)
def backend(tmp_path: Path) -> Iterator[LocalBackend]:
    """A local backend of this test, with two places."""
    local = LocalBackend(root=tmp_path / "compute", max_jobs=1, max_endpoints=2, port_range=(23000, 23999))
    registry.backend_register("local", lambda: local)
    yield local
    names = local.running_names()
    for name in names:
        local.stop(name)
    assert local.wait_ended(names, 20) == []
    registry.backend_register("local", registry.local_backend)


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> type[SmallServer]:
    """The small server in place of ``transformers serve``."""
    monkeypatch.setitem(runtime_registry._RUNTIMES, "transformers", SmallServer())
    monkeypatch.setattr(SmallServer, "options", ())
    return SmallServer


@pytest.fixture
def model(cast: Cast) -> ModelEntry:
    """Ada's approved model."""
    return approved_model(cast.ada, cast.support)


def drive(endpoint: Endpoint, done: Callable[[Endpoint], bool], seconds: float = 20.0) -> Endpoint:
    """Let tasks, reconciler and sweep take turns until ``done``."""
    deadline = time.monotonic() + seconds
    while True:
        commit_now()
        reconcile_once()
        commit_now()
        services.endpoint_follow(endpoint.pk)
        commit_now()
        endpoint = Endpoint.objects.select_related("wanted", "active", "model").get(pk=endpoint.pk)
        if done(endpoint):
            return endpoint
        assert time.monotonic() < deadline, f"{endpoint.status}: {endpoint.status_detail}"
        time.sleep(0.02)


def healthy(endpoint: Endpoint) -> bool:
    """Whether it got there."""
    return endpoint.status == "healthy"


def deploy(actor: User, model: ModelEntry, **changes: Any) -> Endpoint:
    """Deploy to dev as ``support-assistant``."""
    options: dict[str, Any] = {"environment": "dev", "route": "/serve/support-assistant"}
    return services.endpoint_deploy(actor=actor, model_id=model.pk, **{**options, **changes})


def test_ada_can_deploy_and_it_becomes_healthy(cast: Cast, model: ModelEntry, runtime: type[SmallServer]) -> None:
    """FR-006: accepted at once as deploying with a reason; healthy after a first answer; files beside the process."""
    endpoint = deploy(cast.ada, model)
    assert (endpoint.status, endpoint.route, endpoint.version) == ("deploying", "support-assistant", "1.0")
    assert endpoint.status_detail
    endpoint = drive(endpoint, healthy)
    assert endpoint.wanted is not None
    assert endpoint.active == endpoint.wanted
    assert endpoint.wanted.base_url.startswith("http://127.0.0.1:23")
    assert Path(endpoint.wanted.upstream_model, "model.safetensors").is_file()
    workload = Workload.objects.get()
    assert (workload.kind, workload.slot_class, workload.model_id) == ("serving", "endpoint", model.pk)
    assert AuditEvent.objects.filter(action="serving.endpoint.deployed", actor=cast.ada).count() == 1
    services.endpoint_health_check(endpoint.pk)
    assert HealthCheck.objects.get().ok


def test_redeploy_keeps_answering_until_the_new_one_does(
    cast: Cast, model: ModelEntry, runtime: type[SmallServer]
) -> None:
    """FR-006j: while revision 2 comes up revision 1 answers; then the calls move and revision 1 ends."""
    endpoint = drive(deploy(cast.ada, model), healthy)
    first = endpoint.active
    services.endpoint_redeploy(actor=cast.ada, endpoint_id=endpoint.pk, cpu_limit="1500m")
    endpoint.refresh_from_db()
    assert endpoint.status == "deploying"
    assert "Revision 1 answers meanwhile" in endpoint.status_detail
    assert endpoint.active == first
    assert endpoint.serving
    endpoint = drive(endpoint, healthy)
    assert endpoint.active is not None
    assert endpoint.active.number == 2
    assert endpoint.active.spec["cpu_limit"] == "1500m"
    assert first is not None
    drive(endpoint, lambda _: not Workload.objects.get(pk=first.workload_id or "").is_active if first else True)
    first.refresh_from_db()
    assert first.status == "retired"


def test_a_revision_that_fails_leaves_the_old_one_answering(
    cast: Cast, model: ModelEntry, runtime: type[SmallServer], monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """FR-006q, FR-006j: degraded with the reason while revision 1 answers; rolling back makes it whole again."""
    settings.SERVING_MAX_RESTARTS = 0
    endpoint = drive(deploy(cast.ada, model), healthy)
    monkeypatch.setattr(SmallServer, "options", ("die",))
    services.endpoint_redeploy(actor=cast.ada, endpoint_id=endpoint.pk)
    endpoint = drive(endpoint, lambda one: one.status == "degraded")
    assert "Revision 2 failed" in endpoint.status_detail
    assert "Revision 1 answers meanwhile" in endpoint.status_detail
    assert endpoint.serving
    monkeypatch.setattr(SmallServer, "options", ())
    services.endpoint_rollback(actor=cast.ada, endpoint_id=endpoint.pk)
    endpoint = drive(endpoint, healthy)
    assert endpoint.active is not None
    assert (endpoint.active.number, endpoint.active.restores) == (3, 1)


def test_a_model_server_that_cannot_start_fails_honestly(
    cast: Cast, model: ModelEntry, runtime: type[SmallServer], monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """FR-006q: it is tried again, then failed with the exit code; nothing is left running."""
    settings.SERVING_MAX_RESTARTS = 1
    monkeypatch.setattr(SmallServer, "options", ("die",))
    endpoint = drive(deploy(cast.ada, model), lambda one: one.status == "failed")
    assert "died 2 times" in endpoint.status_detail
    assert Workload.objects.count() == 2
    assert not any(workload.is_active for workload in Workload.objects.all())
    with pytest.raises(Conflict, match="nothing to roll back"):
        services.endpoint_rollback(actor=cast.ada, endpoint_id=endpoint.pk)


def test_a_model_server_whose_answers_fail_is_never_healthy(
    cast: Cast, model: ModelEntry, runtime: type[SmallServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """FR-006: /health alone is not enough: the first answer must work."""
    monkeypatch.setattr(SmallServer, "options", ("mute",))
    endpoint = drive(deploy(cast.ada, model), lambda one: one.status == "failed")
    assert "first answer failed" in endpoint.status_detail


def test_a_killed_model_server_comes_back_once(
    cast: Cast, model: ModelEntry, runtime: type[SmallServer], backend: LocalBackend
) -> None:
    """P-8: killed from outside, it is started again as the next attempt; there are never two."""
    endpoint = drive(deploy(cast.ada, model), healthy)
    first = Workload.objects.get()
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    endpoint = drive(endpoint, lambda one: Workload.objects.count() == 2 and healthy(one))
    assert len(backend.running_names()) == 1
    assert endpoint.active is not None
    assert (endpoint.active.number, endpoint.active.attempt) == (1, 2)


def test_ada_can_stop_and_start_again(
    cast: Cast, model: ModelEntry, runtime: type[SmallServer], backend: LocalBackend
) -> None:
    """FR-006g: stopping ends the process and keeps the record; setting deploying starts it again."""
    endpoint = drive(deploy(cast.ada, model), healthy)
    endpoint = services.endpoint_update(actor=cast.ada, endpoint_id=endpoint.pk, status="stopped")
    assert endpoint.status == "stopped"
    drive(endpoint, lambda _: backend.running_names() == [])
    services.endpoint_update(actor=cast.ada, endpoint_id=endpoint.pk, status="deploying")
    endpoint = drive(endpoint, healthy)
    assert endpoint.active is not None
    assert endpoint.active.change == "restart"


def test_deleting_ends_the_process_first_then_files_and_record(
    cast: Cast, model: ModelEntry, runtime: type[SmallServer], backend: LocalBackend
) -> None:
    """FR-006i: gone for people at once, its route free; process, files, record go in this order; audited."""
    endpoint = drive(deploy(cast.ada, model), healthy)
    assert endpoint.wanted is not None
    files = Path(endpoint.wanted.upstream_model)
    services.endpoint_delete(actor=cast.ada, endpoint_id=endpoint.pk)
    assert Endpoint.objects.filter(pk=endpoint.pk).exists()
    again = deploy(cast.ada, model)
    deadline = time.monotonic() + 20
    while Endpoint.objects.filter(pk=endpoint.pk).exists():
        assert files.exists() or not Endpoint.objects.filter(pk=endpoint.pk).exists()
        reconcile_once()
        services.endpoint_follow(endpoint.pk)
        assert time.monotonic() < deadline
    assert not files.exists()
    assert AuditEvent.objects.filter(action="serving.endpoint.deleted", actor=cast.ada).count() == 1
    assert services.endpoint_follow(endpoint.pk) == "gone"
    drive(again, healthy)


def test_a_full_machine_says_so(
    cast: Cast, model: ModelEntry, runtime: type[SmallServer], backend: LocalBackend
) -> None:
    """FR-006q: the third endpoint on two places is deploying, with the scheduler's reason."""
    for name in ("one", "two"):
        drive(deploy(cast.ada, model, route=name), healthy)
    third = deploy(cast.ada, model, route="three")
    for _ in range(3):
        commit_now()
        reconcile_once()
        services.endpoint_follow(third.pk)
    third.refresh_from_db()
    assert third.status == "deploying"
    assert "place" in third.status_detail or "slot" in third.status_detail


def test_external_models_need_no_process(cast: Cast, settings: Any) -> None:
    """FR-006, FR-006d: an external model is healthy once its provider answers; nothing is started for it."""
    provider = ModelServer(model="far-away").start()
    settings.LLMOPS_OUTBOUND_ALLOW = ["127.0.0.1"]
    try:
        model = external_model(cast.ada, cast.support, provider.url)
        endpoint = drive(deploy(cast.ada, model, route="far"), healthy)
        assert endpoint.wanted is not None
        assert endpoint.wanted.runtime == "openai_compatible"
        assert Workload.objects.count() == 0
        services.endpoint_stop(actor=cast.ada, endpoint_id=endpoint.pk)
        endpoint.refresh_from_db()
        assert endpoint.status == "stopped"
    finally:
        provider.stop()


def test_external_models_on_private_addresses_are_refused(cast: Cast, settings: Any) -> None:
    """P-2: an address that a person typed and that is private is not called unless operators allow it."""
    settings.LLMOPS_OUTBOUND_ALLOW = []
    provider = ModelServer(model="far-away").start()
    try:
        model = external_model(cast.ada, cast.support, provider.url)
        endpoint = drive(deploy(cast.ada, model, route="far"), lambda one: one.status == "failed")
        assert "LLMOPS_OUTBOUND_ALLOW" in endpoint.status_detail
        assert provider.requests == []
    finally:
        provider.stop()


def test_a_model_that_is_not_approved_cannot_be_deployed(cast: Cast, model: ModelEntry) -> None:
    """FR-006: drafts, and models that changed after their approval, are refused with the reason."""
    type(model).objects.filter(pk=model.pk).update(status="draft")
    with pytest.raises(GateRefused, match="approved"):
        deploy(cast.ada, model)
    type(model).objects.filter(pk=model.pk).update(status="approved", digest="0" * 64)
    with pytest.raises(GateRefused, match="changed"):
        deploy(cast.ada, model)
    assert Endpoint.objects.count() == 0


def test_unwell_endpoints_are_degraded_and_recover(
    cast: Cast, model: ModelEntry, runtime: type[SmallServer], settings: Any
) -> None:
    """FR-006q: three failed health checks in a row degrade, one good one heals; only the newest hundred are kept."""
    endpoint = drive(deploy(cast.ada, model), healthy)
    assert endpoint.active is not None
    good = endpoint.active.base_url
    type(endpoint.active).objects.update(base_url="http://127.0.0.1:9")
    for _ in range(3):
        services.endpoints_health_check()
    endpoint.refresh_from_db()
    assert endpoint.status == "degraded"
    assert "3 health checks failed" in endpoint.status_detail
    type(endpoint.active).objects.update(base_url=good)
    services.endpoints_health_check()
    endpoint.refresh_from_db()
    assert endpoint.status == "healthy"
