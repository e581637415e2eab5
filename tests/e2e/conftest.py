"""A browser, and a portal process of its own with a database of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.db import connection
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from launcher.chromium import find_chromium
from launcher.paths import ROOT
from tests.support.cast import PASSWORD

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NODE_MODULES = ROOT / "node_modules"


@dataclass
class Portal:
    """The running portal and what it holds."""

    url: str
    made: dict[str, Any]
    var: Path
    sessions: dict[str, Any] = field(default_factory=dict)


@dataclass
class Watched:
    """A page of one person, with everything that the browser complained about."""

    page: Page
    portal: Portal
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        """Open a page of the portal; parts that load after it are waited for (they are dimmed until then)."""
        self.page.goto(self.portal.url + path)
        expect(self.page.locator(".htmx-request, .htmx-settling, .htmx-swapping")).to_have_count(0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests here drive a browser."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def portal(migrated_db: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal process with the cast in it. Browsers need committed data, and the audit trail refuses to be emptied,
    so the tests of this folder get a copy of the migrated database."""
    if not (NODE_MODULES / "htmx.org").is_dir():
        pytest.skip("node_modules is missing; `make test` installs it (npm is needed)")
    name = f"e2e_{os.getpid()}"
    server = urlsplit(os.environ["DATABASE_URL"])
    with django_db_blocker.unblock():
        connection.close()  # a template must have no visitors
    source = connection.settings_dict["NAME"]
    _sql(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'CREATE DATABASE "{name}" TEMPLATE "{source}"')
    var = tmp_path_factory.mktemp("portal")
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "DATABASE_URL": urlunsplit(server._replace(path=f"/{name}")),
        "DJANGO_SETTINGS_MODULE": "llmops.settings.test",
        "LLMOPS_VAR_DIR": str(var),
        "LLMOPS_PUBLIC_URL": url,
        "LLMOPS_READ_ENV_FILES": "false",
    }
    made = _python(environment, "-m", "tests.e2e.world")
    log = var / "portal.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_ready(url, process, log)
        yield Portal(url, json.loads(made.splitlines()[-1]), var)
    finally:
        process.terminate()
        process.wait(timeout=20)
        _sql(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium, the system's or the one that `make test` fetched. Ends with this package: while Playwright's loop
    runs in this thread, Django takes every query for one from async code (so no test here touches the database)."""
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium found; install one (apt-get install chromium) or set LLMOPS_CHROMIUM to its path")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def contexts(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Browser profiles, closed at the end of the test."""
    opened: list[BrowserContext] = []

    def make(**options: Any) -> BrowserContext:
        context = browser.new_context(**{"viewport": {"width": 1360, "height": 900}, **options})
        context.set_default_timeout(15_000)
        opened.append(context)
        return context

    yield make
    for context in opened:
        context.close()


@pytest.fixture
def open_as(portal: Portal, contexts: Callable[..., BrowserContext]) -> Callable[..., Watched]:
    """``open_as("ada")`` → her home page, signed in (by the form, the first time); ``open_as(None)`` → nobody's."""

    def make(person: str | None, **options: Any) -> Watched:
        context = contexts(**options)
        page = context.new_page()
        watched = Watched(page, portal)
        page.on("pageerror", lambda error: watched.complaints.append(f"error: {error}"))
        page.on(
            "console",
            lambda message: (
                watched.complaints.append(f"{page.url}: {message.text}")
                if message.type == "error" and "Failed to load resource" not in message.text
                else None
            ),
        )
        if person in portal.sessions:
            context.add_cookies(portal.sessions[person])
            watched.go("/")
        elif person is not None:
            watched.go("/account/sign-in/")
            page.get_by_label("User name").fill(person)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_url(lambda url: "/sign-in/" not in url)
            portal.sessions[person] = context.cookies()
        return watched

    return make


def _python(environment: dict[str, str], *arguments: str) -> str:
    """Run Python in the portal's environment and return what it printed."""
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def _sql(server: Any, *statements: str) -> None:
    """Run statements on the server's maintenance database, outside a transaction."""
    with psycopg.connect(urlunsplit(server._replace(path="/postgres")), autocommit=True) as link:
        for statement in statements:
            link.execute(statement.encode())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with socket.create_connection(("127.0.0.1", urlsplit(url).port or 80), timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"The portal did not start: {log.read_text(errors='replace')[-4000:]}")
