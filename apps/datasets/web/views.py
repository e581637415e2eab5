"""Pages of datasets. They ask selectors and services and decide nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from apps.core import clock
from apps.core.errors import DomainError
from apps.core.permissions import can
from apps.core.uploads.finishing import uploads_taking
from apps.core.web.errors import sentence, shown_in_form
from apps.core.web.views import ServiceFormView, VisibleDetailView, VisibleListView
from apps.datasets import selectors, services
from apps.datasets.datasheet import sheet_of
from apps.datasets.filters import DatasetPageFilter
from apps.datasets.forms import DatasetCreateForm, DatasetForm, SharingForm, sheet_initial
from apps.datasets.gates import dataset_gates
from apps.datasets.models import Dataset
from apps.datasets.reading import ACCEPTED
from apps.datasets.reports import validation_report
from apps.datasets.services.lifecycle import KIND
from apps.datasets.types import DatasetStatus, PiiStatus, required_columns_help
from apps.datasets.web.pii import marks_context
from apps.datasets.web.present import (
    PREVIEW_ROWS,
    component_rows,
    history_items,
    lineage_words,
    pii_rows,
    preview_rows,
    statistic_rows,
)
from apps.governance.selectors.approvals import approval_for, may_decide
from apps.governance.selectors.audit import audit_history

FINDINGS_SHOWN = 25
VERSIONS_SHOWN = 20
# How long the page tells of new datasets that a worker has made.
_NEWS = timedelta(hours=1)
# What the rows can be asked for, and how the address calls it.
_BROWSE = {"order_by": "order", "q": "q", "column": "column"}


_JOINED = ("team", "created_by")
_SHOWN = (
    "name",
    "version",
    "type",
    "status",
    "pii_scan_status",
    "quality_score",
    "rows_key",
    "row_count",
    "size_bytes",
    "visibility",
    "retention_until",
    "created_at",
    "team__name",
    "created_by__username",
    "created_by__first_name",
    "created_by__last_name",
)


class DatasetListView(VisibleListView):
    """All datasets that exist for the person."""

    template_name = "datasets/dataset_list.html"
    filterset_class = DatasetPageFilter

    def get_visible(self) -> QuerySet[Dataset]:
        """Through the selector; of each row only what the table shows (descriptions and schemas can be large)."""
        return selectors.datasets_visible_to(self.actor).select_related(None).select_related(*_JOINED).only(*_SHOWN)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Adds whether one may create."""
        return {**super().get_context_data(**kwargs), "may_create": can(self.actor, "dataset.create")}


