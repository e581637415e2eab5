"""FR-003d: the dataset pages and the admin, as people use them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.core.models import AuditEvent
from apps.datasets import services
from apps.datasets.models import Dataset, DatasetCheck
from tests.factories.datasets import SHEET, clean_rows, make_approved_dataset, make_dataset, pii_rows, rows_bytes
from tests.support.cast import Cast, commit_now

pytestmark = pytest.mark.django_db
Page = Callable[[Any], Client]
HTMX = {"HX-Request": "true"}


def url(name: str, dataset: Dataset | None = None) -> str:
    """Address of a dataset page."""
    return reverse(f"datasets:dataset-{name}", args=[dataset.pk] if dataset else [])


def text(response: Any) -> str:
    """The page."""
    assert response.status_code == 200, response.content[:2000]
    return str(response.content.decode())


def file(name: str, content: bytes) -> SimpleUploadedFile:
    """A file as a browser sends it."""
    return SimpleUploadedFile(name, content)


def test_person_walks_a_dataset_through_its_life(cast: Cast, page: Page) -> None:
    """FR-003d: register, upload, checks, refusal, redaction, submission, approval — with buttons only."""
    ada, chen = page(cast.ada), page(cast.chen)
    assert "No datasets yet" in text(ada.get(url("list")))
    form = {
        "name": "support-questions",
        "version": "1.0",
        "type": "sft_pair",
        "owner_team": "support",
        "visibility": "team",
        "metadata": '{"language": "en"}',
        **SHEET,
    }
    made = ada.post(url("create"), form)
    dataset = Dataset.objects.get()
    assert made.headers["Location"] == url("detail", dataset)
    assert "Upload the files" in text(ada.get(url("detail", dataset)))

    sent = ada.post(url("upload", dataset), {"files": [file("q.jsonl", rows_bytes(pii_rows()))]}, headers=HTMX)
    assert sent.headers["HX-Redirect"] == url("detail", dataset)
    running = text(ada.get(url("detail", dataset)))
    assert 'hx-trigger="every 2s"' in running
    commit_now()
    shown = text(ada.get(url("detail", dataset)))
    assert 'hx-trigger="every 2s"' not in shown
    assert "a•••@e•••.com" in shown
    assert "This blocks the approval" in shown
    assert "Make redacted version" in shown

    refused = ada.post(url("submit", dataset), headers=HTMX)
    assert refused.status_code == 422
    assert "personal data" in refused.headers["HX-Trigger"].lower()

    ada.post(url("redact", dataset), {"version": ""})
    commit_now()
    copy = Dataset.objects.exclude(pk=dataset.pk).get()
    shown = text(ada.get(url("detail", copy)))
    assert "Redacted copy of" in shown
    assert "None found" in shown
    ada.post(url("submit", copy), {"notes": "please"})
    mine = text(ada.get(url("detail", copy)))
    assert "Withdraw" in mine
    assert 'value="approve"' not in mine
    assert 'value="approve"' in text(chen.get(url("detail", copy)))
    assert ada.post(url("decide", copy), {"decision": "approve"}).status_code == 403
    chen.post(url("decide", copy), {"decision": "approve", "notes": "fine"})
    copy.refresh_from_db()
    assert copy.status == "approved"
    history = text(ada.get(url("detail", copy)))
    assert "Submitted for review" in history
    assert "Pinned digest" in history
    compared = text(ada.get(url("compare", copy), {"other": str(dataset.pk), "key": ""}))
    assert "Rows are recognised by instruction" in compared
    assert "<ins" in compared
    assert "[EMAIL]" in compared


def test_mistakes_in_files_are_listed(cast: Cast, page: Page) -> None:
    """FR-003a: the uploader gets the list; without scripts it is a page of its own."""
    dataset = make_dataset(cast.ada, rows=[])
    ada = page(cast.ada)

    def send(headers: dict[str, str]) -> Any:
        bad = file("bad.csv", b"instruction,response\nonly one\n<b>x</b>,b,c\n")
        return ada.post(url("upload", dataset), {"files": [bad]}, headers=headers)

    part = send(HTMX)
    assert part.status_code == 400
    assert "bad.csv, line 2" in part.content.decode()
    assert "<html" not in part.content.decode()
    whole = send({})
    assert whole.status_code == 400
    assert "The files were refused" in whole.content.decode()
    assert "line 3" in whole.content.decode()


def test_form_keeps_input_and_names_fields(cast: Cast, page: Page) -> None:
    """P-1: a refused form comes back with what was typed."""
    form = {"name": "mine", "version": "latest", "type": "sft_pair", "owner_team": "support", "visibility": "team"}
    answer = page(cast.ada).post(url("create"), form)
    assert answer.status_code == 422
    content = answer.content.decode()
    assert "is not a version" in content
    assert 'value="mine"' in content
    make_dataset(cast.ada, name="mine", rows=[])
    again = page(cast.ada).post(url("create"), {**form, "version": "v1"})
    assert again.status_code == 422
    assert "already" in again.content.decode()


def test_preview_pages_and_fragments(cast: Cast, page: Page) -> None:
    """FR-003b: rows by page; the fragment is the same view."""
    dataset = make_dataset(cast.ada)
    ada = page(cast.ada)
    assert "router model 23" in text(ada.get(url("detail", dataset), {"page": 3}))
    part = ada.get(url("detail", dataset), {"page": 2}, headers={**HTMX, "HX-Target": "preview"})
    assert "router model 12" in text(part)
    assert "<html" not in text(part)
    for name in ("facts", "checks", "review"):
        fragment = text(ada.get(url("detail", dataset), headers={**HTMX, "HX-Target": name}))
        assert f'id="{name}"' in fragment
        assert "<html" not in fragment


def test_content_of_rows_is_escaped(cast: Cast, page: Page) -> None:
    """P-3: what was uploaded is text, never markup."""
    rows = clean_rows()
    rows[0]["response"] = "<script>alert(1)</script>"
    rows[1]["<img src=x>"] = "x"
    dataset = make_dataset(cast.ada, rows=rows)
    shown = text(page(cast.ada).get(url("detail", dataset)))
    assert "<script>alert" not in shown
    assert "<img src=x>" not in shown
    assert "&lt;script&gt;" in shown


def test_lost_rows_do_not_break_the_page(cast: Cast, page: Page, media: Any) -> None:
    """P-8: when the store has lost the rows, the page says so."""
    dataset = make_dataset(cast.ada)
    Dataset.objects.filter(pk=dataset.pk).update(rows_key="datasets/none/rows.parquet")
    assert "The rows cannot be shown" in text(page(cast.ada).get(url("detail", dataset)))


def test_stranger_and_anonymous_find_no_page(cast: Cast, page: Page) -> None:
    """P-3: 404 for Eve on every page and button; sign-in for nobody."""
    dataset = make_dataset(cast.ada)
    eve = page(cast.eve)
    for name in ("detail", "update", "compare"):
        assert eve.get(url(name, dataset)).status_code == 404, name
        assert "/sign-in/" in page(None).get(url(name, dataset)).headers["Location"]
    for name in ("upload", "check", "submit", "withdraw", "decide", "reopen", "redact", "delete"):
        assert eve.post(url(name, dataset)).status_code == 404, name
    assert dataset.name not in text(eve.get(url("list")))
    assert Dataset.objects.filter(pk=dataset.pk).exists()


def test_reader_sees_no_buttons(cast: Cast, page: Page) -> None:
    """P-3: Ben sees the dataset, not what he may not do; pressing anyway is refused and recorded."""
    dataset = make_dataset(cast.ada, rows=pii_rows())
    shown = text(page(cast.ben).get(url("detail", dataset)))
    for word in ("Make redacted version", "Run again", "Submit for review</button>", "data-upload", ">Delete<"):
        assert word not in shown, word
    assert page(cast.ben).post(url("delete", dataset)).status_code == 403
    assert AuditEvent.objects.filter(result="denied", actor=cast.ben, resource_id=str(dataset.pk)).exists()


def test_list_filters_and_sorts(cast: Cast, page: Page) -> None:
    """FR-003d: filters in the address; unknown values show nothing rather than everything."""
    make_dataset(cast.ada, name="alpha", rows=pii_rows())
    make_dataset(cast.ada, name="beta", rows=[])
    ada = page(cast.ada)
    found = text(ada.get(url("list"), {"pii_status": "failed"}))
    assert "alpha" in found
    assert "beta" not in found
    part = ada.get(url("list"), {"name": "bet", "order": "name"}, headers={**HTMX, "HX-Target": "table"})
    assert "beta" in text(part)
    assert "<html" not in text(part)
    assert "Nothing matches" in text(ada.get(url("list"), {"name": "zzz"}))


def test_list_page_costs_the_same_for_any_number_of_rows(cast: Cast, page: Page) -> None:
    """performance.md: queries of the list do not grow with its rows."""
    ada = page(cast.ada)

    def queries() -> int:
        ada.get(url("list"))
        with CaptureQueriesContext(connection) as captured:
            assert ada.get(url("list")).status_code == 200
        return len(captured)

    services.dataset_create(actor=cast.ada, name="d", version="1", dataset_type="benchmark")
    few = queries()
    for number in range(30):
        services.dataset_create(actor=cast.ada, name=f"d{number}", version="1", dataset_type="benchmark")
    assert queries() == few
    assert few <= 10


def test_failed_checks_are_explained(cast: Cast, page: Page) -> None:
    """FR-003a: the page says that the checks did not finish, and offers to run them again."""
    dataset = make_dataset(cast.ada)
    DatasetCheck.objects.filter(dataset=dataset).update(status="failed", message="The disk was full.")
    shown = text(page(cast.ada).get(url("detail", dataset)))
    assert "The checks did not finish" in shown
    assert "The disk was full." in shown
    assert "Run again" in shown


def test_approved_dataset_can_only_be_shared(cast: Cast, page: Page) -> None:
    """FR-003a: the edit page of an approved dataset holds nothing but its visibility."""
    dataset = make_approved_dataset(cast)
    ada = page(cast.ada)
    shown = text(ada.get(url("update", dataset)))
    assert 'name="visibility"' in shown
    assert 'name="metadata"' not in shown
    ada.post(url("update", dataset), {"visibility": "organisation"})
    dataset.refresh_from_db()
    assert dataset.visibility == "organisation"


def admin_action(client: Client, action: str, *datasets: Dataset) -> Any:
    """Run an action of the admin's list."""
    data = {"action": action, "_selected_action": [str(dataset.pk) for dataset in datasets]}
    return client.post(reverse("admin:datasets_dataset_changelist"), data, follow=True)


