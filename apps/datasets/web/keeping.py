"""Pages of retention and deletion."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import reverse

from apps.core.errors import ValidationFailed
from apps.core.web.views import ServiceFormView, VisibleListView
from apps.datasets import selectors, services
from apps.datasets.forms import DeletionForm, RetentionForm
from apps.datasets.models import Dataset, DatasetTombstone


class _OneDataset(ServiceFormView):
    """A form about one dataset."""

    def get_dataset(self) -> Dataset:
        """The dataset, through the selector."""
        return selectors.dataset_get(actor=self.actor, dataset_id=self.kwargs["pk"])

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """With the dataset."""
        return {**super().get_context_data(**kwargs), "dataset": self.get_dataset()}


class DatasetDeleteView(_OneDataset):
    """What deleting would do, and the confirmation."""

    template_name = "datasets/dataset_delete.html"
    form_class = DeletionForm
    success_message = "The dataset and its files are deleted."

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """With the plan; who may not delete learns that here already."""
        plan = services.dataset_deletion_plan(actor=self.actor, dataset_id=self.kwargs["pk"])
        return {**super().get_context_data(**kwargs), "plan": plan}

    def perform(self, form: Any) -> DatasetTombstone:
        """Delete, once it was named."""
        dataset = self.get_dataset()
        if form.cleaned_data["confirm"].strip() != str(dataset):
            raise ValidationFailed.field("confirm", "mismatch", f"Type “{dataset}” to confirm.")
        return services.dataset_delete(actor=self.actor, dataset_id=dataset.pk, reason=form.cleaned_data["reason"])

    def get_success_url(self) -> str:
        """The list."""
        return reverse("datasets:dataset-list")


class DatasetRetentionView(_OneDataset):
    """Keep an approved dataset longer."""

    template_name = "datasets/dataset_retention.html"
    form_class = RetentionForm

    def perform(self, form: Any) -> Dataset:
        """Extend."""
        return services.retention_extend(actor=self.actor, dataset_id=self.kwargs["pk"], **form.cleaned_data)

    def get_success_message(self) -> str:
        """Until when."""
        return f"It is kept until {self.result.retention_until}."


class TombstoneListView(VisibleListView):
    """What is known of deleted datasets."""

    template_name = "datasets/tombstone_list.html"

    def get_visible(self) -> QuerySet[DatasetTombstone]:
        """Through the selector."""
        return selectors.tombstones_visible_to(self.actor)