class DatasetDetailView(VisibleDetailView):
    """Everything about one version."""

    template_name = "datasets/dataset_detail.html"
    fragments = ("facts", "checks", "review", "preview", "derivation", "taking")
    context_object_name = "dataset"

    def get_object(self) -> Dataset:
        """Through the selector."""
        return selectors.dataset_get(actor=self.actor, dataset_id=self.kwargs["pk"])

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The page; once the files are taken, the part that waited for it asks for the whole."""
        response = super().get(request, *args, **kwargs)
        waited = request.headers.get("HX-Target") == "taking"
        taking = uploads_taking(target_type="dataset", target_id=self.object.pk) if waited else None
        if waited and (taking is None or taking.finished_at is not None):
            response.headers["HX-Refresh"] = "true"
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Only what the asked part needs."""
        context = super().get_context_data(**kwargs)
        dataset: Dataset = self.object
        part = self.request.headers.get("HX-Target", "")
        context |= self._actions(dataset)
        context["checking"] = _is_checking(dataset)
        context["taking"] = uploads_taking(target_type="dataset", target_id=dataset.pk)
        if part == "preview":
            return context | self._preview(dataset)
        if part == "derivation":
            return context | self._derivation(dataset)
        if part != "facts":
            context |= self._review(dataset) if part == "review" else self._checks(dataset)
        if part not in self.fragments:
            context |= self._review(dataset) | self._preview(dataset) | self._rest(dataset) | self._derivation(dataset)
        return context

    def _derivation(self, dataset: Dataset) -> dict[str, Any]:
        """What a worker makes or has just made out of this dataset."""
        operation = services.derivation_latest(dataset)
        if operation is None or (operation.finished_at and clock.now() - operation.finished_at > _NEWS):
            return {"derivation": None}
        return {"derivation": operation, "deriving": operation.finished_at is None}

    def _actions(self, dataset: Dataset) -> dict[str, Any]:
        """Which buttons to show; the services decide again when one is pressed."""
        draft = dataset.status == DatasetStatus.DRAFT
        change = can(self.actor, "dataset.change", dataset)
        return {
            "may_change": change,
            "may_upload": draft and can(self.actor, "dataset.upload", dataset),
            "may_check": change and dataset.has_files and dataset.status != DatasetStatus.APPROVED,
            "may_submit": draft and can(self.actor, "dataset.submit", dataset),
            "may_recall": dataset.status == DatasetStatus.APPROVED
            and (change or can(self.actor, "dataset.approve", dataset)),
            "may_reopen": change and dataset.status == DatasetStatus.REJECTED,
            "may_redact": dataset.pii_scan_status == PiiStatus.FAILED
            and can(self.actor, "dataset.create", team=dataset.team),
            "may_extend": bool(dataset.retention_until)
            and dataset.status == DatasetStatus.APPROVED
            and can(self.actor, "dataset.approve", dataset),
            "may_derive": can(self.actor, "dataset.create", team=dataset.team),
            "may_delete": can(self.actor, "dataset.delete", dataset) and dataset.status != DatasetStatus.PENDING_REVIEW,
        }

    def _checks(self, dataset: Dataset) -> dict[str, Any]:
        report = validation_report(dataset, limit=FINDINGS_SHOWN)
        return {
            "report": report,
            "check": report["check"],
            "components": component_rows(report["quality_score"]),
            "pii": pii_rows(report["pii_scan"]),
            **marks_context(self.actor, dataset),
            "required": required_columns_help(dataset.type),
            "accept": ",".join(ACCEPTED),
        }

    def _review(self, dataset: Dataset) -> dict[str, Any]:
        pending = dataset.status == DatasetStatus.PENDING_REVIEW
        request = approval_for(kind=KIND, subject_id=dataset.pk)
        return {
            "approval": request,
            "decision": may_decide(self.actor, request) if pending and request is not None else None,
            "gates": dataset_gates(dataset) if pending or dataset.status == DatasetStatus.DRAFT else [],
            "may_withdraw": pending and request is not None and request.created_by_id == self.actor.pk,
        }

    def _preview(self, dataset: Dataset) -> dict[str, Any]:
        """One page of rows; when they cannot be shown the page says why instead of failing."""
        asked = {key: self.request.GET.get(name, "") for key, name in _BROWSE.items()}
        names = [(column.name, column.name == asked["column"]) for column in dataset.column_list]
        context = {"preview_asked": asked, "preview_names": names, "order": asked["order_by"]}
        number = self.request.GET.get("page", "")
        page = int(number) if number.isascii() and number.isdigit() and len(number) < 9 else 1
        offset = (max(1, page) - 1) * PREVIEW_ROWS
        if not any(asked.values()):
            # Out of range is the nearest page, as in every list.
            offset = (Paginator(range(dataset.row_count or 0), PREVIEW_ROWS).get_page(page).number - 1) * PREVIEW_ROWS
        try:
            preview = services.dataset_preview(
                actor=self.actor, dataset_id=dataset.pk, limit=PREVIEW_ROWS, offset=offset, **asked
            )
        except DomainError as error:
            if not shown_in_form(error):
                raise
            return {**context, "preview_error": sentence(error)}
        return {
            **context,
            "page_obj": Paginator(range(preview.total), PREVIEW_ROWS).get_page(page),
            "preview_columns": preview.schema,
            "preview_rows": preview_rows(preview),
        }

    def _rest(self, dataset: Dataset) -> dict[str, Any]:
        source = dataset.source_dataset if selectors.source_visible_to(self.actor, dataset) else None
        versions = selectors.dataset_versions(actor=self.actor, dataset=dataset)[:VERSIONS_SHOWN]
        return {
            "files": list(dataset.files.select_related("uploaded_by")),
            "columns": statistic_rows(dataset, selectors.check_results(dataset) if dataset.has_files else None),
            "versions": list(versions),
            "source": source,
            "lineage_words": lineage_words(dataset),
            "lineage_lost": "" if source else selectors.lineage_lost(dataset, self.actor),
            "sheet": sheet_of(dataset.metadata),
            "derived": list(selectors.datasets_visible_to(self.actor).filter(source_dataset=dataset)[:VERSIONS_SHOWN]),
            "history": history_items(audit_history(self.actor, Dataset.AUDIT_TYPE, dataset.pk)),
        }


