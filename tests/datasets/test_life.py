"""FR-003, FR-001d: the governed life of a dataset through its services."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from apps.core.errors import Conflict, GateRefused, NotFound, PermissionRefused, ValidationFailed
from apps.core.models import AuditEvent, Operation
from apps.core.storage import store
from apps.datasets import registry, services
from apps.datasets.models import Dataset, DatasetCheck, PiiFinding
from apps.datasets.registry import Blocker, register_delete_blockers
from tests.factories.datasets import clean_rows, make_approved_dataset, make_dataset, pii_rows, rows_bytes
from tests.support.cast import Cast, commit_now

pytestmark = pytest.mark.django_db


def actions(dataset: Dataset) -> list[str]:
    """What the audit trail says about a dataset, oldest first."""
    events = AuditEvent.objects.filter(resource_type="dataset", resource_id=str(dataset.pk))
    return list(events.order_by("sequence").values_list("action", flat=True))


def test_checks_run_by_themselves_after_an_upload(cast: Cast) -> None:
    """FR-003a, FR-003c: upload → statistics, quality and PII, with a finished operation."""
    dataset = make_dataset(cast.ada, rows=pii_rows())
    check = dataset.last_check
    assert check is not None
    assert check.status == "succeeded"
    assert dataset.pii_scan_status == "failed"
    assert check.pii["byType"] == {"email": 1, "phone": 1, "credit_card": 1}
    assert dataset.quality_score is not None
    assert dataset.quality_score > 90
    found = list(PiiFinding.objects.filter(check_run=check).values_list("type", "row", "column", "start", "example"))
    assert ("email", 3, "response", 9, "a•••@e•••.com") in found
    assert not any("4111 1111" in row[-1] for row in found)
    operation = Operation.objects.get(target_id=str(dataset.pk))
    assert (operation.status, operation.progress) == ("succeeded", 100)
    assert actions(dataset) == ["datasets.dataset.created", "datasets.dataset.uploaded", "datasets.dataset.checked"]


def test_submission_is_refused_with_reasons_then_redacted_version_is_approved(cast: Cast) -> None:
    """FR-003c: PII blocks; the redacted copy is a new version with lineage; Chen approves it, Ada cannot."""
    dataset = make_dataset(cast.ada, rows=pii_rows())
    with pytest.raises(GateRefused) as refused:
        services.dataset_submit(actor=cast.ada, dataset_id=dataset.pk)
    assert [error.field for error in refused.value.errors] == ["pii"]
    assert "redacted version" in refused.value.errors[0].message

    copy = services.dataset_redact(actor=cast.ada, dataset_id=dataset.pk)
    commit_now()
    copy.refresh_from_db()
    assert (copy.version, copy.source_dataset_id, copy.pii_scan_status) == ("1.0.1", dataset.pk, "clean")
    assert copy.derivation["replaced"] == 3
    texts = json.dumps(services.dataset_preview(actor=cast.ada, dataset_id=copy.pk).rows)
    assert "[EMAIL]" in texts
    assert "[PHONE]" in texts
    assert "[CREDIT_CARD]" in texts
    assert "example.com" not in texts

    services.dataset_submit(actor=cast.ada, dataset_id=copy.pk, notes="cleaned")
    with pytest.raises(PermissionRefused):
        services.dataset_decide(actor=cast.ada, dataset_id=copy.pk, decision="approve")
    approved = services.dataset_decide(actor=cast.chen, dataset_id=copy.pk, decision="approve", notes="fine")
    assert approved.status == "approved"
    assert approved.approved_by == cast.chen
    services.dataset_require_usable(dataset=approved)
    assert actions(copy)[-2:] == ["datasets.dataset.submitted", "datasets.dataset.approved"]


def test_admin_cannot_approve_what_he_uploaded(cast: Cast) -> None:
    """FR-010: nobody is above four eyes; an uploader is an author."""
    dataset = make_dataset(cast.dana, owner_team="support")
    services.dataset_submit(actor=cast.ada, dataset_id=dataset.pk)
    with pytest.raises(PermissionRefused, match="author"):
        services.dataset_decide(actor=cast.dana, dataset_id=dataset.pk, decision="approve")


def test_low_quality_is_refused(cast: Cast, settings: Any) -> None:
    """FR-003c: a score below the threshold blocks, and says what would help."""
    rows = [{"instruction": "the same", "response": None if n % 2 else "text"} for n in range(40)]
    dataset = make_dataset(cast.ada, rows=rows)
    assert dataset.quality_score is not None
    assert dataset.quality_score < 70
    with pytest.raises(GateRefused) as refused:
        services.dataset_submit(actor=cast.ada, dataset_id=dataset.pk)
    assert "70" in refused.value.errors[0].message
    settings.DATASETS_QUALITY_THRESHOLD = 10.0
    assert services.dataset_submit(actor=cast.ada, dataset_id=dataset.pk).status == "pending_review"


def test_nothing_changes_in_review_or_after_approval(cast: Cast) -> None:
    """FR-003a: frozen in review, immutable once approved; visibility may change."""
    dataset = make_dataset(cast.ada)
    services.dataset_submit(actor=cast.ada, dataset_id=dataset.pk)
    upload = [services.Upload("more.jsonl", [rows_bytes(clean_rows(3))])]
    for _status in ("pending_review", "approved"):
        with pytest.raises(Conflict):
            services.dataset_upload(actor=cast.ada, dataset_id=dataset.pk, files=upload)
        with pytest.raises(Conflict):
            services.dataset_update(actor=cast.ada, dataset_id=dataset.pk, change_log="x")
        if _status == "pending_review":
            services.dataset_decide(actor=cast.chen, dataset_id=dataset.pk, decision="approve")
    shared = services.dataset_update(actor=cast.ada, dataset_id=dataset.pk, visibility="organisation")
    services.dataset_require_usable(dataset=shared)
    with pytest.raises(Conflict, match="approved"):
        services.dataset_check_request(actor=cast.ada, dataset_id=dataset.pk)


def test_status_words_lead_to_the_right_step(cast: Cast) -> None:
    """FR-001d: PATCH …/status is submit, approve, reject, request changes, withdraw or reopen, by state and
    person."""
    dataset = make_dataset(cast.ada)
    with pytest.raises(Conflict, match="submitted"):
        services.dataset_set_status(actor=cast.chen, dataset_id=dataset.pk, status="approved")
    services.dataset_set_status(actor=cast.ada, dataset_id=dataset.pk, status="under_review")
    assert services.dataset_set_status(actor=cast.ada, dataset_id=dataset.pk, status="draft").status == "draft"
    services.dataset_set_status(actor=cast.ada, dataset_id=dataset.pk, status="pending_review")
    assert services.dataset_set_status(actor=cast.ben, dataset_id=dataset.pk, status="draft").status == "draft"
    services.dataset_set_status(actor=cast.ada, dataset_id=dataset.pk, status="pending_review")
    assert services.dataset_set_status(actor=cast.ben, dataset_id=dataset.pk, status="rejected").status == "rejected"
    with pytest.raises(Conflict):
        services.dataset_set_status(actor=cast.ada, dataset_id=dataset.pk, status="pending_review")
    services.dataset_set_status(actor=cast.ada, dataset_id=dataset.pk, status="draft")
    services.dataset_set_status(actor=cast.ada, dataset_id=dataset.pk, status="pending_review")
    services.dataset_set_status(actor=cast.chen, dataset_id=dataset.pk, status="approved")
    for word in ("draft", "rejected", "approved"):
        with pytest.raises((Conflict, PermissionRefused)):
            services.dataset_set_status(actor=cast.chen, dataset_id=dataset.pk, status=word)
    with pytest.raises(ValidationFailed):
        services.dataset_set_status(actor=cast.chen, dataset_id=dataset.pk, status="excellent")


def test_refused_upload_leaves_nothing(cast: Cast, media: Path) -> None:
    """FR-003a: with a mistake in one of two files neither is registered, and the store is clean."""
    dataset = make_dataset(cast.ada, rows=[])
    files = [
        services.Upload("good.jsonl", [rows_bytes(clean_rows())]),
        services.Upload("bad.jsonl", [b"nonsense\n" * 150]),
    ]
    with pytest.raises(ValidationFailed) as refused:
        services.dataset_upload(actor=cast.ada, dataset_id=dataset.pk, files=files)
    assert len(refused.value.errors) == 101
    assert refused.value.errors[0].message.startswith("bad.jsonl, line 1")
    assert refused.value.errors[-1].message.startswith("50 more")
    assert not dataset.files.exists()
    assert store().list("datasets") == []


def test_broken_connection_leaves_nothing(cast: Cast) -> None:
    """FR-003a: when the bytes stop coming, nothing is half registered."""
    dataset = make_dataset(cast.ada, rows=[])

    def chunks() -> Any:
        yield rows_bytes(clean_rows())
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        services.dataset_upload(actor=cast.ada, dataset_id=dataset.pk, files=[services.Upload("a.jsonl", chunks())])
    assert not dataset.files.exists()
    assert store().list("datasets") == []


def test_second_upload_adds_and_replaces(cast: Cast) -> None:
    """FR-003a: files add up; one of the same name takes the place of the earlier one, whose bytes go."""
    dataset = make_dataset(cast.ada, rows=clean_rows(10), filename="a.jsonl")
    first = store().list("datasets")
    more = services.Upload("b.csv", [b"instruction,response\nx,y\n"])
    services.dataset_upload(actor=cast.ada, dataset_id=dataset.pk, files=[more])
    commit_now()
    dataset.refresh_from_db()
    assert (dataset.row_count, dataset.format) == (11, "mixed")
    again = services.Upload("a.jsonl", [rows_bytes(clean_rows(5))])
    services.dataset_upload(actor=cast.ada, dataset_id=dataset.pk, files=[again])
    commit_now()
    dataset.refresh_from_db()
    assert dataset.row_count == 6
    assert [(file.filename, file.row_count) for file in dataset.files.all()] == [("a.jsonl", 5), ("b.csv", 1)]
    assert len(store().list("datasets")) == 3
    assert not set(first) & set(store().list("datasets"))
    assert dataset.last_check is not None
    assert dataset.last_check.digest == dataset.rows_sha256


@pytest.mark.parametrize("name", ["../x.csv", "a/b.csv", "con.csv", "x\x00.csv", "a" * 300 + ".csv", "x.pkl", ""])
def test_bad_file_name_is_refused(cast: Cast, name: str) -> None:
    """FR-003a: names with tricks in them, and kinds that are not taken."""
    dataset = make_dataset(cast.ada, rows=[])
    with pytest.raises(ValidationFailed):
        services.dataset_upload(actor=cast.ada, dataset_id=dataset.pk, files=[services.Upload(name, [b"x"])])


def test_same_version_conflicts_within_a_team_only(cast: Cast) -> None:
    """FR-001: 1.0 and v1.0.0 conflict; another team's thing is never revealed."""
    make_dataset(cast.ada, rows=[], version="1.0")
    with pytest.raises(Conflict, match="already"):
        make_dataset(cast.ada, rows=[], version="v1.0.0")
    assert make_dataset(cast.eve, rows=[], version="1.0").team == cast.research


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "  "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"version": "latest"}, "version"),
        ({"dataset_type": "novel"}, "type"),
        ({"change_log": "\x00"}, "changeLog"),
        ({"metadata": {"a": ["\x00"]}}, "metadata"),
        ({"visibility": "world"}, "visibility"),
        ({"owner_team": "research"}, "ownerTeam"),
    ],
)
def test_bad_field_is_named(cast: Cast, fields: dict[str, Any], field: str) -> None:
    """P-1: every wrong field is named with what to do."""
    with pytest.raises(ValidationFailed) as refused:
        services.dataset_create(actor=cast.ada, **{"name": "x", "version": "1", "dataset_type": "sft_pair", **fields})
    assert [error.field for error in refused.value.errors] == [field]
    assert not Dataset.objects.exists()


