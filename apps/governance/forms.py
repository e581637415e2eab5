"""Forms of the governance pages. They only carry input; services check it."""

from __future__ import annotations

from typing import Any

from django import forms

from apps.accounts.models import Team
from apps.governance.types import CostResource, Decision, PolicyScope, UsageKind


class DecisionForm(forms.Form):
    """A reviewer's word; the button that was pressed carries the decision."""

    decision = forms.ChoiceField(choices=Decision.choices, widget=forms.HiddenInput)
    notes = forms.CharField(
        required=False,
        label="Notes",
        help_text="Kept with the decision. Say what you looked at, or what has to change.",
        widget=forms.Textarea(attrs={"rows": 4}),
    )

    def clean(self) -> dict[str, Any]:
        """Whoever sends something back owes a sentence about it."""
        data = super().clean() or self.cleaned_data
        if data.get("decision") in {Decision.REJECT, Decision.REQUEST_CHANGES} and not data.get("notes", "").strip():
            self.add_error("notes", "Say why, so that the author knows what to change.")
        return data


class PolicyForm(forms.Form):
    """What a policy says."""

    name = forms.CharField(max_length=200)
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))
    scope = forms.ChoiceField(choices=PolicyScope.choices)
    team = forms.ModelChoiceField(
        queryset=Team.objects.all(), required=False, empty_label="Every team", help_text="Whose things it is about."
    )
    rules = forms.JSONField(
        required=False,
        label="Rules",
        widget=forms.Textarea(attrs={"data-json": "", "rows": 12, "spellcheck": "false"}),
        help_text="allowed_actions, required_roles, conditions; what each means is explained beside.",
    )

    def clean_rules(self) -> Any:
        """An empty text is an empty object."""
        return {} if self.cleaned_data.get("rules") is None else self.cleaned_data["rules"]


class PriceForm(forms.Form):
    """A price from a moment on."""

    kind = forms.ChoiceField(choices=UsageKind.choices, label="What")
    amount = forms.DecimalField(max_digits=20, decimal_places=8, min_value=0, label="Price of one unit")
    valid_from = forms.DateTimeField(
        required=False,
        label="Valid from",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
        help_text="Empty: from now on. Closed days keep their prices.",
    )
    gpu_type = forms.CharField(required=False, max_length=60, label="GPU type", help_text="Only for GPU hours.")
    model_id = forms.UUIDField(required=False, label="Model id", help_text="Empty: for every model.")
    note = forms.CharField(required=False, max_length=300)


WINDOWS = (("7d", "Last 7 days"), ("30d", "Last 30 days"), ("12w", "Last 12 weeks"), ("all", "All time"))
GROUPS = (("team", "Team"), ("model", "Model"), ("resource", "Job, endpoint or run"), ("day", "Day"))


class CostFilterForm(forms.Form):
    """Which costs, and by what. What is missing or wrong falls back to the first choice."""

    window = forms.ChoiceField(choices=WINDOWS, label="Time", required=False, initial="30d")
    by = forms.ChoiceField(choices=GROUPS, label="By", required=False, initial="team")
    resource_type = forms.ChoiceField(choices=[("", "Everything"), *CostResource.choices], label="For", required=False)