def _is_checking(dataset: Dataset) -> bool:
    latest = selectors.check_latest(dataset)
    return latest is not None and latest.is_active


class _DatasetFormView(ServiceFormView):
    """Fields in three groups: identity, data sheet, further metadata."""

    template_name = "datasets/dataset_form.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The groups."""
        context = super().get_context_data(**kwargs)
        form = context["form"]
        return {
            **context,
            "identity_fields": [form[name] for name in form.identity],
            "sheet_fields": [form[name] for name in form.sheet],
        }


class DatasetCreateView(_DatasetFormView):
    """Register a dataset; ``?from=`` starts from an existing one as its next version."""

    form_class = DatasetCreateForm
    success_message = "Registered as a draft. Upload its files next."

    def get_form_kwargs(self) -> dict[str, Any]:
        """With the person, for the teams."""
        return {**super().get_form_kwargs(), "actor": self.actor}

    def get_initial(self) -> dict[str, Any]:
        """Empty, or what the earlier version says."""
        source = self.request.GET.get("from")
        if not source:
            return {"metadata": {}, "type": "sft_pair"}
        dataset = selectors.dataset_get(actor=self.actor, dataset_id=source)
        return {
            "name": dataset.name,
            "version": "",
            "type": dataset.type,
            "metrics": dataset.metric_set,
            "owner_team": dataset.team.slug,
            **sheet_initial(dataset),
            "storage_uri": dataset.provenance_uri,
            "visibility": dataset.visibility,
        }

    def perform(self, form: Any) -> Dataset:
        """Create."""
        fields = form.service_fields()
        return services.dataset_create(actor=self.actor, dataset_type=fields.pop("type"), **fields)


class DatasetUpdateView(_DatasetFormView):
    """Change the description of a draft; of others, who may see it."""

    success_message = "Saved."

    def get_dataset(self) -> Dataset:
        """The dataset, through the selector."""
        return selectors.dataset_get(actor=self.actor, dataset_id=self.kwargs["pk"])

    def get_form_class(self) -> type[Any]:
        """All fields while it is a draft."""
        return DatasetForm if self.get_dataset().is_editable else SharingForm

    def get_initial(self) -> dict[str, Any]:
        """What is stored."""
        dataset = self.get_dataset()
        return {
            "name": dataset.name,
            "change_log": dataset.change_log,
            "visibility": dataset.visibility,
            "storage_uri": dataset.provenance_uri,
            "metrics": dataset.metric_set,
            **sheet_initial(dataset),
        }

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """With the dataset."""
        return {**super().get_context_data(**kwargs), "dataset": self.get_dataset()}

    def perform(self, form: Any) -> Dataset:
        """Change."""
        return services.dataset_update(actor=self.actor, dataset_id=self.kwargs["pk"], **form.service_fields())
