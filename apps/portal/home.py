"""What the home page shows: what waits for a person, what is going on, how much there is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, QuerySet
from django.urls import reverse

from apps.accounts.models import User
from apps.core import clock
from apps.core.models import Operation, OperationStatus
from apps.core.permissions import visible_to
from apps.evaluation.selectors import reviews_waiting, runs_visible_to
from apps.governance import selectors as governance
from apps.governance.registry import subjects
from apps.portal.sources import SOURCES, Source

ACTIVE = ("queued", "running", "deploying", "awaiting_review")
FAILED_FOR = timedelta(days=7)
SHOWN = 6


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a home page list."""

    icon: str
    title: str
    text: str
    url: str
    at: datetime
    status: str = ""
    progress: int | None = None
    action: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """One card: how many there are, and what is notable among them."""

    label: str
    icon: str
    url: str
    value: int
    hint: str


def waiting_for(actor: User) -> list[Item]:
    """Approvals to decide, samples to review, then own things that failed lately."""
    items = []
    for approval in governance.approvals_waiting_for(actor)[:SHOWN]:
        subject = subjects.find(approval.kind)
        label = subject.label if subject else approval.kind
        asker = approval.created_by.display_name if approval.created_by else "the system"
        items.append(
            Item(
                icon="checkbox",
                title=approval.title,
                text=f"{label} of team {approval.team.name}, asked by {asker}",
                url=f"{reverse('portal:approval-list')}?view=waiting",
                at=approval.created_at,
                status="pending_review",
                action="Decide",
            )
        )
    return [*items, *_reviews(actor), *_failed(actor)]


def going_on(actor: User) -> list[Item]:
    """What runs or waits for its turn, newest first, with progress where it is known."""
    items: list[Item] = []
    for source in SOURCES:
        if source.kind in {"dataset", "model"}:
            continue
        items.extend(_item(source, obj) for obj in _with_status(source, actor, ACTIVE)[:SHOWN])
    operations = visible_to(actor, Operation.objects.all()).filter(
        status__in=[OperationStatus.QUEUED, OperationStatus.RUNNING]
    )
    urls = {source.kind: source for source in SOURCES}
    for operation in operations.order_by("-created_at")[:SHOWN]:
        target = urls.get(operation.target_type)
        items.append(
            Item(
                icon="loader-2",
                title=operation.kind.replace("_", " ").replace(".", " ").capitalize(),
                text=operation.message,
                url=target.page_of(operation.target_id) if target else "",
                at=operation.created_at,
                status=operation.status,
                progress=operation.progress,
            )
        )
    return sorted(items, key=lambda item: item.at, reverse=True)[: 2 * SHOWN]


def counts(actor: User) -> list[Tally]:
    """Cards over everything visible."""
    notable = {
        "dataset": ("approved", "approved"),
        "model": ("approved", "approved"),
        "training_job": ("running", "running now"),
        "evaluation_run": ("awaiting_review", "await reviews"),
        "serving_endpoint": ("healthy", "healthy"),
    }
    found = []
    for source in SOURCES:
        visible = source.visible_to(actor)
        status, words = notable[source.kind]
        some = visible.filter(status=status).count()
        found.append(Tally(source.plural, source.icon, source.url, visible.count(), f"{some} {words}"))
    return found


def _reviews(actor: User) -> list[Item]:
    """Runs with samples that wait for this person's judgement, oldest first."""
    waiting = reviews_waiting(actor)
    per_run = list(waiting.order_by("run_id").values("run_id").annotate(samples=Count("pk", distinct=True)))
    samples = {row["run_id"]: row["samples"] for row in per_run}
    runs = runs_visible_to(actor).filter(pk__in=samples).order_by("created_at")[:SHOWN]
    return [
        Item(
            icon="eye-check",
            # Reviews are blind: not a word about the model.
            title=f"Answers to {run.dataset}",
            text=f"{samples[run.pk]} to review for team {run.team.name}",
            url=reverse("evaluation:review-create", args=[run.pk]),
            at=run.created_at,
            status="awaiting_review",
            action="Review",
        )
        for run in runs
    ]


def _failed(actor: User) -> list[Item]:
    items: list[Item] = []
    since = clock.now() - FAILED_FOR
    for source in SOURCES:
        if source.kind in {"dataset", "model"}:
            continue
        failed = _with_status(source, actor, ("failed",))
        own = failed.filter(created_by=actor, updated_at__gte=since)[:SHOWN]
        items.extend(_item(source, obj, action="Look") for obj in own)
    return items


def _with_status(source: Source, actor: User, statuses: tuple[str, ...]) -> QuerySet[Any]:
    return source.visible_to(actor).filter(status__in=statuses).order_by("-created_at")


def _item(source: Source, obj: Any, action: str = "") -> Item:
    return Item(
        icon=source.icon,
        title=str(obj),
        text=f"{source.label} of team {obj.team.name}",
        url=source.url_of(obj),
        at=obj.created_at,
        status=obj.status,
        progress=getattr(obj, "progress", None),
        action=action,
    )
