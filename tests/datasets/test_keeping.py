"""FR-003, FR-001d: retention that ends, deletion with its blockers, and the proof of what is gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from apps.core import clock
from apps.core.errors import Conflict, GateRefused, PermissionRefused, Unavailable, ValidationFailed
from apps.core.models import AuditEvent
from apps.core.storage import FileStore, store
from apps.datasets import registry, selectors, services
from apps.datasets.models import Dataset, DatasetTombstone
from apps.datasets.registry import Blocker, register_delete_blockers
from apps.governance.models import Notice
from tests.factories.datasets import SHEET, make_approved_dataset, make_dataset, pii_rows
from tests.support.cast import ApiClient, Cast, commit_now

pytestmark = pytest.mark.django_db
Api = Callable[..., ApiClient]
Page = Callable[[Any], Client]
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def ended(cast: Cast) -> Iterator[Dataset]:
    """An approved dataset whose retention ended yesterday."""
    with clock.frozen(NOW - timedelta(days=400)):
        dataset = make_approved_dataset(cast, metadata={"datasheet": {**SHEET, "retention": "2026-10-31"}})
    with clock.frozen(NOW):
        yield dataset


def test_end_of_retention_is_told_once_and_blocks(cast: Cast, ended: Dataset) -> None:
    """FR-003: the sweep marks, tells its people and audits once; no job may use it; nothing is deleted by itself."""
    later = make_dataset(cast.ada, name="later", metadata={"datasheet": {**SHEET, "retention": "2026-11-01"}})
    assert services.retention_sweep() == (1, 0)
    assert services.retention_sweep() == (0, 0)
    ended.refresh_from_db()
    later.refresh_from_db()
    assert ended.expired_at == NOW
    assert later.expired_at is None, "the last day belongs to the retention"
    notice = Notice.objects.get(recipient=cast.ada)
    assert "retention of support-questions 1.0 is over" in notice.title
    assert AuditEvent.objects.filter(action="datasets.dataset.expired").count() == 1
    with pytest.raises(GateRefused, match="2026-10-31"):
        services.dataset_require_usable(dataset=ended)
    with clock.frozen(NOW + timedelta(days=1_000)):
        assert services.retention_sweep() == (1, 0)
        assert Dataset.objects.count() == 2


def test_expired_ones_are_found(cast: Cast, ended: Dataset, api: Api, page: Page) -> None:
    """FR-003: filter in API and page, a word in the list; before the sweep has marked them, too."""
    make_dataset(cast.ada, name="lasting", rows=[])
    ada = api(cast.ada)
    assert [one["name"] for one in ada.get("/catalog/datasets?expired=true").data] == [ended.name]
    assert [one["name"] for one in ada.get("/catalog/datasets?expired=false").data] == ["lasting"]
    assert ada.get("/catalog/datasets?expired=perhaps").status_code == 400
    listed = page(cast.ada).get(reverse("datasets:dataset-list")).content.decode()
    assert listed.count("retention over") == 1


def test_sweep_deletes_only_what_the_settings_give_up(cast: Cast, ended: Dataset, settings: Any) -> None:
    """FR-003: drafts or all, after the days of grace counted from the notice; what is in use stays."""
    draft = make_dataset(cast.ada, name="draft", metadata={"datasheet": {**SHEET, "retention": "2026-10-01"}})
    settings.DATASETS_RETENTION_DELETE = "unapproved"
    assert services.retention_sweep() == (2, 0)
    assert "deleted after 30 days" in Notice.objects.get(key__contains=str(draft.pk)).text
    with clock.frozen(NOW + timedelta(days=31)):
        assert services.retention_sweep() == (0, 1)
        commit_now()
    assert list(Dataset.objects.all()) == [ended]
    assert store().list(f"datasets/{draft.pk}") == []
    gone = DatasetTombstone.objects.get(pk=draft.pk)
    assert (gone.deleted_by, gone.reason) == (None, "The retention ended on 2026-10-01.")
    settings.DATASETS_RETENTION_DELETE = "all"
    copy = registry._sources[:]
    register_delete_blockers(blocked := lambda _dataset: [Blocker("audit_case", "7", "case seven")])
    try:
        with clock.frozen(NOW + timedelta(days=31)):
            assert services.retention_sweep() == (0, 0)
    finally:
        registry._sources[:] = copy
    assert blocked not in registry._sources
    with clock.frozen(NOW + timedelta(days=31)):
        assert services.retention_sweep() == (0, 1)


def test_reviewer_extends_the_retention(cast: Cast, ended: Dataset, api: Api, page: Page) -> None:
    """FR-003: a reviewer who is no author, with a reason and a later day; then jobs may use it again."""
    path = f"/catalog/datasets/{ended.pk}/retention"
    body = {"until": "2027-06-30", "reason": "The study goes on."}
    assert api(cast.ada).post(path, body).status_code == 403
    assert api(cast.eve).post(path, body).status_code == 404
    for wrong in ({"until": "2026-10-30"}, {"until": "soon"}, {"until": "2027-01-01", "reason": " "}, {"reason": ""}):
        assert api(cast.chen).post(path, {**body, **wrong}).status_code == 400, wrong
    services.retention_sweep()
    done = api(cast.chen).post(path, body)
    assert done.data["retentionUntil"] == "2027-06-30"
    assert done.data["dataSheet"]["expired"] is False
    assert done.data["metadata"]["datasheet"]["retention"] == "2026-10-31", "what was approved stays"
    ended.refresh_from_db()
    services.dataset_require_usable(dataset=ended)
    event = AuditEvent.objects.get(action="datasets.dataset.retention_extended")
    assert event.metadata == {"before": "2026-10-31", "until": "2027-06-30", "reason": "The study goes on."}
    assert "Extend the retention" in page(cast.chen).get(ended.get_absolute_url()).content.decode()
    url = reverse("datasets:dataset-retention", args=[ended.pk])
    assert page(cast.chen).post(url, {"until": "2026-12-01", "reason": "x"}).status_code == 422
    assert page(cast.chen).post(url, {"until": "2027-12-01", "reason": "x"}).status_code == 302
    with pytest.raises(Conflict, match="data sheet"):
        services.retention_extend(
            actor=cast.chen,
            dataset_id=make_dataset(cast.ada, name="draft").pk,
            until=date(2030, 1, 1),
            reason="x",
        )


def test_nobody_extends_what_they_made(cast: Cast, api: Api) -> None:
    """FR-010: nobody is above four eyes: an admin who uploaded it cannot keep it longer, and the attempt is kept."""
    dataset = make_dataset(cast.dana, owner_team="support", metadata={"datasheet": {**SHEET, "retention": "12 months"}})
    services.dataset_submit(actor=cast.ada, dataset_id=dataset.pk)
    services.dataset_decide(actor=cast.chen, dataset_id=dataset.pk, decision="approve")
    with pytest.raises(PermissionRefused, match="author"):
        services.retention_extend(actor=cast.dana, dataset_id=dataset.pk, until=date(2090, 1, 1), reason="x")
    body = {"until": "2090-01-01", "reason": "x"}
    assert api(cast.dana).post(f"/catalog/datasets/{dataset.pk}/retention", body).status_code == 403
    assert AuditEvent.objects.filter(action="datasets.retention.denied", actor=cast.dana, result="denied").exists()


def test_deletion_leaves_a_proof_and_a_name(cast: Cast, api: Api) -> None:
    """FR-001d: plan, deletion, tombstone, two audit events; what was made from it stays and names its source."""
    source = make_dataset(cast.ada, rows=pii_rows())
    copy = services.dataset_redact(actor=cast.ada, dataset_id=source.pk)
    commit_now()
    ada = api(cast.ada)
    path = f"/catalog/datasets/{source.pk}"
    plan = ada.get(f"{path}/deletion").data
    stored = sum(store().size(key) for key in store().list(f"datasets/{source.pk}"))
    assert (plan["possible"], plan["blockers"], plan["files"], plan["bytes"]) == (True, [], 1, stored)
    assert [one["version"] for one in plan["derived"]] == ["1.0.1"]
    with clock.frozen(NOW):
        gone = ada.delete(f"{path}?reason=Raw%20data%20no%20longer%20needed")
    assert gone.status_code == 200
    assert gone.data["filesRemovedAt"] is None
    commit_now()
    assert store().list(f"datasets/{source.pk}") == []
    assert ada.get(path).status_code == 404
    left = ada.get("/catalog/deleted-datasets").data[0]
    assert (left["id"], left["name"], left["version"], left["bytes"]) == (str(source.pk), source.name, "1.0", stored)
    assert left["digest"] == source.digest
    assert [file["name"] for file in left["files"]] == ["rows.jsonl"]
    assert left["reason"] == "Raw data no longer needed"
    assert left["filesRemovedAt"]
    events = AuditEvent.objects.filter(resource_id=str(source.pk)).order_by("sequence")
    deleted, removed = list(events)[-2:]
    assert (deleted.action, deleted.actor, deleted.occurred_at) == ("datasets.dataset.deleted", cast.ada, NOW)
    assert len(deleted.metadata["files"][0]["sha256"]) == 64
    assert deleted.metadata["digest"] == source.digest
    assert (removed.action, removed.metadata["objectsRemoved"]) == ("datasets.dataset.files_removed", 2)
    assert removed.metadata["objectsLeft"] == 0
    copy.refresh_from_db()
    assert copy.source_dataset is None
    assert selectors.lineage_lost(copy, cast.ada) == "support-questions 1.0, deleted 01 Nov 2026"
    assert selectors.lineage_lost(copy, cast.eve) == "a dataset that was deleted"
    assert api(cast.eve).get("/catalog/deleted-datasets").data == []
    assert api(cast.finn).get("/catalog/deleted-datasets").data[0]["name"] == source.name


def test_lineage_names_what_is_gone(cast: Cast, page: Page) -> None:
    """FR-002: the page of a copy says what it was made from, also when that was deleted."""
    source = make_dataset(cast.ada, rows=pii_rows())
    copy = services.dataset_redact(actor=cast.ada, dataset_id=source.pk)
    commit_now()
    services.dataset_delete(actor=cast.ada, dataset_id=source.pk)
    commit_now()
    shown = page(cast.ada).get(copy.get_absolute_url()).content.decode()
    assert "Redacted copy of support-questions 1.0, deleted" in shown
    listed = page(cast.ada).get(reverse("datasets:tombstone-list")).content.decode()
    assert source.digest[:12] in listed
    assert "Nothing was deleted" in page(cast.eve).get(reverse("datasets:tombstone-list")).content.decode()


def test_blockers_of_other_teams_have_no_name(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """P-3: what a person may not see blocks, but is not named; the system sees all."""
    dataset = make_dataset(cast.ada)
    monkeypatch.setattr(registry, "_sources", [])
    hidden = Blocker("training_job", str(uuid4()), "secret-job")
    register_delete_blockers(lambda _dataset: [hidden, Blocker("case", "1", "case one")])
    plan = services.dataset_deletion_plan(actor=cast.ada, dataset_id=dataset.pk)
    assert [one.label for one in plan.blockers] == ["case one", "1 thing of other teams, not visible to you"]
    assert not plan.possible
    with pytest.raises(Conflict) as refused:
        services.dataset_delete(actor=cast.ada, dataset_id=dataset.pk)
    assert "secret-job" not in str(refused.value.message) + str(refused.value.errors)
    assert Dataset.objects.filter(pk=dataset.pk).exists()


def test_unfinished_removal_is_repeated(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """P-8: when the store is away the proof waits; the sweep removes the files and records it, once."""
    dataset = make_dataset(cast.ada)
    with monkeypatch.context() as away:

        def refuse(*_args: object) -> int:
            raise Unavailable("The store is away.")

        away.setattr(FileStore, "delete_prefix", refuse)
        services.dataset_delete(actor=cast.ada, dataset_id=dataset.pk)
        with pytest.raises(Unavailable):
            services.dataset_files_remove(dataset.pk)
    assert store().list(f"datasets/{dataset.pk}")
    assert DatasetTombstone.objects.get().files_removed_at is None
    assert services.deletions_reconcile() == 1
    assert services.deletions_reconcile() == 0
    assert store().list(f"datasets/{dataset.pk}") == []
    assert AuditEvent.objects.filter(action="datasets.dataset.files_removed").count() == 1


def test_person_confirms_a_deletion_by_name(cast: Cast, page: Page) -> None:
    """FR-001d: the page tells what goes and what stays; only the typed name deletes; readers get no page."""
    dataset = make_dataset(cast.ada)
    url = reverse("datasets:dataset-delete", args=[dataset.pk])
    ada = page(cast.ada)
    shown = ada.get(url).content.decode()
    assert "leave the store for good" in shown
    for typed in ("", "support-questions", "yes"):
        refused = ada.post(url, {"confirm": typed, "reason": ""})
        assert refused.status_code == 422
    assert ada.post(url, {"confirm": "support-questions 1.0", "reason": "done"}).status_code == 302
    assert not Dataset.objects.exists()
    other = make_dataset(cast.ada, name="other")
    services.dataset_submit(actor=cast.ada, dataset_id=other.pk)
    url = reverse("datasets:dataset-delete", args=[other.pk])
    assert "It is in review" in ada.get(url).content.decode()
    assert page(cast.ben).get(url).status_code == 403
    assert page(cast.eve).get(url).status_code == 404


@pytest.mark.parametrize("reason", ["x" * 2_001, "a\x00b"])
def test_hostile_reason_is_refused(cast: Cast, reason: str) -> None:
    """P-1: what cannot be kept as a reason deletes nothing."""
    dataset = make_dataset(cast.ada, rows=[])
    with pytest.raises(ValidationFailed, match="reason"):
        services.dataset_delete(actor=cast.ada, dataset_id=dataset.pk, reason=reason)
    assert Dataset.objects.filter(pk=dataset.pk).exists()
