"""Strays and leftovers of the local backend (P-8)."""

from __future__ import annotations

from datetime import timedelta

from apps.compute.models import Workload
from apps.compute.services import leftovers_remove, reconcile_once, strays_stop
from apps.core import clock
from apps.integrations.local.backend import LocalBackend
from tests.compute.conftest import Submit
from tests.compute.programs import FOREVER, eventually, python


def test_process_without_a_row_is_ended_and_others_are_left_alone(submit: Submit, local: LocalBackend) -> None:
    """P-8: a process that the database does not know is nobody's; a wanted one is never hit."""
    wanted = submit(python(FOREVER))
    local.submit("stray", python(FOREVER))
    reconcile_once()
    assert strays_stop() == ["stray"]
    eventually(lambda: local.running_names() == [wanted.name])
    assert strays_stop() == []


def test_files_of_old_workloads_are_removed_and_young_ones_kept(submit: Submit, local: LocalBackend) -> None:
    """P-8: the disk does not fill up with logs; a running or young workload keeps its files."""
    old, young, running = submit(python("pass")), submit(python("pass")), submit(python(FOREVER))

    def ended() -> bool:
        reconcile_once()
        return Workload.objects.filter(pk__in=[old.pk, young.pk], state="succeeded").count() == 2

    eventually(ended)
    reconcile_once()
    Workload.objects.filter(pk=old.pk).update(finished_at=clock.now() - timedelta(days=9))
    assert leftovers_remove() == 1
    assert local.known_names() == sorted([young.name, running.name])
