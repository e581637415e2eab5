"""FR-003c: findings that are none: proposed, confirmed by a second person, kept while they still match, undone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from apps.core.errors import Conflict, GateRefused, PermissionRefused, ValidationFailed
from apps.core.models import AuditEvent
from apps.datasets import services
from apps.datasets.models import Dataset, PiiFinding, PiiMark
from tests.factories.datasets import clean_rows, last_check, make_dataset, rows_bytes
from tests.support.cast import ApiClient, Cast, commit_now

pytestmark = pytest.mark.django_db

Api = Callable[..., ApiClient]
REASON = "Published address of the help desk."


def rows_with_addresses(count: int = 2) -> list[dict[str, Any]]:
    """Rows of which some name the help desk."""
    rows = clean_rows(30)
    for row in rows[:count]:
        row["response"] += " Write to help@example.com."
    return rows


def finding(dataset: Dataset, row: int = 1) -> PiiFinding:
    """The finding in a row."""
    return PiiFinding.objects.get(check_run=dataset.last_check, row=row)


def status(dataset: Dataset) -> str:
    """What the gate reads."""
    dataset.refresh_from_db()
    return dataset.pii_scan_status


def test_reviewer_marks_each_place_until_nothing_is_left(cast: Cast) -> None:
    """FR-003c: the gate opens with the last open finding, not before; counts and findings say so."""
    dataset = make_dataset(cast.ada, rows=rows_with_addresses())
    assert status(dataset) == "failed"
    for row, left in ((1, 1), (2, 0)):
        mark = services.pii_mark_create(
            actor=cast.chen, dataset_id=dataset.pk, finding_id=finding(dataset, row).pk, reason=REASON
        )
        assert mark.status == "confirmed"
        dataset.refresh_from_db()
        last_check(dataset).refresh_from_db()
        assert last_check(dataset).pii["open"] == left
        assert finding(dataset, row).mark_id == mark.pk
    assert status(dataset) == "clean"
    assert services.dataset_submit(actor=cast.ada, dataset_id=dataset.pk).status == "pending_review"
    approved = services.dataset_decide(actor=cast.ben, dataset_id=dataset.pk, decision="approve")
    services.dataset_require_usable(dataset=approved)


def test_team_proposes_and_a_second_person_confirms(cast: Cast, api: Api) -> None:
    """FR-003c: a proposal has no effect; who proposed, made or filled the dataset cannot confirm it."""
    dataset = make_dataset(cast.ada, rows=rows_with_addresses())
    path = f"/catalog/datasets/{dataset.pk}/pii-marks"
    made = api(cast.ada).post(path, {"column": "response", "type": "email", "reason": REASON})
    assert made.status_code == 200, made.content
    assert (made.data["status"], made.data["scope"], made.data["count"]) == ("proposed", "column", 2)
    assert status(dataset) == "failed"
    mark = f"{path}/{made.data['id']}"
    assert api(cast.ada).post(mark, {"decision": "confirm"}).status_code == 403
    confirmed = api(cast.ben).post(mark, {"decision": "confirm"})
    assert confirmed.status_code == 200, confirmed.content
    assert (confirmed.data["status"], confirmed.data["decidedBy"]) == ("confirmed", "ben")
    assert status(dataset) == "clean"
    assert api(cast.ben).post(mark, {"decision": "confirm"}).status_code == 409
    report = api(cast.ada).get(f"/catalog/datasets/{dataset.pk}/validation").data["piiScan"]
    assert (report["total"], report["open"], report["openCounts"], report["recommendations"]) == (2, 0, {}, [])
    assert [place["falsePositive"] for place in report["locations"]] == [True, True]
    events = AuditEvent.objects.filter(action__startswith="datasets.dataset.pii_mark").order_by("sequence")
    assert [(event.action.rpartition("_")[2], event.actor_name) for event in events] == [
        ("proposed", "ada"),
        ("confirmed", "ben"),
    ]
    assert all(event.metadata["reason"] or event.action.endswith("confirmed") for event in events)
    assert "help@example.com" not in str([event.metadata for event in events])


def test_admin_who_filled_the_dataset_cannot_open_its_gate(cast: Cast) -> None:
    """FR-010: nobody is above four eyes: the uploader's mark is a proposal, and stays one for the uploader."""
    dataset = make_dataset(cast.dana, owner_team="support", rows=rows_with_addresses(1))
    mark = services.pii_mark_create(
        actor=cast.dana, dataset_id=dataset.pk, finding_id=finding(dataset).pk, reason=REASON
    )
    assert mark.status == "proposed"
    with pytest.raises(PermissionRefused, match="somebody else"):
        services.pii_mark_decide(actor=cast.dana, dataset_id=dataset.pk, mark_id=mark.pk, decision="confirm")
    assert status(dataset) == "failed"
    services.pii_mark_decide(actor=cast.chen, dataset_id=dataset.pk, mark_id=mark.pk, decision="confirm")
    assert status(dataset) == "clean"


