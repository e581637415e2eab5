"""The sidebar: names of pages only, so that the kernel knows no app above it.

An entry whose page is not installed, or which the person may not open, is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from apps.core.permissions import can


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the sidebar. `action`: who may not do it anywhere does not see the entry. `also`: pages elsewhere
    that belong to it."""

    label: str
    icon: str
    url_name: str
    action: str = ""
    staff_only: bool = False
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """A resolved entry."""

    label: str
    icon: str
    url: str
    active: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Entries under one small heading."""

    label: str
    items: list[Link]


NAVIGATION: tuple[tuple[str, tuple[Entry, ...]], ...] = (
    (
        "",
        (
            Entry("Home", "home", "portal:home"),
            Entry("Approvals", "checkbox", "portal:approval-list", also=("/governance/approvals/",)),
        ),
    ),
    (
        "Build",
        (
            Entry("Datasets", "database", "datasets:dataset-list"),
            Entry("Models", "box", "catalog:model-list"),
            Entry("Training", "chart-line", "training:job-list"),
            Entry("Evaluations", "clipboard-check", "evaluation:run-list"),
        ),
    ),
    (
        "Serve",
        (
            Entry("Endpoints", "cloud-computing", "serving:endpoint-list"),
            Entry("Chat", "message-circle", "gateway:chat"),
        ),
    ),
    (
        "Govern",
        (
            Entry("Costs", "coins", "governance:cost-list", action="cost.view"),
            Entry("Policies", "shield-check", "governance:policy-list", action="policy.view"),
            Entry("PII rules", "eye-off", "datasets:pii-rule-list", action="pii_rule.view"),
            Entry("Audit", "history", "governance:audit-list", action="audit.view"),
            Entry("Health", "heartbeat", "portal:health"),
        ),
    ),
    (
        "System",
        (
            Entry("Admin", "settings", "admin:index", staff_only=True),
            Entry("API docs", "api", "docs"),
        ),
    ),
)


def navigation_groups(request: HttpRequest) -> list[Group]:
    """The sidebar for this request, current place marked (the longest matching address wins)."""
    groups = [
        (label, [(entry, url) for entry in entries if (url := _url(entry)) and _may_open(request, entry)])
        for label, entries in NAVIGATION
    ]
    places = [(prefix, url) for _, entries in groups for entry, url in entries for prefix in (url, *entry.also)]
    current = max(
        (
            place
            for place in places
            if request.path == place[0] or (place[0] != "/" and request.path.startswith(place[0]))
        ),
        key=lambda place: len(place[0]),
        default=("", ""),
    )[1]
    return [
        Group(label, [Link(entry.label, entry.icon, url, url == current) for entry, url in entries])
        for label, entries in groups
        if entries
    ]


def _url(entry: Entry) -> str:
    try:
        return reverse(entry.url_name)
    except NoReverseMatch:
        return ""


def _may_open(request: HttpRequest, entry: Entry) -> bool:
    user = request.user
    if not user.is_authenticated:
        return False
    if entry.staff_only and not user.is_staff:
        return False
    return not entry.action or can(user, entry.action)
