"""Forms of the import pages. They only collect; the services decide."""

from __future__ import annotations

from typing import Any

from django import forms

from apps.accounts.models import User
from apps.catalog.forms import offer
from apps.catalog.types import ModelType
from apps.core.models import Visibility
from apps.core.permissions import teams_where


class _ImportForm(forms.Form):
    owner_team = forms.ChoiceField(label="Team")
    name = forms.CharField(max_length=200, required=False, label="Name")
    version = forms.CharField(max_length=64, required=False, label="Version")
    visibility = forms.ChoiceField(
        choices=Visibility.choices,
        initial=Visibility.TEAM,
        label="Visible to",
        help_text="The organisation sees it once it is approved.",
    )

    def __init__(self, *args: Any, actor: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        teams = teams_where(actor, "model.import").order_by("name")
        offer(self.fields["owner_team"], [(team.slug, team.name) for team in teams])


class HubImportForm(_ImportForm):
    """Which repository, and what to call it here."""

    repo_id = forms.CharField(
        max_length=200, label="Repository", help_text="As the hub names it: organisation/model.",
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )  # fmt: skip
    revision = forms.CharField(
        max_length=200, required=False, label="Revision", help_text="Branch, tag or commit; main when empty."
    )
    type = forms.ChoiceField(
        choices=[(ModelType.BASE, ModelType.BASE.label), (ModelType.FINE_TUNED, ModelType.FINE_TUNED.label)],
        initial=ModelType.BASE,
        label="Type",
    )
    include = forms.CharField(
        required=False,
        label="Only these files",
        widget=forms.Textarea({"rows": 2}),
        help_text="One pattern a line, such as *.safetensors. Empty: what the model needs, in one weight format.",
    )
    token = forms.CharField(
        required=False,
        label="Token",
        widget=forms.PasswordInput({"autocomplete": "off"}),
        help_text="Only for gated and private models. Used for this import, stored encrypted until it ends.",
    )

    field_order = ("repo_id", "revision", "owner_team", "type", "name", "version", "visibility", "include", "token")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].help_text = "The repository's own name when empty."
        self.fields["version"].help_text = "1.0 when empty."

    def main_fields(self) -> list[forms.BoundField]:
        """For the template."""
        return [self[name] for name in ("repo_id", "revision", "owner_team", "type", "name", "version", "visibility")]

    def service_fields(self) -> dict[str, Any]:
        """As the service takes it."""
        return {**self.cleaned_data, "include": self.cleaned_data["include"].splitlines()}


class BundleImportForm(_ImportForm):
    """A bundle, and what to call its model here."""

    bundle = forms.FileField(label="Bundle", help_text="A file that ends in .llmops.tar, as a portal exports it.")

    field_order = ("bundle", "owner_team", "name", "version", "visibility")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].help_text = self.fields["version"].help_text = "The bundle's own when empty."
