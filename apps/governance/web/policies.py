"""Pages of policies and of the price book."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import reverse

from apps.core.permissions import Role, can
from apps.core.web.views import ServiceActionView, ServiceFormView, VisibleDetailView, VisibleListView
from apps.governance import selectors, services
from apps.governance.filters import PolicyFilter
from apps.governance.forms import PolicyForm, PriceForm
from apps.governance.models import Policy, PriceEntry
from apps.governance.policy.conditions import ATTRIBUTES
from apps.governance.types import POLICY_TRANSITIONS, POLICY_VERBS

EXAMPLE = {
    "allowed_actions": ["list", "get"],
    "required_roles": ["ml_engineer", "admin"],
    "conditions": [{"expression": "environment.hour >= 7", "message": "only after seven in the morning (UTC)"}],
}


class PolicyListView(VisibleListView):
    """All policies, for those who may read them."""

    template_name = "governance/policy_list.html"
    filterset_class = PolicyFilter

    def get_visible(self) -> QuerySet[Policy]:
        """Through the selector."""
        return selectors.policies_visible_to(self.actor)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Adds whether one may write."""
        return super().get_context_data(**kwargs) | {"may_change": can(self.actor, "policy.change")}


class PolicyDetailView(VisibleDetailView):
    """One policy with its history."""

    template_name = "governance/policy_detail.html"
    context_object_name = "policy"

    def get_object(self) -> Policy:
        """Through the selector."""
        return selectors.policy_get(actor=self.actor, policy_id=self.kwargs["pk"])

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Adds the steps it can take."""
        context = super().get_context_data(**kwargs)
        context |= {
            "may_change": can(self.actor, "policy.change"),
            "steps": POLICY_TRANSITIONS[self.object.status],
            "history": selectors.audit_history(self.actor, Policy.AUDIT_TYPE, self.object.pk),
        }
        return context


class PolicyCreateView(ServiceFormView):
    """Writing a policy."""

    template_name = "governance/policy_form.html"
    form_class = PolicyForm
    success_message = "The policy is written. It counts once you activate it."

    def get_initial(self) -> dict[str, Any]:
        """Reading the list is checked before the form is shown."""
        selectors.policies_visible_to(self.actor)
        return {"scope": "dataset", "rules": {"allowed_actions": ["list", "get"]}}

    def perform(self, form: Any) -> Policy:
        """As draft."""
        return services.policy_create(actor=self.actor, **form.cleaned_data)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """What rules can say."""
        return super().get_context_data(**kwargs) | {
            "verbs": POLICY_VERBS,
            "roles": [role.value for role in Role],
            "attributes": {root: sorted(names) for root, names in ATTRIBUTES.items()},
            "example": EXAMPLE,
            "policy": None,
        }


class PolicyChangeView(PolicyCreateView):
    """Changing one."""

    success_message = "The policy is changed."

    def get_initial(self) -> dict[str, Any]:
        """What it says now."""
        policy = selectors.policy_get(actor=self.actor, policy_id=self.kwargs["pk"])
        return {
            "name": policy.name,
            "description": policy.description,
            "scope": policy.scope,
            "team": policy.team,
            "rules": policy.rules,
        }

    def perform(self, form: Any) -> Policy:
        """Its status stays."""
        return services.policy_change(actor=self.actor, policy_id=self.kwargs["pk"], **form.cleaned_data)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """With the policy."""
        policy = selectors.policy_get(actor=self.actor, policy_id=self.kwargs["pk"])
        return super().get_context_data(**kwargs) | {"policy": policy}


class PolicyStatusView(ServiceActionView):
    """Activate, suspend, retire."""

    def perform(self) -> Policy:
        """The transition table decides."""
        return services.policy_change(
            actor=self.actor, policy_id=self.kwargs["pk"], status=self.request.POST.get("status", "")
        )

    def get_success_url(self) -> str:
        """Its page."""
        return reverse("governance:policy-detail", args=[self.kwargs["pk"]])

    def get_success_message(self) -> str:
        """The new state."""
        return f"'{self.result.name}' is {self.result.get_status_display().lower()} now."


class PolicyReviewView(PolicyStatusView):
    """Confirming that it is still right."""

    def perform(self) -> Policy:
        """Due again in ninety days."""
        return services.policy_review(actor=self.actor, policy_id=self.kwargs["pk"])

    def get_success_message(self) -> str:
        """Until when."""
        return f"Reviewed; due again on {self.result.review_due:%d %B %Y}."


class PolicyDeleteView(ServiceActionView):
    """Deleting one."""

    success_message = "The policy is deleted; the audit trail keeps its content."

    def perform(self) -> None:
        """Audited with its content."""
        services.policy_delete(actor=self.actor, policy_id=self.kwargs["pk"])

    def get_success_url(self) -> str:
        """The list."""
        return reverse("governance:policy-list")


class PriceListView(VisibleListView):
    """The price book with its history."""

    template_name = "governance/price_list.html"
    page_size = 50

    def get_visible(self) -> QuerySet[PriceEntry]:
        """Through the selector."""
        return selectors.prices_visible_to(self.actor)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Which entry counts now."""
        context = super().get_context_data(**kwargs)
        context |= {
            "current": selectors.prices_current_ids(),
            "may_change": can(self.actor, "price.change"),
        }
        return context


class PriceCreateView(ServiceFormView):
    """Setting a price."""

    template_name = "governance/price_form.html"
    form_class = PriceForm
    success_message = "The price is set."

    def get_initial(self) -> dict[str, Any]:
        """Reading is checked before the form is shown."""
        selectors.prices_visible_to(self.actor)
        return {}

    def perform(self, form: Any) -> PriceEntry:
        """From a moment on."""
        return services.price_set(actor=self.actor, **form.cleaned_data)

    def get_success_url(self) -> str:
        """The book."""
        return reverse("governance:price-list")