def test_undoing_closes_the_gate_again_also_after_approval(cast: Cast) -> None:
    """FR-003: an undone mark keeps an approved dataset from being used."""
    dataset = make_dataset(cast.ada, rows=rows_with_addresses(1))
    mark = services.pii_mark_create(
        actor=cast.chen, dataset_id=dataset.pk, finding_id=finding(dataset).pk, reason=REASON
    )
    services.dataset_submit(actor=cast.ada, dataset_id=dataset.pk)
    services.dataset_decide(actor=cast.chen, dataset_id=dataset.pk, decision="approve")
    with pytest.raises(ValidationFailed, match="why"):
        services.pii_mark_decide(actor=cast.ada, dataset_id=dataset.pk, mark_id=mark.pk, decision="undo")
    services.pii_mark_decide(
        actor=cast.ada, dataset_id=dataset.pk, mark_id=mark.pk, decision="undo", reason="It is a person after all."
    )
    assert status(dataset) == "failed"
    assert [error.field for error in services.usability_errors(dataset)] == ["piiScanStatus"]
    assert finding(dataset).mark is None
    again = services.pii_mark_create(
        actor=cast.chen, dataset_id=dataset.pk, finding_id=finding(dataset).pk, reason=REASON
    )
    assert (again.status, status(dataset)) == ("confirmed", "clean")


def test_marks_survive_a_new_check_while_the_same_is_found(cast: Cast) -> None:
    """FR-003c: after a re-scan of the same rows a mark counts; once anything else is found there, it does not."""
    dataset = make_dataset(cast.ada, rows=rows_with_addresses())
    services.pii_mark_create(actor=cast.chen, dataset_id=dataset.pk, column="response", pii_type="email", reason=REASON)
    services.dataset_check_request(actor=cast.ada, dataset_id=dataset.pk)
    commit_now()
    assert status(dataset) == "clean"
    assert last_check(dataset).message.startswith("No personal data found (2 marked as none)")

    more = rows_with_addresses()
    more[5]["response"] += " Or to ann.lee@example.com."
    upload = [services.Upload("rows.jsonl", [rows_bytes(more)])]
    services.dataset_upload(actor=cast.ada, dataset_id=dataset.pk, files=upload)
    commit_now()
    assert status(dataset) == "failed"
    assert last_check(dataset).pii["open"] == 3, "one more find in the column: the mark on all of it is void"


def test_submitter_cannot_open_the_gate_while_a_newer_check_runs(cast: Cast) -> None:
    """FR-003, FR-003c: proposals and undoings of the team leave the gate shut until the newer check has its say."""
    dataset = make_dataset(cast.ada, rows=rows_with_addresses(1))
    services.pii_mark_create(actor=cast.chen, dataset_id=dataset.pk, finding_id=finding(dataset).pk, reason=REASON)
    services.dataset_check_request(actor=cast.ada, dataset_id=dataset.pk)
    about = {"column": "response", "pii_type": "email", "reason": REASON}
    mark = services.pii_mark_create(actor=cast.ada, dataset_id=dataset.pk, **about)
    assert status(dataset) == "pending"
    services.pii_mark_decide(actor=cast.ada, dataset_id=dataset.pk, mark_id=mark.pk, decision="undo", reason=REASON)
    assert status(dataset) == "pending"
    with pytest.raises(GateRefused):
        services.dataset_submit(actor=cast.ada, dataset_id=dataset.pk)
    commit_now()
    assert status(dataset) == "clean"


