"""Sign-in, themes, keyboard, narrow screens: what every page shares."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Watched
from tests.support.cast import PASSWORD

Open = Callable[..., Watched]


def test_anyone_can_sign_in_and_out_and_comes_back_to_the_wanted_page(open_as: Open) -> None:
    """P-2: sign-in by session; the wanted page is remembered; sign-out ends it."""
    nobody = open_as(None)
    nobody.go("/approvals/?view=all")
    page = nobody.page
    assert "/account/sign-in/" in page.url
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/approvals/?view=all")
    page.get_by_role("button", name=re.compile("account menu")).click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/account/sign-in/")
    nobody.go("/")
    assert "/account/sign-in/" in page.url
    assert nobody.complaints == []


def test_nobody_can_sign_in_with_a_wrong_password(open_as: Open) -> None:
    """P-2: the answer names neither account nor password."""
    nobody = open_as(None)
    nobody.go("/account/sign-in/")
    page = nobody.page
    page.get_by_label("User name").fill("finn")
    page.get_by_label("Password").fill("not-the-password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("user name or the password is wrong")
    assert page.get_by_label("User name").input_value() == "finn"
    assert page.get_by_label("Password").input_value() == ""


def test_ada_can_choose_the_theme_and_it_stays(open_as: Open) -> None:
    """Dark mode: chosen in the menu, kept over pages, without a flash of the other one."""
    ada = open_as("ada", color_scheme="light")
    page = ada.page
    html = page.locator("html")
    expect(html).to_have_attribute("data-bs-theme", "light")
    page.get_by_role("button", name="Colour theme").click()
    page.get_by_role("menuitemradio", name="Dark").click()
    expect(html).to_have_attribute("data-bs-theme", "dark")
    ada.go("/approvals/")
    expect(html).to_have_attribute("data-bs-theme", "dark")
    page.get_by_role("button", name="Colour theme").click()
    page.get_by_role("menuitemradio", name="As the system").click()
    expect(html).to_have_attribute("data-bs-theme", "light")
    page.emulate_media(color_scheme="dark")
    expect(html).to_have_attribute("data-bs-theme", "dark")
    assert ada.complaints == []


def test_ada_can_reach_content_and_search_by_keyboard(open_as: Open) -> None:
    """The first tab stop skips the navigation; "/" goes to the search."""
    ada = open_as("ada")
    page = ada.page
    ada.go("/approvals/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    page.keyboard.press("/")
    expect(page.locator("#global-search")).to_be_focused()
    page.keyboard.type("zebra")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search/?q=zebra")
    expect(page.get_by_role("heading", level=1)).to_contain_text("zebra")


def test_ada_can_use_the_menu_on_a_narrow_screen(open_as: Open) -> None:
    """Narrow screens: the sidebar slides in and closes again."""
    ada = open_as("ada", viewport={"width": 390, "height": 844})
    page = ada.page
    link = page.get_by_role("navigation", name="Main").get_by_role("link", name="Approvals")
    expect(link).to_be_hidden()
    page.get_by_role("button", name="Open the menu").click()
    expect(link).to_be_visible()
    link.click()
    page.wait_for_url("**/approvals/")
    expect(link).to_be_hidden()


@pytest.mark.parametrize("path", ["/no-such-page", "/approvals/00000000-0000-0000-0000-000000000000/decide/"])
def test_ada_cannot_open_what_does_not_exist(open_as: Open, path: str) -> None:
    """P-1: an unknown page and an invisible thing read alike, and say what to do."""
    ada = open_as("ada")
    ada.go(path)
    expect(ada.page.get_by_role("heading", name="Nothing here")).to_be_visible()
    assert ada.complaints == []


def test_an_expired_session_moves_the_whole_window_to_sign_in(open_as: Open) -> None:
    """A fragment of a signed-out page never swaps the sign-in page into a table."""
    ada = open_as("ada")
    page = ada.page
    ada.go("/approvals/?view=all")
    page.context.clear_cookies()
    page.get_by_role("combobox", name="Status").select_option("approved")
    page.wait_for_url(re.compile("/account/sign-in/\\?next="))