def test_admin_acts_through_the_services(cast: Cast, page: Page) -> None:
    """FR-001d, FR-010: the admin submits and approves by the same rules; the author is refused there too."""
    dataset = make_dataset(cast.dana, owner_team="support")
    dana = page(cast.dana)
    assert "support-questions" in text(dana.get(reverse("admin:datasets_dataset_changelist")))
    assert "rows.jsonl" in text(dana.get(reverse("admin:datasets_dataset_change", args=[dataset.pk])))
    admin_action(dana, "submit", dataset)
    dataset.refresh_from_db()
    assert dataset.status == "pending_review"
    answer = admin_action(dana, "approve", dataset)
    assert "somebody else must decide" in answer.content.decode()
    dataset.refresh_from_db()
    assert dataset.status == "pending_review"
    admin_action(page(cast.chen), "approve", dataset)
    dataset.refresh_from_db()
    assert dataset.status == "approved"
    assert dana.get(reverse("admin:datasets_dataset_add")).status_code == 403


def test_admin_is_closed_to_ada_and_eve(cast: Cast, page: Page) -> None:
    """P-3: who is no operator has no admin, so Ada cannot approve there either."""
    dataset = make_dataset(cast.ada)
    services.dataset_submit(actor=cast.ada, dataset_id=dataset.pk)
    for person in (cast.ada, cast.eve):
        admin_action(page(person), "approve", dataset)
        dataset.refresh_from_db()
        assert dataset.status == "pending_review"
    cast.ada.is_staff = True
    cast.ada.save()
    admin_action(page(cast.ada), "approve", dataset)
    dataset.refresh_from_db()
    assert dataset.status == "pending_review"


@pytest.mark.parametrize("model", ["dataset", "datasetcheck", "datasetfile", "piifinding"])
def test_admin_lists_open(cast: Cast, page: Page, model: str) -> None:
    """FR-003d: every entity is in the admin, read-only."""
    make_dataset(cast.ada, rows=pii_rows())
    assert page(cast.dana).get(reverse(f"admin:datasets_{model}_changelist")).status_code == 200


def test_few_values_are_shown_as_themselves(cast: Cast, page: Page) -> None:
    """FR-003b: a column of a few values has one bar for each, not a histogram of their lengths."""
    rows = [{**row, "ok": n % 4 > 0, "lang": "en" if n % 3 else "de"} for n, row in enumerate(clean_rows())]
    shown = text(page(cast.ada).get(url("detail", make_dataset(cast.ada, rows=rows))))
    for bar in ("<title>true: 18</title>", "<title>false: 6</title>", "<title>en: 16</title>", "<title>de: 8</title>"):
        assert bar in shown
