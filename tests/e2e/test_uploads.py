"""Uploads in the browser: progress, a broken connection, a reload, mistakes; and the same form without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Route, expect

from tests.e2e.conftest import Portal, Watched

Open = Callable[..., Watched]


def rows(count: int, text: str = "Question") -> bytes:
    """Instruction pairs as JSON Lines."""
    return b"".join(
        b'{"instruction": "%s %d?", "response": "Answer %d."}\n' % (text.encode(), n, n) for n in range(count)
    )


def new_dataset(ada: Watched, name: str) -> None:
    """A draft of Ada's, open in the browser."""
    ada.go("/datasets/new/")
    ada.page.get_by_label("Name").fill(name)
    ada.page.locator("#main form button[type=submit]").first.click()
    ada.page.wait_for_url(re.compile(r"/datasets/[0-9a-f-]{36}/"))


def choose(page: Page, *files: tuple[str, bytes]) -> None:
    """Pick files in the first upload form."""
    payload: list[Any] = [{"name": name, "mimeType": "application/x-ndjson", "buffer": data} for name, data in files]
    page.locator("form[data-upload-api] input[type=file]").first.set_input_files(payload)


def test_ada_can_go_on_after_a_break_and_a_reload(open_as: Open) -> None:
    """FR-003a: a connection that breaks is resumed by itself; after a reload the same file goes on where it was."""
    ada = open_as("ada")
    page = ada.page
    new_dataset(ada, "resumed-in-the-browser")
    content = rows(36_000, "x" * 950 + " Question")  # three pieces
    assert len(content) > 2 * 16 * 1024 * 1024
    offsets: list[str] = []
    broken = {"once": False, "always": False}

    def piece(route: Route) -> None:
        offsets.append(route.request.headers["upload-offset"])
        if broken["always"] or (len(offsets) == 2 and not broken["once"]):
            broken["once"] = True
            route.abort("connectionreset")
        else:
            route.continue_()
            broken["always"] = len(offsets) == 3

    page.route(
        re.compile(r"/uploads/[0-9a-f-]{36}$"),
        lambda route: piece(route) if route.request.method == "PATCH" else route.continue_(),
    )
    place = Path(ada.portal.var) / "big.jsonl"
    place.write_bytes(content)
    chooser = page.locator("form[data-upload-api] input[type=file]").first
    chooser.set_input_files(place)
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.locator(".upload-file")).to_contain_text("Trying again", timeout=30_000)
    page.wait_for_function("() => document.querySelector('.upload-file progress').value > 60", timeout=60_000)
    assert offsets[:3] == ["0", "16777216", "16777216"]
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    expect(page.locator(".upload-file")).to_contain_text("Choose the file again")
    page.unroute_all()
    sent: list[str] = []
    page.on(
        "request",
        lambda request: sent.append(request.headers.get("upload-offset", "")) if request.method == "PATCH" else None,
    )
    page.locator("form[data-upload-api] input[type=file]").first.set_input_files(place)
    expect(page.locator(".upload-file")).to_have_count(1)
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.locator("main")).to_contain_text("36,000", timeout=90_000)
    # What had arrived of the piece that was cut off is not sent again either.
    assert sent
    assert all(int(offset) >= 33_554_432 for offset in sent)
    assert [line for line in ada.complaints if "connection" not in line.lower()] == []


def test_ada_can_mend_one_of_several_files(open_as: Open) -> None:
    """FR-003a: what is wrong is listed, the bad file is marked, only the mended one is sent again."""
    ada = open_as("ada")
    page = ada.page
    new_dataset(ada, "mended-in-the-browser")
    choose(page, ("good.jsonl", rows(30)), ("bad.jsonl", rows(3) + b"nonsense\n" * 3))
    expect(page.locator(".upload-file")).to_have_count(2)
    page.get_by_role("button", name="Upload", exact=True).click()
    problems = page.locator("[data-upload-problems]")
    expect(problems).to_contain_text("bad.jsonl, line 4")
    expect(page.locator(".upload-file.tone-danger")).to_contain_text("bad.jsonl")
    expect(page.locator(".upload-file.tone-success")).to_contain_text("good.jsonl")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "PATCH" else None)
    choose(page, ("bad.jsonl", rows(5, "Mended")))
    expect(page.locator(".upload-file")).to_have_count(2)
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.locator("main")).to_contain_text("Question 3?")
    assert len(sent) == 1
    assert ada.complaints == []


def test_ada_can_upload_model_files_and_remove_one(open_as: Open, portal: Portal) -> None:
    """FR-001a: several files of a model in one go; one is removed before."""
    ada = open_as("ada")
    page = ada.page
    ada.go(f"/models/{portal.made['ready_model']}/")
    choose(page, ("special_tokens_map.json", b"{}"), ("vocab.txt", b"a\n"))
    page.get_by_role("button", name="Remove vocab.txt").click()
    expect(page.locator(".upload-file")).to_have_count(1)
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.locator("#files")).to_contain_text("special_tokens_map.json")
    expect(page.locator("#files")).not_to_contain_text("vocab.txt")
    assert ada.complaints == []


def test_ada_can_upload_without_javascript(open_as: Open) -> None:
    """FR-003a: the same form sends everything in one request where scripts are off."""
    ada = open_as("ada")
    new_dataset(ada, "without-scripts")
    address = ada.page.url
    plain = open_as("ada", java_script_enabled=False)
    plain.page.goto(address)
    choose(plain.page, ("rows.jsonl", rows(30)))
    plain.page.get_by_role("button", name="Upload", exact=True).click()
    expect(plain.page.locator("main")).to_contain_text("Question 3?")
