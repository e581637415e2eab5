"""What people do in the browser: filter lists, upload, decide."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Portal, Watched

Open = Callable[..., Watched]


def test_ada_can_filter_a_list_and_share_the_address(open_as: Open) -> None:
    """FR-003d: filters narrow the table in place, live in the address, survive a reload and the back button."""
    ada = open_as("ada")
    page = ada.page
    ada.go("/datasets/")
    rows = page.locator("#table tbody tr")
    everything = rows.count()
    page.get_by_label("Status").select_option("approved")
    expect(page).to_have_url(re.compile(r"/datasets/\?status=approved$"))
    expect(rows).not_to_have_count(everything)
    page.get_by_label("Name", exact=True).fill("answers")
    expect(page).to_have_url(re.compile("name=answers"))
    expect(rows).to_have_count(1)
    page.reload()
    expect(rows).to_have_count(1)
    expect(page.get_by_label("Name", exact=True)).to_have_value("answers")
    page.go_back()
    expect(page).to_have_url(re.compile(r"/datasets/\?status=approved$"))
    page.get_by_role("link", name="Clear").click()
    expect(rows).to_have_count(everything)
    assert ada.complaints == []


def test_ada_can_sort_a_list_by_its_head(open_as: Open) -> None:
    """Lists: the head says how it is sorted, to everybody."""
    ada = open_as("ada")
    page = ada.page
    ada.go("/datasets/")
    page.get_by_role("columnheader", name="Name").get_by_role("link").click()
    expect(page.get_by_role("columnheader", name="Name")).to_have_attribute("aria-sort", "ascending")
    names = page.locator("#table tbody tr td:first-child a").all_inner_texts()
    assert names == sorted(names)
    page.get_by_role("columnheader", name="Name").get_by_role("link").click()
    expect(page.get_by_role("columnheader", name="Name")).to_have_attribute("aria-sort", "descending")
    expect(page).to_have_url(re.compile("order=-name"))


def test_chen_can_approve_and_ben_can_send_back(open_as: Open) -> None:
    """FR-010: reviewers find what waits for them, read the checks, decide with notes; the queue shrinks."""
    chen = open_as("chen")
    page = chen.page
    chen.go("/approvals/?view=waiting")
    page.get_by_role("link", name="Decide about pending-one").click()
    panel = page.locator("#decision")
    expect(panel).to_contain_text("Please look at the tone.")
    expect(panel).to_contain_text("Personal data")
    panel.get_by_label("Notes").fill("Read ten rows, all fine.")
    panel.get_by_role("button", name="Approve").click()
    expect(page.locator("#toasts")).to_contain_text("approved")
    expect(page.get_by_role("link", name="Decide about pending-one")).to_have_count(0)
    assert chen.complaints == []

    ben = open_as("ben")
    ben.go("/approvals/?view=waiting")
    ben.page.get_by_role("link", name="Decide about pending-two").click()
    ben.page.locator("#decision").get_by_label("Notes").fill("Row 3 is rude.")
    ben.page.locator("#decision").get_by_role("button", name="Request changes").click()
    expect(ben.page.locator("#toasts")).to_contain_text("changes requested")

    ada = open_as("ada")
    ada.go("/approvals/?view=all&status=changes_requested")
    expect(ada.page.locator("#table")).to_contain_text("pending-two")


def test_ada_cannot_decide_about_her_own_work(open_as: Open) -> None:
    """FR-010, four eyes: no button for the author."""
    ada = open_as("ada")
    ada.go("/approvals/?view=all")
    expect(ada.page.locator("#table tbody tr").first).to_be_visible()
    expect(ada.page.get_by_role("link", name="Decide about")).to_have_count(0)


def test_eve_finds_nothing_of_team_support(open_as: Open, portal: Portal) -> None:
    """P-3: not in lists, not in the search, not by address."""
    eve = open_as("eve")
    page = eve.page
    for path in ("/", "/datasets/", "/models/", "/approvals/?view=all", "/search/?q=support"):
        eve.go(path)
        expect(page.locator("main")).not_to_contain_text("support-")
    for path in (f"/datasets/{portal.made['leaky_dataset']}/", f"/models/{portal.made['ready_model']}/"):
        eve.go(path)
        expect(page.get_by_role("heading", name="Nothing here")).to_be_visible()


def test_ada_can_upload_a_dataset_and_reads_what_is_wrong(open_as: Open) -> None:
    """FR-003a: a bad file is refused with its reason, a good one is checked by itself."""
    ada = open_as("ada")
    page = ada.page
    ada.go("/datasets/new/")
    page.get_by_label("Name").fill("from-the-browser")
    page.locator("#main form button[type=submit]").first.click()
    page.wait_for_url(re.compile(r"/datasets/[0-9a-f-]{36}/"))
    upload = page.locator("form[data-upload-api]").first
    upload.locator("input[type=file]").set_input_files(
        {"name": "rows.jsonl", "mimeType": "application/x-ndjson", "buffer": b'{"wrong": 1}\n'}
    )
    upload.get_by_role("button", name="Upload").click()
    expect(upload.locator(".upload-file.tone-danger")).to_be_visible()
    good = b"".join(b'{"instruction": "Question %d?", "response": "Answer %d."}\n' % (n, n) for n in range(30))
    upload.locator("input[type=file]").set_input_files(
        {"name": "rows.jsonl", "mimeType": "application/x-ndjson", "buffer": good}
    )
    upload.get_by_role("button", name="Upload").click()
    expect(page.locator("main")).to_contain_text("Question 3?")
    assert ada.complaints == []


def test_ada_can_make_and_revoke_a_token(open_as: Open) -> None:
    """P-2: shown once with a copy button, revoked after a question in a dialog."""
    ada = open_as("ada", permissions=["clipboard-read", "clipboard-write"])
    page = ada.page
    ada.go("/account/tokens/new/")
    page.get_by_label("Name").fill("browser test")
    page.get_by_role("button", name="Make the token").click()
    value = page.locator("#token-value").inner_text()
    assert value.startswith("llmops_")
    page.locator(".secret-once").get_by_role("button", name="Copy").click()
    expect(page.locator("#toasts")).to_contain_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == value
    page.get_by_role("link", name="I have copied it").click()
    row = page.get_by_role("row").filter(has_text="browser test")
    row.get_by_role("button", name="Revoke").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("browser test")
    dialog.get_by_role("button", name="Cancel").click()
    expect(row).to_contain_text("Active")
    row.get_by_role("button", name="Revoke").click()
    dialog.get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("row").filter(has_text="browser test")).to_contain_text("Revoked")
    assert ada.complaints == []


@pytest.mark.parametrize("person", ["ada", "dana", "finn"])
def test_navigation_offers_only_what_opens(open_as: Open, person: str) -> None:
    """Every entry of the sidebar leads to a page for whoever sees it."""
    someone = open_as(person)
    page = someone.page
    someone.go("/")
    links = page.get_by_role("navigation", name="Main").get_by_role("link")
    addresses = [link.get_attribute("href") for link in links.all()]
    assert "/datasets/" in addresses
    for address in addresses:
        answer = page.goto(f"{someone.portal.url}{address}")
        assert answer is not None
        assert answer.status == 200, address
