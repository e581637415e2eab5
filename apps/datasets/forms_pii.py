"""Forms of the pages of PII rules. They only collect; the services decide."""

from __future__ import annotations

from django import forms

from apps.accounts.models import Team
from apps.datasets.pii import MASKS
from apps.datasets.pii.validators import NAMES

_MASK_LABELS = {
    "middle": "First character",
    "ends": "First and last characters",
    "email": "As an e-mail address",
    "card": "Last four digits",
    "secret": "First four characters",
}


class PiiRuleForm(forms.Form):
    """What a rule says."""

    name = forms.CharField(max_length=100, help_text="What people read, such as Customer number.")
    type = forms.CharField(
        max_length=40, label="Kind", help_text="Small letters and _; a redacted copy shows it in brackets: [EMAIL]."
    )
    pattern = forms.CharField(
        strip=False,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text="Regular expression (Python); digits are 0–9. Bound every repeat: {1,64}, not + or *. A group "
        "(?P<value>…) narrows the find.",
    )
    validator = forms.ChoiceField(
        required=False,
        choices=[("", "None: every match counts"), *((name, name.replace("_", " ")) for name in NAMES)],
        help_text="Tells a real number from one that only looks like it.",
    )
    regions = forms.CharField(
        required=False, max_length=200, help_text="Only for “phone plan”: country codes, such as DE,FR."
    )
    confidence = forms.FloatField(
        min_value=0,
        max_value=1,
        initial=0.8,
        help_text="0 to 1; rules below the installation's threshold are left out.",
    )
    mask = forms.ChoiceField(
        choices=[(name, _MASK_LABELS[name]) for name in MASKS], label="Examples show", initial="middle"
    )
    position = forms.IntegerField(
        required=False, min_value=0, help_text="Where finds overlap, the lower number wins. Empty: last."
    )
    enabled = forms.BooleanField(required=False, initial=True, label="Switched on")
    note = forms.CharField(
        required=False, max_length=500, label="Why", help_text="Kept with the version and in the audit trail."
    )


class PiiRuleCreateForm(PiiRuleForm):
    """A new rule."""

    key = forms.CharField(max_length=40, help_text="Small letters, digits, _; stays the same for all versions.")
    team = forms.ModelChoiceField(
        queryset=Team.objects.all(),
        required=False,
        empty_label="Every team",
        help_text="A team's rule stands in for the global one with the same key.",
    )
    field_order = ("key", "team")


class PiiTryForm(forms.Form):
    """A text to try rules on."""

    text = forms.CharField(
        strip=False,
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text="Nothing of it is kept.",
    )
    team = forms.ModelChoiceField(queryset=Team.objects.all(), required=False, empty_label="Global rules only")
