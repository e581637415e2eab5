"""Buttons of the model pages: each a POST to one service."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from apps.catalog import services
from apps.catalog.types import PublicationStatus
from apps.core.web.views import ServiceActionView


class ModelActionView(ServiceActionView):
    """Goes back to the model's page."""

    def get_success_url(self) -> str:
        """The model's page."""
        return reverse("catalog:model-detail", args=[self.kwargs["pk"]])


class ModelUploadView(ModelActionView):
    """Files from the page; answers the uploader in a way that it can show per file."""

    def perform(self) -> Any:
        """Store all files."""
        files: list[Any] = list(self.request.FILES.getlist("files"))
        return services.model_upload(actor=self.actor, model_id=self.kwargs["pk"], files=files)

    def get_success_message(self) -> str:
        """How many."""
        return f"{len(self.result.files)} file(s) stored; the safety scan has started."


class ModelFileDeleteView(ModelActionView):
    """Remove one file."""

    success_message = "The file is removed."

    def perform(self) -> Any:
        """By name."""
        return services.model_file_delete(
            actor=self.actor, model_id=self.kwargs["pk"], filename=self.request.POST.get("filename", "")
        )


class ModelScanView(ModelActionView):
    """Scan again."""

    success_message = "The safety scan has started."

    def perform(self) -> Any:
        """All files."""
        return services.model_rescan(actor=self.actor, model_id=self.kwargs["pk"])


class ModelSubmitView(ModelActionView):
    """Ask for review."""

    success_message = "Submitted for review."

    def perform(self) -> Any:
        """With the notes for the reviewer."""
        return services.model_submit(
            actor=self.actor, model_id=self.kwargs["pk"], notes=self.request.POST.get("notes", "")
        )


class ModelWithdrawView(ModelActionView):
    """Take it back from review."""

    success_message = "Withdrawn; the model is a draft again."

    def perform(self) -> Any:
        """Back to draft."""
        return services.model_withdraw(actor=self.actor, model_id=self.kwargs["pk"])


class ModelDecideView(ModelActionView):
    """Approve, reject, request changes."""

    def perform(self) -> Any:
        """The pressed button says which."""
        return services.model_decide(
            actor=self.actor,
            model_id=self.kwargs["pk"],
            decision=self.request.POST.get("decision", ""),
            notes=self.request.POST.get("notes", ""),
        )

    def get_success_message(self) -> str:
        """What became of it."""
        return f"{self.result} is {self.result.get_status_display().lower()}."


class ModelReopenView(ModelActionView):
    """Back to draft."""

    success_message = "The model is a draft again."

    def perform(self) -> Any:
        """An approval lapses by it."""
        return services.model_reopen(actor=self.actor, model_id=self.kwargs["pk"])


class ModelDeprecateView(ModelActionView):
    """End of life."""

    success_message = "The model is deprecated."

    def perform(self) -> Any:
        """Optionally with a successor."""
        return services.model_deprecate(
            actor=self.actor,
            model_id=self.kwargs["pk"],
            successor_id=self.request.POST.get("successor") or None,
            note=self.request.POST.get("note", ""),
        )


class ModelPublishView(ModelActionView):
    """Make it the published version."""

    def perform(self) -> Any:
        """With the reason that going back needs."""
        return services.model_publish(
            actor=self.actor, model_id=self.kwargs["pk"], reason=self.request.POST.get("reason", "")
        )

    def get_success_message(self) -> str:
        """What became of it."""
        if self.result.status == PublicationStatus.PENDING:
            return "A reviewer decides whether this version is published again."
        return f"{self.result.model} is the published version."


class ModelVerifyView(ModelActionView):
    """Verify the signature."""

    success_message = "The verification has started."

    def perform(self) -> Any:
        """In the background."""
        return services.model_verify(actor=self.actor, model_id=self.kwargs["pk"])


class ModelDeleteView(ModelActionView):
    """Delete, unless something needs it."""

    success_message = "The model and its files are deleted."

    def perform(self) -> Any:
        """Lists the blockers when refused."""
        return services.model_delete(actor=self.actor, model_id=self.kwargs["pk"])

    def get_success_url(self) -> str:
        """The list; the model's page is gone."""
        return reverse("catalog:model-list")