def test_place_mark_does_not_follow_another_text(cast: Cast) -> None:
    """FR-003c: the same place with another address is not what was marked."""
    dataset = make_dataset(cast.ada, rows=rows_with_addresses(1))
    services.pii_mark_create(actor=cast.chen, dataset_id=dataset.pk, finding_id=finding(dataset).pk, reason=REASON)
    rows = rows_with_addresses(1)
    rows[0]["response"] = rows[0]["response"].replace("help@", "anna@")
    upload = [services.Upload("rows.jsonl", [rows_bytes(rows)])]
    services.dataset_upload(actor=cast.ada, dataset_id=dataset.pk, files=upload)
    commit_now()
    assert status(dataset) == "failed"


def test_found_texts_cannot_be_guessed_from_digests(cast: Cast, settings: Any) -> None:
    """FR-003c: digests are keyed; the same text gives another digest under another key, and is stored nowhere."""
    dataset = make_dataset(cast.ada, rows=rows_with_addresses(1))
    first = finding(dataset).digest
    settings.SECRET_KEY = "another secret key for this one test"
    other = make_dataset(cast.ada, name="other", rows=rows_with_addresses(1))
    assert len(first) == 32
    assert finding(other).digest != first


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"reason": REASON}, "findingId"),
        ({"reason": REASON, "findingId": "999999999"}, "findingId"),
        ({"reason": REASON, "findingId": "nonsense"}, "findingId"),
        ({"reason": REASON, "findingId": "9" * 40}, "findingId"),
        ({"reason": REASON, "column": "response", "type": "iban"}, "column"),
        ({"reason": "   ", "column": "response", "type": "email"}, "reason"),
        ({"reason": "x" * 1_001, "column": "response", "type": "email"}, "reason"),
        ({"column": "response", "type": "email"}, "reason"),
    ],
)
def test_bad_marks_name_the_field(cast: Cast, api: Api, body: dict[str, Any], field: str) -> None:
    """FR-003c: nothing is marked by mistake."""
    dataset = make_dataset(cast.ada, rows=rows_with_addresses())
    answer = api(cast.chen).post(f"/catalog/datasets/{dataset.pk}/pii-marks", body)
    assert (answer.status_code, answer.data["errors"][0]["field"]) == (400, field)
    assert not PiiMark.objects.exists()


def test_twice_the_same_mark_and_marks_before_results_are_conflicts(cast: Cast) -> None:
    """FR-003c: one mark for one thing; without results there is nothing to mark."""
    dataset = make_dataset(cast.ada, rows=rows_with_addresses())
    about: dict[str, Any] = {"dataset_id": dataset.pk, "column": "response", "pii_type": "email", "reason": REASON}
    services.pii_mark_create(actor=cast.chen, **about)
    with pytest.raises(Conflict, match="already"):
        services.pii_mark_create(actor=cast.chen, **about)
    empty = services.dataset_create(
        actor=cast.ada, name="empty", version="1.0", dataset_type="sft_pair", owner_team="support"
    )
    with pytest.raises(Conflict, match="no results"):
        services.pii_mark_create(actor=cast.chen, dataset_id=empty.pk, finding_id=1, reason=REASON)


def test_who_may_mark(cast: Cast, api: Api) -> None:
    """roles.md: the team proposes, reviewers and admins decide, the auditor reads, strangers see nothing."""
    dataset = make_dataset(cast.ada, rows=rows_with_addresses())
    path = f"/catalog/datasets/{dataset.pk}/pii-marks"
    body = {"column": "response", "type": "email", "reason": REASON}
    assert api(cast.eve).get(path).status_code == 404
    assert api(cast.eve).post(path, body).status_code == 404
    assert api(cast.finn).post(path, body).status_code == 403
    assert api(cast.finn).get(path).data == []
    made = api(cast.ada).post(path, body)
    mark = f"{path}/{made.data['id']}"
    assert api(cast.eve).post(mark, {"decision": "undo", "reason": "x"}).status_code == 404
    assert api(cast.finn).post(mark, {"decision": "undo", "reason": "x"}).status_code == 403
    assert api(cast.ben).post(mark, {"decision": "perhaps"}).status_code == 400
    assert api(cast.ben).post(f"{path}/nonsense", {"decision": "confirm"}).status_code == 404
    assert api(cast.ben).post(mark, {"decision": "refuse", "reason": "It is private."}).data["status"] == "undone"
    assert [row["reason"] for row in api(cast.finn).get(path).data] == [REASON]
    assert status(dataset) == "failed"
