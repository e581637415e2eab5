"""The page that compares two datasets."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.paginator import Paginator

from apps.core.errors import DomainError
from apps.core.web.errors import sentence, shown_in_form
from apps.core.web.views import VisibleDetailView
from apps.datasets import selectors, services
from apps.datasets.forms import CompareForm
from apps.datasets.models import Dataset
from apps.datasets.services import Comparison
from apps.datasets.web.present import changed_cells, drift_rows, side_rows

COMPARED_ROWS = 20
OFFERED = 200


class DatasetCompareView(VisibleDetailView):
    """Two datasets: what happened to rows, columns and distributions."""

    template_name = "datasets/dataset_compare.html"
    fragments = ("rows", "compared")
    context_object_name = "dataset"

    def get_object(self) -> Dataset:
        """The later side."""
        return selectors.dataset_get(actor=self.actor, dataset_id=self.kwargs["pk"])

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The form, and the comparison once the other side is chosen."""
        context = super().get_context_data(**kwargs)
        dataset: Dataset = self.object
        versions = [
            version
            for version in selectors.dataset_versions(actor=self.actor, dataset=dataset)
            if version.pk != dataset.pk and version.has_files
        ]
        others = self._others(dataset, versions)
        data = self.request.GET if "other" in self.request.GET else None
        form = CompareForm(data, versions=versions, others=others)
        context |= {"form": form, "others": versions or others}
        if data is not None and form.is_valid():
            context |= self._compared(dataset, form.cleaned_data)
        return context

    def _others(self, dataset: Dataset, versions: list[Dataset]) -> list[Dataset]:
        """Other visible datasets with files, the newest first; the one that is asked for is always among them."""
        known = {dataset.pk, *(version.pk for version in versions)}
        found = selectors.datasets_visible_to(self.actor).exclude(rows_key="").exclude(pk__in=known)
        others = list(found[:OFFERED])
        try:
            asked = UUID(self.request.GET.get("other", ""))
        except ValueError:
            return others
        if asked not in known and asked not in {other.pk for other in others}:
            others += found.filter(pk=asked)
        return others

    def _compared(self, dataset: Dataset, asked: dict[str, Any]) -> dict[str, Any]:
        page = max(1, _whole(self.request.GET.get("page")))
        key = [name.strip() for name in asked["key"].split(",") if name.strip()]
        try:
            comparison = services.dataset_compare(
                actor=self.actor,
                dataset_id=dataset.pk,
                before=asked["other"],
                after=str(dataset.pk),
                key=key,
                limit=COMPARED_ROWS,
                offset=(page - 1) * COMPARED_ROWS,
            )
        except DomainError as error:
            if not shown_in_form(error):
                raise
            return {"compare_error": sentence(error)}
        return {
            "comparison": comparison,
            "labels": _labels(comparison),
            "pii_words": {"failed": "found", "clean": "none found", "pending": "not checked"},
            "drift": drift_rows(comparison.statistics["drift"]),
            **(_rows(comparison, page) if comparison.rows is not None else {}),
        }


def _labels(comparison: Comparison) -> dict[str, str]:
    """Short names of the sides: versions, or names with versions where the names differ."""
    before, after = comparison.before, comparison.after
    if before.name == after.name and before.version != after.version:
        return {"before": before.version, "after": after.version}
    return {"before": str(before), "after": str(after)}


def _rows(comparison: Comparison, page: int) -> dict[str, Any]:
    rows = comparison.rows
    if rows is None:
        return {}
    longest = max(rows.added, rows.removed, rows.modified)
    return {
        "modified": [changed_cells(entry) for entry in rows.modified_page],
        "sides": [
            ("Added rows", side_rows(rows.added_page), "success"),
            ("Removed rows", side_rows(rows.removed_page), "danger"),
        ],
        "page_obj": Paginator(range(longest), COMPARED_ROWS).get_page(page) if longest else None,
    }


def _whole(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 9 else 1
