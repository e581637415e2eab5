"""Pages of imports and exports, and the connection test of external models."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.views.generic import View

from apps.catalog import services
from apps.catalog.import_filters import ImportFilter
from apps.catalog.import_forms import BundleImportForm, HubImportForm
from apps.catalog.import_models import ModelImport
from apps.catalog.services.bundle_upload import bundle_receive
from apps.catalog.web.actions import ModelActionView
from apps.core.permissions import can
from apps.core.web.objects import object_response, text_response
from apps.core.web.views import ActorMixin, ServiceActionView, ServiceFormView, VisibleListView


class ImportListView(VisibleListView):
    """Imports of the person's teams, with their progress."""

    template_name = "catalog/import_list.html"
    filterset_class = ImportFilter
    shown_filters = ("repo_id", "status", "source")

    def get_visible(self) -> QuerySet[ModelImport]:
        """Newest first."""
        return services.imports_visible_to(self.actor)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Whether anything is going on, and who may do what."""
        context = super().get_context_data(**kwargs)
        rows = context["object_list"]
        teams = {row.team_id: row.team for row in rows}
        mine = {pk for pk, team in teams.items() if can(self.actor, "model.import", team=team)}
        return {
            **context,
            "any_active": any(row.active for row in rows),
            "changeable": {row.pk for row in rows if row.team_id in mine},
            "may_import": can(self.actor, "model.import"),
        }


class _ImportFormView(ServiceFormView):
    def get_form_kwargs(self) -> dict[str, Any]:
        """With the person, for the teams."""
        return {**super().get_form_kwargs(), "actor": self.actor}

    def get_success_url(self) -> str:
        """Where the progress is."""
        return reverse("catalog:import-list")

    def get_success_message(self) -> str:
        """What happens now."""
        return f"The import of {self.result} has started."


class HubImportView(_ImportFormView):
    """From the hub."""

    template_name = "catalog/import_form.html"
    form_class = HubImportForm

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """With the form for bundles beside it."""
        return {
            **super().get_context_data(**kwargs),
            "bundle_form": BundleImportForm(actor=self.actor, auto_id="bundle_%s"),
        }

    def perform(self, form: Any) -> Any:
        """Accept the import."""
        return services.import_from_hub(actor=self.actor, **form.service_fields())


class BundleImportView(_ImportFormView):
    """From a bundle."""

    template_name = "catalog/import_bundle.html"
    form_class = BundleImportForm

    def perform(self, form: Any) -> Any:
        """Store the bundle and accept it."""
        data = dict(form.cleaned_data)
        return bundle_receive(actor=self.actor, file=data.pop("bundle"), **data)

    def get_success_message(self) -> str:
        """What happens now."""
        return "The bundle is stored; its import has started."


class _ImportActionView(ServiceActionView):
    def get_success_url(self) -> str:
        """The list."""
        return reverse("catalog:import-list")


class ImportCancelView(_ImportActionView):
    """Stop it."""

    success_message = "The import is cancelled."

    def perform(self) -> Any:
        """Cancel."""
        return services.import_cancel(actor=self.actor, import_id=self.kwargs["pk"])


class ImportRetryView(_ImportActionView):
    """Once more, perhaps with a token."""

    success_message = "The import has started again."

    def perform(self) -> Any:
        """Queue it."""
        token = self.request.POST.get("token", "").strip()
        return services.import_retry(actor=self.actor, import_id=self.kwargs["pk"], token=token)


class ModelExportView(ModelActionView):
    """Have a bundle written."""

    success_message = "The bundle is being written; it appears under Export."

    def perform(self) -> Any:
        """Start."""
        return services.model_export_start(actor=self.actor, model_id=self.kwargs["pk"])


class ModelExportFileView(ActorMixin, View):
    """Fetch a bundle."""

    http_method_names = ["get", "head", "options"]

    def get(self, request: HttpRequest, pk: Any, operation: Any) -> HttpResponseBase:
        """The file; ranges are understood, so that a browser can continue."""
        sent = services.export_object(actor=self.actor, model_id=pk, operation_id=operation)
        return object_response(
            request,
            sent,
            on_send=lambda start, end: services.export_fetched(actor=self.actor, model_id=pk, start=start, end=end),
        )

    head = get


class ModelCardView(ActorMixin, View):
    """The card as a README with front matter, to keep or to edit elsewhere."""

    http_method_names = ["get", "head", "options"]

    def get(self, request: HttpRequest, pk: Any) -> HttpResponseBase:
        """A download."""
        text = services.card_text(actor=self.actor, model_id=pk)
        headers = {"Content-Disposition": 'attachment; filename="README.md"'}
        return text_response(request, text.encode(), content_type="text/markdown; charset=utf-8", headers=headers)

    head = get


class ModelConnectionView(ModelActionView):
    """Ask the provider of an external model whether it would answer."""

    def perform(self) -> Any:
        """Test now; it takes some seconds at most."""
        return services.model_test_connection(actor=self.actor, model_id=self.kwargs["pk"])

    def get_success_message(self) -> str:
        """What came of it."""
        return str(self.result.message)
