"""Forms of the portal's own pages."""

from __future__ import annotations

from django import forms

from apps.governance.types import Decision


class DecisionForm(forms.Form):
    """A reviewer's word. The button that was pressed carries the decision."""

    decision = forms.ChoiceField(choices=Decision.choices, widget=forms.HiddenInput)
    notes = forms.CharField(
        required=False,
        label="Notes",
        help_text="Kept with the decision. Say what you looked at, or what has to change.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )
