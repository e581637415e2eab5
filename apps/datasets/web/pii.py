"""Pages of PII rules, and the buttons that mark findings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.urls import reverse

from apps.core.permissions import can
from apps.core.web.views import ServiceActionView, ServiceFormView, VisibleDetailView, VisibleListView
from apps.datasets import selectors_pii, services
from apps.datasets.filters_pii import PiiRuleFilter
from apps.datasets.forms_pii import PiiRuleCreateForm, PiiRuleForm, PiiTryForm
from apps.datasets.models import Dataset, PiiMark, PiiRuleRecord
from apps.datasets.types import MarkStatus
from apps.governance.selectors.audit import audit_history

MARKS_SHOWN = 50


class PiiRuleListView(VisibleListView):
    """All rules, in the order in which they count."""

    template_name = "datasets/pii_rule_list.html"
    filterset_class = PiiRuleFilter
    page_size = 50

    def get_visible(self) -> QuerySet[PiiRuleRecord]:
        """Through the selector."""
        return selectors_pii.pii_rules_visible_to(self.actor)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Without filters the retired ones stay away; adds whether one may write."""
        context = super().get_context_data(**kwargs)
        return context | {"may_change": can(self.actor, "pii_rule.change")}

    def sort(self, queryset: QuerySet[Any], order: str) -> QuerySet[Any]:
        """Retired ones show only when asked for."""
        if not self.request.GET.get("retired"):
            queryset = queryset.filter(retired_at=None)
        return super().sort(queryset, order)