@pytest.mark.parametrize("status", ["pending_review", "approved", "rejected"])
def test_creation_in_a_later_state_names_the_missing_step(cast: Cast, status: str) -> None:
    """FR-001d: only drafts are created; the answer says what to do instead."""
    with pytest.raises(Conflict, match="as draft, then"):
        services.dataset_create(actor=cast.ada, name="x", version="1", dataset_type="sft_pair", status=status)


def test_deletion_is_refused_while_something_depends_on_it(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """FR-001d: blockers are listed; without them files go too, and the audit keeps the proof."""
    dataset = make_approved_dataset(cast)
    monkeypatch.setattr(registry, "_sources", [])
    register_delete_blockers(lambda _dataset: [Blocker("review_case", "42", "tune-1")])
    with pytest.raises(Conflict, match="tune-1") as refused:
        services.dataset_delete(actor=cast.ada, dataset_id=dataset.pk)
    assert refused.value.errors[0].field == "review_case"
    registry._sources.clear()
    services.dataset_delete(actor=cast.ada, dataset_id=dataset.pk)
    commit_now()
    assert not Dataset.objects.exists()
    assert store().list("datasets") == []
    event = AuditEvent.objects.get(action="datasets.dataset.deleted")
    assert event.metadata["digest"] == dataset.digest


def test_materialised_rows_are_those_that_were_uploaded(cast: Cast, tmp_path: Path) -> None:
    """FR-003: jobs read one JSONL file with the original names; a changed byte in the store is refused."""
    dataset = make_approved_dataset(cast)
    path = services.dataset_materialise(dataset=dataset, destination=tmp_path / "work")
    assert [json.loads(line) for line in path.read_text().splitlines()] == clean_rows()
    with store().local_path(dataset.rows_key) as stored:
        content = bytearray(stored.read_bytes())
        content[-50] ^= 1
        stored.write_bytes(bytes(content))
    with pytest.raises(GateRefused, match="not those"):
        services.dataset_materialise(dataset=dataset, destination=tmp_path / "again")
    store().delete(dataset.rows_key)
    with pytest.raises(GateRefused, match="gone"):
        services.dataset_materialise(dataset=dataset, destination=tmp_path / "third")


def test_unapproved_or_changed_dataset_is_not_usable(cast: Cast) -> None:
    """FR-003: no dataset reaches a job before its checks and approval; a changed digest is noticed."""
    dataset = make_dataset(cast.ada, rows=pii_rows())
    with pytest.raises(GateRefused) as refused:
        services.dataset_require_usable(dataset=dataset)
    assert [error.field for error in refused.value.errors] == ["status", "piiScanStatus"]
    approved = make_approved_dataset(cast, version="2")
    approved.metadata = {"forged": True}
    with pytest.raises(GateRefused, match="digest"):
        services.dataset_require_usable(dataset=approved)


def test_check_that_lost_its_worker_is_taken_over(cast: Cast) -> None:
    """P-8: a queued check nobody got, or a running one that fell silent, is done by the next worker, once."""
    dataset = make_dataset(cast.ada)
    check = DatasetCheck.objects.get(dataset=dataset)
    DatasetCheck.objects.filter(pk=check.pk).update(status="running", heartbeat_at=check.created_at, attempts=1)
    Dataset.objects.filter(pk=dataset.pk).update(pii_scan_status="pending", last_check=None)
    services.check_run(check.pk)
    check.refresh_from_db()
    assert check.status == "running", "a lively check is left alone"
    old = check.created_at.replace(year=2020)
    DatasetCheck.objects.filter(pk=check.pk).update(heartbeat_at=old)
    assert services.checks_reconcile() == 1
    commit_now()
    dataset.refresh_from_db()
    assert dataset.pii_scan_status == "clean"
    assert services.checks_reconcile() == 0
    assert PiiFinding.objects.count() == 0


def test_check_gives_up_after_three_deaths(cast: Cast) -> None:
    """P-8: what kills workers is not tried for ever, and says so."""
    dataset = make_dataset(cast.ada)
    DatasetCheck.objects.filter(dataset=dataset).update(status="queued", attempts=3)
    check = DatasetCheck.objects.get(dataset=dataset)
    services.check_run(check.pk)
    check.refresh_from_db()
    assert check.status == "failed"
    assert "interrupted" in check.message


def test_check_of_lost_rows_fails_in_words(cast: Cast) -> None:
    """P-8: when the store has lost the rows the check ends, and can be run again."""
    dataset = make_dataset(cast.ada)
    store().delete(dataset.rows_key)
    services.dataset_check_request(actor=cast.ada, dataset_id=dataset.pk)
    commit_now()
    check = DatasetCheck.objects.filter(dataset=dataset).first()
    assert check is not None
    assert check.status == "failed"
    assert "could not be read" in check.message
    with pytest.raises(GateRefused):
        services.dataset_submit(actor=cast.ada, dataset_id=dataset.pk)


def test_leftovers_of_broken_uploads_are_removed(cast: Cast) -> None:
    """FR-003a: old pieces that no row names go; fresh ones and registered files stay."""
    dataset = make_dataset(cast.ada)
    kept = store().list("datasets")
    store().put(f"{dataset.storage_prefix}/files/5f000000-aaaa/x.csv", [b"old"])
    fresh = store().put(f"{dataset.storage_prefix}/files/7fffffff-aaaa/x.csv", [b"new"]).key
    assert services.leftovers_remove() == 1
    assert set(store().list("datasets")) == {*kept, fresh}


def test_stranger_finds_nothing(cast: Cast) -> None:
    """P-3: for Eve the dataset does not exist, whatever she asks."""
    dataset = make_dataset(cast.ada)
    calls: list[Any] = [
        lambda: services.dataset_upload(actor=cast.eve, dataset_id=dataset.pk, files=[]),
        lambda: services.dataset_update(actor=cast.eve, dataset_id=dataset.pk, change_log="x"),
        lambda: services.dataset_delete(actor=cast.eve, dataset_id=dataset.pk),
        lambda: services.dataset_submit(actor=cast.eve, dataset_id=dataset.pk),
        lambda: services.dataset_decide(actor=cast.eve, dataset_id=dataset.pk, decision="approve"),
        lambda: services.dataset_withdraw(actor=cast.eve, dataset_id=dataset.pk),
        lambda: services.dataset_redact(actor=cast.eve, dataset_id=dataset.pk),
        lambda: services.dataset_check_request(actor=cast.eve, dataset_id=dataset.pk),
        lambda: services.dataset_preview(actor=cast.eve, dataset_id=dataset.pk),
        lambda: services.dataset_compare(actor=cast.eve, dataset_id=dataset.pk, before="1.0", after="1.0"),
        lambda: services.dataset_set_status(actor=cast.eve, dataset_id=dataset.pk, status="approved"),
    ]
    for call in calls:
        with pytest.raises(NotFound):
            call()


@pytest.mark.parametrize("who", ["ben", "finn", "chen"])
def test_reader_cannot_write(cast: Cast, who: str) -> None:
    """P-3: who sees a dataset without a writing role changes nothing."""
    dataset = make_dataset(cast.ada)
    person = cast.everyone()[who]
    calls: list[Any] = [
        lambda: services.dataset_upload(actor=person, dataset_id=dataset.pk, files=[]),
        lambda: services.dataset_update(actor=person, dataset_id=dataset.pk, change_log="x"),
        lambda: services.dataset_delete(actor=person, dataset_id=dataset.pk),
        lambda: services.dataset_submit(actor=person, dataset_id=dataset.pk),
        lambda: services.dataset_redact(actor=person, dataset_id=dataset.pk),
        lambda: services.dataset_check_request(actor=person, dataset_id=dataset.pk),
        lambda: services.dataset_create(actor=person, name="x", version="1", dataset_type="sft_pair"),
    ]
    for call in calls:
        with pytest.raises(PermissionRefused):
            call()
