"""Where home and search look: every domain's own selector, so that what somebody may not see is not there."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Model, Q, QuerySet
from django.urls import reverse

from apps.accounts.models import User
from apps.catalog.selectors import models_visible_to
from apps.datasets.selectors import datasets_visible_to
from apps.evaluation.selectors import runs_visible_to
from apps.serving.selectors import endpoints_visible_to
from apps.training.selectors import jobs_visible_to


@dataclass(frozen=True, slots=True)
class Source:
    """One kind of thing: how it is called, its selector, its pages, and the columns that a search looks
    at."""

    kind: str
    label: str
    plural: str
    icon: str
    selector: Callable[[User], QuerySet[Any]]
    list_url: str
    detail_url: str
    columns: tuple[str, ...]

    def visible_to(self, actor: User) -> QuerySet[Any]:
        """What the person may see."""
        return self.selector(actor)

    def matching(self, actor: User, text: str) -> QuerySet[Any]:
        """Things whose columns hold every word of `text`."""
        found = self.visible_to(actor)
        for word in text.split()[:8]:
            condition = Q()
            for column in self.columns:
                condition |= Q(**{f"{column}__icontains": word})
            found = found.filter(condition)
        return found

    def named(self, actor: User, ids: Collection[str]) -> dict[str, tuple[str, str]]:
        """Name and page of those among `ids` that exist for the person; one query."""
        if not ids:
            return {}
        found = self.visible_to(actor).filter(pk__in=_uuids(ids))
        return {str(obj.pk): (str(obj), self.url_of(obj)) for obj in found}

    def url_of(self, obj: Model) -> str:
        """Page of one thing."""
        return self.page_of(obj.pk)

    def page_of(self, key: object) -> str:
        """Page of the thing with this id."""
        return reverse(self.detail_url, args=[key])

    @property
    def url(self) -> str:
        """Page of the list."""
        return reverse(self.list_url)


SOURCES: tuple[Source, ...] = (
    Source(
        "dataset",
        "Dataset",
        "Datasets",
        "database",
        datasets_visible_to,
        "datasets:dataset-list",
        "datasets:dataset-detail",
        ("name", "version", "team__name"),
    ),
    Source(
        "model",
        "Model",
        "Models",
        "box",
        models_visible_to,
        "catalog:model-list",
        "catalog:model-detail",
        ("name", "version", "model_family", "team__name"),
    ),
    Source(
        "training_job",
        "Training job",
        "Training jobs",
        "chart-line",
        jobs_visible_to,
        "training:job-list",
        "training:job-detail",
        ("name", "output_model_name", "job_type", "model__name", "team__name"),
    ),
    Source(
        "evaluation_run",
        "Evaluation",
        "Evaluations",
        "clipboard-check",
        runs_visible_to,
        "evaluation:run-list",
        "evaluation:run-detail",
        ("model__name", "dataset__name", "run_type", "team__name"),
    ),
    Source(
        "serving_endpoint",
        "Endpoint",
        "Endpoints",
        "cloud-computing",
        endpoints_visible_to,
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
