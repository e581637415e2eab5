"""Where home and search look: every domain's own selector, so that what somebody may not see is not there."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Model, Q, QuerySet
from django.urls import NoReverseMatch, reverse
from django.utils.module_loading import import_string

from apps.accounts.models import User


@dataclass(frozen=True, slots=True)
class Source:
    """One kind of thing: how it is called, its selector, its pages, and the columns that a search looks
    at."""

    kind: str
    label: str
    plural: str
    icon: str
    selector: str
    list_url: str
    detail_url: str
    columns: tuple[str, ...]

    def visible_to(self, actor: User) -> QuerySet[Any] | None:
        """What the person may see."""
        try:
            selector: Callable[[User], QuerySet[Any]] = import_string(self.selector)
        except ImportError:
            return None
        return selector(actor)

    def matching(self, actor: User, text: str) -> QuerySet[Any] | None:
        """Things whose columns hold every word of `text`."""
        found = self.visible_to(actor)
        if found is None:
            return None
        for word in text.split()[:8]:
            condition = Q()
            for column in self.columns:
                condition |= Q(**{f"{column}__icontains": word})
            found = found.filter(condition)
        return found

    def named(self, actor: User, ids: Collection[str]) -> dict[str, tuple[str, str]]:
        """Name and page of those among `ids` that exist for the person; one query."""
        visible = self.visible_to(actor) if ids else None
        if visible is None:
            return {}
        return {str(obj.pk): (str(obj), self.url_of(obj)) for obj in visible.filter(pk__in=_uuids(ids))}

    def url_of(self, obj: Model) -> str:
        """Page of one thing."""
        try:
            return reverse(self.detail_url, args=[obj.pk])
        except NoReverseMatch:
            return ""

    @property
    def url(self) -> str:
        """Page of the list."""
        try:
            return reverse(self.list_url)
        except NoReverseMatch:
            return ""


SOURCES: tuple[Source, ...] = (
    Source(
        "dataset",
        "Dataset",
        "Datasets",
        "database",
        "apps.datasets.selectors.datasets_visible_to",
        "datasets:dataset-list",
        "datasets:dataset-detail",
        ("name", "version", "team__name"),
    ),
    Source(
        "model",
        "Model",
        "Models",
        "box",
        "apps.catalog.selectors.models_visible_to",
        "catalog:model-list",
        "catalog:model-detail",
        ("name", "version", "model_family", "team__name"),
    ),
    Source(
        "training_job",
        "Training job",
        "Training jobs",
        "chart-line",
        "apps.training.selectors.jobs_visible_to",
        "training:job-list",
        "training:job-detail",
        ("name", "output_model_name", "job_type", "model__name", "team__name"),
    ),
    Source(
        "evaluation_run",
        "Evaluation",
        "Evaluations",
        "clipboard-check",
        "apps.evaluation.selectors.runs_visible_to",
        "evaluation:run-list",
        "evaluation:run-detail",
        ("model__name", "dataset__name", "run_type", "team__name"),
    ),
    Source(
        "serving_endpoint",
        "Endpoint",
        "Endpoints",
        "cloud-computing",
        "apps.serving.selectors.endpoints_visible_to",
        "serving:endpoint-list",
        "serving:endpoint-detail",
        ("route", "environment", "model__name", "team__name"),
    ),
)


def _uuids(ids: Collection[str]) -> list[UUID]:
    found = []
    for text in ids:
        try:
            found.append(UUID(str(text)))
        except ValueError:
            continue
    return found
