"""Who may read workload logs, and what the admin and the health page show (P-3, P-5)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from apps.compute import health, selectors
from apps.compute.loop import beat
from apps.compute.services import reconcile_once
from apps.compute.types import PassReport
from apps.core import clock
from apps.core.errors import NotFound, Unavailable
from tests.compute.conftest import Submit
from tests.compute.programs import eventually, python
from tests.support.cast import Cast

Page = Callable[[object], Client]


@pytest.mark.parametrize(
    ("who", "sees"),
    [("ada", True), ("ben", True), ("chen", True), ("dana", True), ("finn", True), ("eve", False)],
)
def test_cast_can_read_exactly_their_logs(cast: Cast, page: Page, submit: Submit, who: str, sees: bool) -> None:
    """P-3: Eve sees nothing of team support; the log of a workload does not exist for her."""
    workload = submit(python("print('first'); print('second')"))

    def ended() -> bool:
        reconcile_once()
        workload.refresh_from_db()
        return not workload.is_active

    eventually(ended)
    person = getattr(cast, who)
    answer = page(person).get(reverse("compute:workload-log", args=[workload.pk]))
    assert answer.status_code == (200 if sees else 404)
    if sees:
        assert answer.json() == {"text": "first\nsecond\n", "offset": 0, "nextOffset": 13, "active": False}
        tail = page(person).get(reverse("compute:workload-log", args=[workload.pk]), {"offset": "-9"})
        assert tail.json()["text"] == "second\n"
    assert selectors.workloads_visible_to(person).exists() is sees


def test_log_refuses_nonsense_offsets(cast: Cast, page: Page, submit: Submit) -> None:
    """P-1: an offset that is no number is a 400 with the field's name."""
    workload = submit(python("pass"))
    for offset in ("x", "1.5", str(2**70)):
        answer = page(cast.ada).get(reverse("compute:workload-log", args=[workload.pk]), {"offset": offset})
        assert answer.status_code == 400
    answer = page(cast.ada).get(reverse("compute:workload-log", args=[workload.pk]), {"offset": "999999"})
    assert answer.json()["text"] == ""


def test_anonymous_cannot_read_logs(submit: Submit, client: Client) -> None:
    """P-2: no session, no log."""
    workload = submit(python("pass"))
    assert client.get(reverse("compute:workload-log", args=[workload.pk])).status_code == 302


def test_workload_get_hides_what_does_not_exist(cast: Cast) -> None:
    """P-3: an unknown workload is not found."""
    with pytest.raises(NotFound):
        selectors.workload_get(actor=cast.ada, workload_id=uuid4())


def test_operator_can_browse_workloads_in_the_admin(cast: Cast, page: Page, submit: Submit) -> None:
    """P-3: the admin lists and shows workloads read-only, without secrets."""
    workload = submit(python("pass", secret_env={"TOKEN": "hush"}))
    dana = page(cast.dana)
    for name in ("workload", "resourceinterval", "reconcilerbeat"):
        assert dana.get(reverse(f"admin:compute_{name}_changelist")).status_code == 200
    answer = dana.get(reverse("admin:compute_workload_change", args=[workload.pk]))
    assert answer.status_code == 200
    assert workload.spec_secrets not in answer.content.decode()
    assert (
        dana.post(reverse("admin:compute_workload_change", args=[workload.pk]), {"state": "failed"}).status_code == 403
    )


def test_health_tells_when_the_reconciler_is_away(cast: Cast, local: object) -> None:
    """P-5: never run, gone silent, troubled, well: four answers."""
    with pytest.raises(Unavailable, match="never run"):
        health.reconciler()
    beat("host:1", PassReport(active=3), 4.2)
    assert "3 active" in health.reconciler()
    with clock.frozen(clock.now() + timedelta(minutes=5)), pytest.raises(Unavailable, match="last seen"):
        health.reconciler()
    beat("host:1", PassReport(unreachable={"local": "no answer"}), 4.2)
    with pytest.raises(Unavailable, match="no answer"):
        health.reconciler()
    assert "2 jobs" in health.compute()
