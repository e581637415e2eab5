"""Every main page: nothing against the Content-Security-Policy, accessible, no sideways scroll."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from launcher.paths import ROOT
from tests.e2e.conftest import NODE_MODULES, Watched

Open = Callable[..., Watched]

PAGES = (
    "/",
    "/approvals/",
    "/approvals/?view=all",
    "/search/?q=support",
    "/health/",
    "/account/",
    "/account/tokens/",
    "/account/tokens/new/",
    "/datasets/",
    "/datasets/new/",
    "/datasets/{approved_dataset}/",
    "/datasets/{leaky_dataset}/",
    "/datasets/{leaky_dataset}/?q=router&order=-instruction",
    "/datasets/{leaky_dataset}/edit/",
    "/datasets/{leaky_dataset}/split/",
    "/datasets/{leaky_dataset}/repairs/",
    "/datasets/{leaky_dataset}/delete/",
    "/datasets/{approved_dataset}/compare/?other={leaky_dataset}&key=",
    "/datasets/deleted/",
    "/models/",
    "/models/new/",
    "/models/{ready_model}/",
    "/models/{bare_model}/",
    "/models/{external_model}/",
    "/models/imports/",
    "/models/imports/new/",
    "/models/imports/bundle/",
    "/models/{base_model}/",
    "/models/{base_model}/compare/{ready_model}/",
    "/models/{base_model}/compare/{ready_model}/?show=all",
    "/models/lineage/model/{base_model}/",
    "/models/lineage/dataset/{approved_dataset}/?direction=down&depth=2",
    "/governance/notices/",
    "/training/",
    "/training/new/",
    "/training/{running_job}/",
    "/training/{failed_job}/",
    "/training/{running_job}/experiment/",
    "/evaluations/",
    "/evaluations/new/",
    "/evaluations/{run}/",
    "/evaluations/{reviewed_run}/",
    "/evaluations/compare/?runIds={other_run},{run}",
    "/endpoints/",
    "/endpoints/new/",
    "/endpoints/{endpoint}/",
    "/chat/",
    "/governance/costs/",
)
REVIEWER_PAGES = ("/", "/approvals/", "/evaluations/reviews/", "/evaluations/reviews/{waiting_run}/")
ADMIN_PAGES = (
    "/governance/audit/",
    "/governance/audit/verify/",
    "/governance/policies/",
    "/governance/policies/new/",
    "/datasets/pii-rules/",
    "/datasets/pii-rules/new/",
    "/datasets/pii-rules/try/",
    "/governance/prices/",
    "/governance/costs/",
)
AXE = """async (rules) => {
  const found = await axe.run(document, {resultTypes: ["violations"], ...(rules && {runOnly: rules})});
  return found.violations.filter((item) => ["serious", "critical"].includes(item.impact))
    .map((item) => [item.id, item.help, ...item.nodes.slice(0, 3).map((node) => node.target.join(" "))].join(" | "));
}"""


def _findings(watched: Watched, rules: list[str] | None = None) -> list[str]:
    # evaluate() is not subject to the page's policy, so axe needs no exception in it.
    watched.page.evaluate((NODE_MODULES / "axe-core" / "axe.min.js").read_text(encoding="utf-8"))
    found: list[str] = watched.page.evaluate(AXE, rules)
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible_and_obeys_the_policy(open_as: Open, scheme: str) -> None:
    """Portal: keyboard and screen reader users are served in both themes; no inline script or style slips in."""
    # The dark page has the same structure, only other colours.
    rules = ["color-contrast"] if scheme == "dark" else None
    problems: dict[str, Any] = {}
    for person, paths in (("ada", PAGES), ("ben", REVIEWER_PAGES), ("dana", ADMIN_PAGES)):
        someone = open_as(person, color_scheme=scheme, reduced_motion="reduce")
        for path in paths:
            someone.go(path.format(**someone.portal.made))
            if found := _findings(someone, rules):
                problems[path] = found
        assert someone.complaints == []
    assert problems == {}


def test_sign_in_page_is_accessible(open_as: Open) -> None:
    """The one page that everybody meets."""
    nobody = open_as(None)
    nobody.go("/account/sign-in/")
    assert _findings(nobody) == []
    assert nobody.complaints == []


def test_no_page_scrolls_sideways_on_a_narrow_screen(open_as: Open) -> None:
    """Narrow screens: tables scroll inside their card, also by keyboard; the page never does."""
    wide: dict[str, Any] = {}
    for person, paths in (("ada", PAGES), ("ben", REVIEWER_PAGES), ("dana", ADMIN_PAGES)):
        someone = open_as(person, viewport={"width": 390, "height": 844})
        for path in paths:
            someone.go(path.format(**someone.portal.made))
            excess = someone.page.evaluate("document.documentElement.scrollWidth - innerWidth")
            if excess > 0:
                wide[path] = excess
            if found := _findings(someone, ["scrollable-region-focusable"]):
                wide[path] = found
    assert wide == {}


@pytest.mark.skipif(
    not os.environ.get("LLMOPS_SCREENSHOTS"), reason="LLMOPS_SCREENSHOTS=1 writes the README's screenshot"
)
def test_screenshot_for_the_readme(open_as: Open) -> None:
    """The README shows what the browser shows."""
    ada = open_as("ada", viewport={"width": 1280, "height": 800}, device_scale_factor=1.5)
    ada.go("/")
    target = ROOT / "docs" / "images" / "home.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    ada.page.screenshot(path=str(target))
