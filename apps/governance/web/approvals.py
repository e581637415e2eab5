"""The page of one approval: what is asked, what the checks say, who said what, and the decision."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.urls import reverse

from apps.core.web.views import ServiceActionView, ServiceFormView
from apps.governance import selectors, services
from apps.governance.forms import DecisionForm
from apps.governance.models import ApprovalRequest


class ApprovalDetailView(ServiceFormView):
    """Reading and deciding on one page. Who may not decide reads why."""

    template_name = "governance/approval_detail.html"
    form_class = DecisionForm
    fragments = ("decision",)

    @cached_property
    def approval(self) -> ApprovalRequest:
        """The request, when it exists for this person."""
        return selectors.approval_get(actor=self.actor, approval_id=self.kwargs["pk"])

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Visibility before anything else, also before a form is read."""
        _ = self.approval
        return super().dispatch(request, *args, **kwargs)

    def perform(self, form: Any) -> ApprovalRequest:
        """Four eyes, gates and digest are the service's business."""
        return services.approval_decide_request(actor=self.actor, request_id=self.approval.pk, **form.cleaned_data)

    def get_success_url(self) -> str:
        """The page again, now with the decision."""
        return reverse("governance:approval-detail", args=[self.approval.pk])

    def get_success_message(self) -> str:
        """What became of it."""
        return f"{self.result.title}: {self.result.get_status_display().lower()}."

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The request as it was, its subject as it is now."""
        context = super().get_context_data(**kwargs)
        approval = self.approval
        now = selectors.approval_subject_now(self.actor, approval)
        context |= {
            "approval": approval,
            "now": now,
            "may": selectors.may_decide(self.actor, approval),
            "may_withdraw": approval.is_open and approval.created_by_id == self.actor.pk,
            "gates": now.gates if now is not None and approval.is_open else approval.decision_gates or approval.gates,
            "history": selectors.audit_history(self.actor, ApprovalRequest.AUDIT_TYPE, approval.pk),
        }
        return context


class ApprovalWithdrawView(ServiceActionView):
    """Taking a request back."""

    success_message = "Withdrawn. You can change it and submit it again."

    def perform(self) -> ApprovalRequest:
        """Only who asked may; the service knows."""
        approval = selectors.approval_get(actor=self.actor, approval_id=self.kwargs["pk"])
        return services.approval_withdraw(actor=self.actor, kind=approval.kind, subject_id=approval.subject_id)

    def get_success_url(self) -> str:
        """The approval's page."""
        return reverse("governance:approval-detail", args=[self.kwargs["pk"]])
