"""Buttons of the dataset pages: each is one service."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse

from apps.core.errors import DomainError
from apps.core.web.errors import shown_in_form
from apps.core.web.http import go_to, is_htmx, toast
from apps.core.web.views import ServiceActionView
from apps.datasets import services
from apps.datasets.services import Upload, UploadResult
from apps.datasets.services.recalls import dataset_recall


class DatasetAction(ServiceActionView):
    """Goes back to the dataset's page."""

    def get_success_url(self) -> str:
        """The dataset."""
        return reverse("datasets:dataset-detail", args=[self.kwargs["pk"]])

    @property
    def notes(self) -> str:
        """What was written beside the button."""
        return str(self.request.POST.get("notes", ""))


class DatasetUploadView(DatasetAction):
    """Files, dropped or chosen. What is wrong with them is listed where they were dropped."""

    def perform(self) -> UploadResult:
        """Take the files."""
        files = [Upload(file.name or "", file.chunks(), file.size) for file in self.request.FILES.getlist("files")]
        return services.dataset_upload(actor=self.actor, dataset_id=self.kwargs["pk"], files=files)

    def get_success_message(self) -> str:
        """How many."""
        count = len(self.result.files or self.result.waiting)
        files = f"{count} file{'s' if count != 1 else ''}"
        return f"{files} uploaded. The checks have started." if self.result.check else f"{files} received, being read."

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Like every action, but a refusal carries the list of mistakes."""
        try:
            self.result = self.perform()
        except DomainError as error:
            if not shown_in_form(error):
                raise
            return self._refused(error)
        return go_to(request, self.get_success_url(), self.get_success_message())

    def _refused(self, error: DomainError) -> HttpResponse:
        context = {"error": error, "dataset_url": self.get_success_url()}
        if is_htmx(self.request):
            body = render_to_string("datasets/_problems.html", context, self.request)
            return toast(HttpResponse(body, status=error.status_code), error.message[:300], "danger")
        body = render_to_string("datasets/upload_refused.html", context, self.request)
        return HttpResponse(body, status=error.status_code)


class DatasetCheckView(DatasetAction):
    """Run the checks again."""

    success_message = "The checks have started."

    def perform(self) -> Any:
        """Queue them."""
        return services.dataset_check_request(actor=self.actor, dataset_id=self.kwargs["pk"])


class DatasetSubmitView(DatasetAction):
    """Ask for review."""

    success_message = "Submitted for review."

    def perform(self) -> Any:
        """Submit."""
        return services.dataset_submit(actor=self.actor, dataset_id=self.kwargs["pk"], notes=self.notes)


class DatasetWithdrawView(DatasetAction):
    """Take the submission back."""

    success_message = "Withdrawn; it is a draft again."

    def perform(self) -> Any:
        """Withdraw."""
        return services.dataset_withdraw(actor=self.actor, dataset_id=self.kwargs["pk"])


class DatasetDecideView(DatasetAction):
    """Approve, reject, request changes."""

    def perform(self) -> Any:
        """Decide."""
        return services.dataset_decide(
            actor=self.actor,
            dataset_id=self.kwargs["pk"],
            decision=self.request.POST.get("decision", ""),
            notes=self.notes,
        )

    def get_success_message(self) -> str:
        """What it is now."""
        return f"{self.result} is now {self.result.get_status_display().lower()}."


class DatasetReopenView(DatasetAction):
    """Back to draft after a rejection."""

    success_message = "It is a draft again."

    def perform(self) -> Any:
        """Reopen."""
        return services.dataset_reopen(actor=self.actor, dataset_id=self.kwargs["pk"])


class DatasetRecallView(DatasetAction):
    """Take back an approved dataset."""

    success_message = "The dataset is recalled; it is a draft again."

    def perform(self) -> Any:
        """With the reason."""
        return dataset_recall(
            actor=self.actor, dataset_id=self.kwargs["pk"], reason=self.request.POST.get("reason", "")
        )


class DatasetRedactView(DatasetAction):
    """A copy without personal data; of a large dataset a worker makes it."""

    def perform(self) -> Any:
        """Redact."""
        version = str(self.request.POST.get("version", "")).strip()
        return services.dataset_repair(actor=self.actor, dataset_id=self.kwargs["pk"], kind="redact", version=version)

    def get_success_url(self) -> str:
        """The new version; while a worker makes it, the source."""
        made = self.result.datasets
        return made[0].get_absolute_url() if made else super().get_success_url()

    def get_success_message(self) -> str:
        """Which version, how much was replaced."""
        if self.result.operation is not None:
            return "The dataset is large: a worker makes the redacted version."
        copy = self.result.datasets[0]
        replaced = copy.derivation.get("replaced", 0)
        return f"Version {copy.version} is made: {replaced} places replaced. Its checks have started."