class PiiRuleDetailView(VisibleDetailView):
    """One rule with its versions."""

    template_name = "datasets/pii_rule_detail.html"
    context_object_name = "rule"

    def get_object(self) -> PiiRuleRecord:
        """Through the selector."""
        return selectors_pii.pii_rule_get(actor=self.actor, rule_id=self.kwargs["pk"])

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Adds versions and history."""
        rule: PiiRuleRecord = self.object
        return super().get_context_data(**kwargs) | {
            "may_change": can(self.actor, "pii_rule.change") and rule.retired_at is None,
            "versions": list(selectors_pii.pii_rule_versions(rule)[:MARKS_SHOWN]),
            "history": audit_history(self.actor, PiiRuleRecord.AUDIT_TYPE, rule.pk),
        }


class PiiRuleCreateView(ServiceFormView):
    """Writing a rule."""

    template_name = "datasets/pii_rule_form.html"
    form_class: type[PiiRuleForm] = PiiRuleCreateForm
    success_message = "The rule is written. It counts from the next check on."

    def get_initial(self) -> dict[str, Any]:
        """Reading the list is checked before the form is shown."""
        selectors_pii.pii_rules_visible_to(self.actor)
        return {}

    def perform(self, form: Any) -> PiiRuleRecord:
        """Create."""
        return services.pii_rule_create(actor=self.actor, **form.cleaned_data)


class PiiRuleChangeView(PiiRuleCreateView):
    """A new version of a rule."""

    form_class = PiiRuleForm
    success_message = "Saved as a new version. Datasets are checked by it from their next check on."

    def get_rule(self) -> PiiRuleRecord:
        """Through the selector."""
        return selectors_pii.pii_rule_get(actor=self.actor, rule_id=self.kwargs["pk"])

    def get_initial(self) -> dict[str, Any]:
        """What it says now."""
        return self.get_rule().content

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """With the rule."""
        return super().get_context_data(**kwargs) | {"rule": self.get_rule()}

    def perform(self, form: Any) -> PiiRuleRecord:
        """Change; an empty place stays what it was."""
        fields = {name: value for name, value in form.cleaned_data.items() if name != "position" or value is not None}
        return services.pii_rule_change(actor=self.actor, rule_id=self.kwargs["pk"], **fields)


class _RuleAction(ServiceActionView):
    """Back to the rule."""

    def get_success_url(self) -> str:
        """Its page."""
        return reverse("datasets:pii-rule-detail", args=[self.kwargs["pk"]])


class PiiRuleSwitchView(_RuleAction):
    """On or off."""

    def perform(self) -> PiiRuleRecord:
        """A new version."""
        enabled = self.request.POST.get("enabled") == "true"
        return services.pii_rule_change(actor=self.actor, rule_id=self.kwargs["pk"], enabled=enabled)

    def get_success_message(self) -> str:
        """What it is now."""
        return f"“{self.result.key}” is switched {'on' if self.result.enabled else 'off'}."


class PiiRuleRetireView(_RuleAction):
    """For good."""

    success_message = "The rule is retired. Its versions stay readable."

    def perform(self) -> PiiRuleRecord:
        """Retire."""
        return services.pii_rule_retire(actor=self.actor, rule_id=self.kwargs["pk"])


class PiiTryView(ServiceFormView):
    """What the rules find in a text; nothing is kept."""

    template_name = "datasets/pii_try.html"
    form_class = PiiTryForm

    def get_initial(self) -> dict[str, Any]:
        """Reading rules is checked before the form is shown."""
        selectors_pii.pii_rules_visible_to(self.actor)
        return {"text": "Write to ann.lee@example.com or call +44 20 7946 0958."}

    def perform(self, form: Any) -> Sequence[dict[str, Any]]:
        """Try."""
        return services.pii_text_try(actor=self.actor, **form.cleaned_data)

    def succeeded(self, form: Any) -> HttpResponse:
        """The same page with what was found."""
        pieces, position, text = [], 0, form.cleaned_data["text"]
        for found in self.result:
            start, end = found["span"]
            pieces += [("", text[position:start]), (selectors_pii.type_label(found["type"]), text[start:end])]
            position = end
        pieces.append(("", text[position:]))
        return self.render_to_response(self.get_context_data(form=form, tried=True, found=self.result, pieces=pieces))


class PiiMarkView(ServiceActionView):
    """“This is no personal data”, about one finding or all of a type in a column."""

    def perform(self) -> PiiMark:
        """Propose or mark."""
        sent = self.request.POST
        return services.pii_mark_create(
            actor=self.actor,
            dataset_id=self.kwargs["pk"],
            reason=sent.get("reason", ""),
            finding_id=sent.get("finding", ""),
            column=sent.get("column", ""),
            pii_type=sent.get("type", ""),
        )

    def get_success_url(self) -> str:
        """The dataset."""
        return reverse("datasets:dataset-detail", args=[self.kwargs["pk"]])

    def get_success_message(self) -> str:
        """Whether it counts already."""
        if self.result.status == MarkStatus.CONFIRMED:
            return "Marked as no personal data."
        return "Proposed. It counts once a reviewer who is no author confirms it."


class PiiMarkDecideView(PiiMarkView):
    """Confirm, refuse, undo."""

    def perform(self) -> PiiMark:
        """Decide."""
        sent = self.request.POST
        return services.pii_mark_decide(
            actor=self.actor,
            dataset_id=self.kwargs["pk"],
            mark_id=self.kwargs["mark"],
            decision=sent.get("decision", ""),
            reason=sent.get("reason", ""),
        )

    def get_success_message(self) -> str:
        """What it is now."""
        return "The mark counts." if self.result.status == MarkStatus.CONFIRMED else "The mark does not count any more."


def marks_context(actor: Any, dataset: Dataset) -> dict[str, Any]:
    """What the dataset's page shows of marks, and which buttons."""
    marks = list(selectors_pii.pii_marks_of(dataset)[:MARKS_SHOWN])
    change = can(actor, "dataset.change", dataset)
    approve = can(actor, "dataset.approve", dataset)
    rows = []
    for mark in marks:
        objection = services.mark_objection(actor, dataset, mark) if mark.status == MarkStatus.PROPOSED else ""
        rows.append({"mark": mark, "objection": objection, "label": selectors_pii.type_label(mark.type)})
    return {"marks": rows, "may_mark": change or approve, "may_confirm_marks": approve}
