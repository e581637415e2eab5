"""The approval queue: what waits for me, what I submitted, everything I see; decisions are made in place."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import reverse

from apps.core.web.views import ServiceFormView, VisibleListView
from apps.governance import selectors
from apps.governance.models import ApprovalRequest
from apps.governance.registry import subjects
from apps.governance.services.approvals import approval_decide
from apps.portal.filters import ApprovalQueueFilter
from apps.portal.forms import DecisionForm

VIEWS = ("waiting", "submitted", "all")


class ApprovalListView(VisibleListView):
    """The queue. `?view=` chooses; without it whoever has something to decide sees that, others see
    everything."""

    template_name = "portal/approval_list.html"
    filterset_class = ApprovalQueueFilter

    def get_visible(self) -> QuerySet[ApprovalRequest]:
        """The chosen view of the queue."""
        self.counts = {
            "waiting": selectors.approvals_waiting_for(self.actor).count(),
            "submitted": selectors.approvals_submitted_by(self.actor).count(),
        }
        asked = self.request.GET.get("view", "")
        self.view_name = asked if asked in VIEWS else "waiting" if self.counts["waiting"] else "all"
        if self.view_name == "waiting":
            return selectors.approvals_waiting_for(self.actor)
        if self.view_name == "submitted":
            return selectors.approvals_submitted_by(self.actor)
        return selectors.approvals_visible_to(self.actor)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Rows with their kind in words, their page, and whether this person may decide."""
        context = super().get_context_data(**kwargs)
        waiting = set(
            selectors.approvals_waiting_for(self.actor)
            .filter(pk__in=[item.pk for item in context["object_list"]])
            .values_list("pk", flat=True)
        )
        context |= {
            "rows": [_row(item, item.pk in waiting) for item in context["object_list"]],
            "view_name": self.view_name,
            "counts": self.counts,
        }
        return context


class ApprovalDecideView(ServiceFormView):
    """The decision form, inside the queue or as its own page. Who may not decide reads why."""

    template_name = "portal/approval_decide.html"
    form_class = DecisionForm
    fragments = ("decision",)

    @property
    def approval(self) -> ApprovalRequest:
        """The request, when it exists for this person."""
        return selectors.approval_get(actor=self.actor, approval_id=self.kwargs["pk"])

    def perform(self, form: Any) -> ApprovalRequest:
        """Hand the word to the service: four eyes, gates and digest are its business."""
        approval = self.approval
        return approval_decide(
            actor=self.actor, kind=approval.kind, subject_id=approval.subject_id, **form.cleaned_data
        )

    def get_success_url(self) -> str:
        """Back to the queue."""
        return reverse("portal:approval-list")

    def get_success_message(self) -> str:
        """What became of it."""
        return f"{self.result.title}: {self.result.get_status_display().lower()}."

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The request, its checks and whether one may decide."""
        context = super().get_context_data(**kwargs)
        approval = self.approval
        context |= {
            "approval": approval,
            "row": _row(approval, True),
            "may": selectors.may_decide(self.actor, approval),
        }
        return context


def _row(approval: ApprovalRequest, may_decide: bool) -> dict[str, Any]:
    subject = subjects.find(approval.kind)
    gates = approval.decision_gates or approval.gates
    failed = [gate for gate in gates if not gate.get("passed")]
    return {
        "approval": approval,
        "label": subject.label if subject else approval.kind,
        "may_decide": may_decide,
        "gates": gates,
        "failed": failed,
    }
