"""The chat page and the endpoint pages in a real browser, with the gateway and the portal behind one port."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from a2wsgi import WSGIMiddleware
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.wsgi import get_wsgi_application
from django.test import Client
from playwright.sync_api import Browser, Page, expect, sync_playwright

from apps.accounts.models import User
from apps.gateway.asgi import Gateway
from apps.gateway.config import GatewayConfig
from apps.gateway.dispatch import Dispatcher
from apps.gateway.upstream import UpstreamLimits
from apps.serving.models import Endpoint
from launcher.chromium import find_chromium
from launcher.paths import ROOT
from tests.support.asgi_server import AsgiServer
from tests.support.cast import Cast
from tests.support.model_server import ANSWER, ModelServer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
AXE_RUN = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
  .filter((item) => ["serious", "critical"].includes(item.impact))
  .map((item) => item.id + " " + item.nodes.slice(0, 3).map((node) => node.target.join(" ")).join(", "))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium found; install one (apt-get install chromium) or set LLMOPS_CHROMIUM to its path")
    if not (ROOT / "node_modules" / "htmx.org").is_dir():
        pytest.skip("node_modules is missing; `make test` installs it (npm is needed)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        # Playwright's loop runs in this thread, which Django would take for async code.
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
        yield started
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]
        started.close()


@pytest.fixture
def port(transactional_db: None, tmp_path: Path) -> Iterator[AsgiServer]:
    """Portal and gateway behind one port."""
    config = replace(GatewayConfig.from_settings(), spool=tmp_path / "spool", limits=UpstreamLimits(silence_seconds=20))
    portal = WSGIMiddleware(StaticFilesHandler(get_wsgi_application()))  # type: ignore[arg-type]
    server = AsgiServer(Dispatcher(gateway=Gateway(config), portal=portal)).start()
    yield server
    server.stop()


Open = Callable[..., Page]


@pytest.fixture
def open_as(browser: Browser, port: AsgiServer) -> Iterator[Open]:
    """``open_as(cast.ada, "/chat/")`` → the page; complaints of the browser fail the test at its end."""
    complaints: list[str] = []
    contexts = []

    def make(user: User, path: str, **options: Any) -> Page:
        client = Client()
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        context = browser.new_context(**{"viewport": {"width": 1360, "height": 900}, **options})
        context.set_default_timeout(15_000)
        cookies = [{"name": name, "value": one.value, "url": port.url} for name, one in client.cookies.items()]
        context.add_cookies(cookies)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda said: (
                complaints.append(said.text)
                if said.type == "error" and "Failed to load resource" not in said.text
                else None
            ),
        )
        page.goto(port.url + path)
        return page

    yield make
    for context in contexts:
        context.close()
    assert complaints == []


def shot(page: Page, name: str) -> None:
    """A picture for whoever looks at the pages (LLMOPS_SCREENSHOT_DIR)."""
    folder = os.environ.get("LLMOPS_SCREENSHOT_DIR")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


def check(page: Page) -> None:
    """Accessible, and no wider than its window."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    assert page.evaluate(AXE_RUN) == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_ada_can_chat_by_keyboard(cast: Cast, open_as: Open, endpoint: Endpoint, scheme: str) -> None:
    """FR-006c: pick, ask, see the answer stream in, with latency and tokens; the history goes along."""
    page = open_as(cast.ada, "/chat/", color_scheme=scheme, reduced_motion="reduce")
    expect(page.get_by_text("Ask something")).to_be_visible()
    check(page)
    shot(page, f"chat-empty-{scheme}")
    page.keyboard.type("How do I reset it?")
    page.keyboard.press("Enter")
    expect(page.get_by_text(ANSWER)).to_be_visible()
    expect(page.get_by_text("5 tokens read, 7 written")).to_be_visible()
    page.keyboard.type("And then?")
    page.keyboard.press("Enter")
    expect(page.get_by_text(ANSWER)).to_have_count(2)
    check(page)
    shot(page, f"chat-{scheme}")
    page.get_by_role("button", name="New conversation").click()
    expect(page.get_by_text("Ask something")).to_be_visible()


def test_the_history_and_settings_go_along(
    cast: Cast, open_as: Open, endpoint: Endpoint, upstream: ModelServer
) -> None:
    """FR-006c: temperature, longest answer, instruction and earlier turns are sent."""
    page = open_as(cast.ada, "/chat/")
    page.get_by_label("Longest answer").fill("3")
    page.get_by_label("Instruction").fill("Be brief.")
    page.get_by_label("Your message").fill("one")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("You can reset", exact=True)).to_be_visible()
    page.get_by_label("Your message").fill("two")
    page.keyboard.press("Enter")
    expect(page.get_by_text("You can reset", exact=True)).to_have_count(2)
    sent = upstream.requests[-1]
    assert [message["content"] for message in sent["messages"]] == ["Be brief.", "one", "You can reset", "two"]
    assert (sent["max_tokens"], sent["temperature"]) == (3, 0.7)


def test_an_answer_can_be_stopped(cast: Cast, open_as: Open, endpoint: Endpoint, upstream: ModelServer) -> None:
    """FR-006c: Stop (or Escape) ends the answer and the model server's work; what came stays."""
    page = open_as(cast.ada, "/chat/")
    page.get_by_label("Your message").fill("!endless")
    page.keyboard.press("Enter")
    expect(page.get_by_text("word word word")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("stopped")).to_be_visible()
    assert upstream.abandoned_event.wait(5)


def test_trouble_is_told_in_words(cast: Cast, open_as: Open, endpoint: Endpoint) -> None:
    """FR-006c: an error before or within the answer is shown at it."""
    page = open_as(cast.ada, "/chat/")
    for text, words in (("!status 500", "answered 500"), ("!die", "broke off")):
        page.get_by_label("Your message").fill(text)
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert").filter(has_text=words)).to_be_visible()
    shot(page, "chat-trouble")


def test_pages_of_an_endpoint(cast: Cast, open_as: Open, endpoint: Endpoint) -> None:
    """FR-006a: list, detail and deploy form: accessible in both themes, also on a narrow screen."""
    for scheme in ("light", "dark"):
        for width in (1360, 390):
            for name, path in (
                ("list", "/endpoints/"),
                ("detail", endpoint.get_absolute_url()),
                ("form", "/endpoints/new/"),
                ("redeploy", f"{endpoint.get_absolute_url()}redeploy/"),
                ("chat", "/chat/"),
            ):
                page = open_as(
                    cast.ada,
                    path,
                    color_scheme=scheme,
                    reduced_motion="reduce",
                    viewport={"width": width, "height": 900},
                )
                check(page)
                shot(page, f"{name}-{scheme}-{width}")
                page.close()


def test_empty_pages_say_what_to_do(cast: Cast, open_as: Open, endpoint: Endpoint) -> None:
    """P-3, FR-006c: Eve, who sees nothing of team support, is told what to do next."""
    page = open_as(cast.eve, "/chat/")
    expect(page.get_by_text("Nobody to talk to yet")).to_be_visible()
    page = open_as(cast.eve, "/endpoints/")
    expect(page.get_by_text("No endpoints yet")).to_be_visible()
    page = open_as(cast.eve, "/endpoints/new/")
    expect(page.get_by_text("No approved model")).to_be_visible()
    shot(page, "empty-form")
