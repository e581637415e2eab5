"""Pages that make new datasets out of one: splitting and repairing."""

from __future__ import annotations

from typing import Any

from apps.core.permissions import can
from apps.core.web.views import ServiceFormView, VisibleDetailView
from apps.datasets import selectors, services
from apps.datasets.forms import SplitForm
from apps.datasets.models import Dataset
from apps.datasets.web.actions import DatasetAction


class DatasetSplitView(ServiceFormView):
    """Train, validation and test parts."""

    template_name = "datasets/dataset_split.html"
    form_class = SplitForm
    # The service speaks of ratios together; the form has a field for each.
    field_names = {"ratios": "train"}

    def get_dataset(self) -> Dataset:
        """The dataset, through the selector."""
        return selectors.dataset_get(actor=self.actor, dataset_id=self.kwargs["pk"])

    def get_form_kwargs(self) -> dict[str, Any]:
        """With the columns to choose from."""
        names = [column.name for column in self.get_dataset().column_list]
        return {**super().get_form_kwargs(), "columns": names}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """With the dataset."""
        return {**super().get_context_data(**kwargs), "dataset": self.get_dataset()}

    def perform(self, form: Any) -> Any:
        """Split."""
        return services.dataset_split(actor=self.actor, dataset_id=self.kwargs["pk"], **form.service_fields())

    def get_success_url(self) -> str:
        """The source, which lists what was made from it."""
        return self.result.source.get_absolute_url()

    def get_success_message(self) -> str:
        """Which parts."""
        if self.result.operation is not None:
            return "The dataset is large: a worker makes the parts."
        return f"Made {', '.join(str(part) for part in self.result.datasets)}. Their checks have started."


class DatasetRepairsView(VisibleDetailView):
    """What could be repaired, and a button for each."""

    template_name = "datasets/dataset_repairs.html"
    fragments = ("repairs",)
    context_object_name = "dataset"

    def get_object(self) -> Dataset:
        """Through the selector."""
        return selectors.dataset_get(actor=self.actor, dataset_id=self.kwargs["pk"])

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The offers."""
        context = super().get_context_data(**kwargs)
        offers = services.dataset_repairs(actor=self.actor, dataset_id=self.object.pk) if self.object.has_files else []
        may = can(self.actor, "dataset.create", team=self.object.team)
        awaited = "" if offers else services.repairs_awaited(self.object)
        return {**context, "offers": offers, "awaited": awaited, "may_derive": may}


class DatasetRepairView(DatasetAction):
    """One repair."""

    def perform(self) -> Any:
        """Repair with the defaults: the buttons have no further fields."""
        kind = str(self.request.POST.get("kind", ""))
        return services.dataset_repair(actor=self.actor, dataset_id=self.kwargs["pk"], kind=kind)

    def get_success_url(self) -> str:
        """The new version; while a worker makes it, the source."""
        made = self.result.datasets
        return made[0].get_absolute_url() if made else super().get_success_url()

    def get_success_message(self) -> str:
        """Which version."""
        if self.result.operation is not None:
            return "The dataset is large: a worker makes the new version."
        return f"Version {self.result.datasets[0].version} is made. Its checks have started."
