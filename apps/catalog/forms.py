"""Forms of the model pages. They only collect; the services decide."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet

from apps.accounts.models import Team, User
from apps.catalog.cards import CARD_FIELDS, as_text, card_status
from apps.catalog.models import ModelEntry
from apps.catalog.selectors import models_visible_to
from apps.catalog.types import ModelType, Provider
from apps.core.models import Visibility
from apps.core.permissions import teams_where
from apps.datasets.selectors import datasets_visible_to

PICKER_LIMIT = 500
CARD_KEYS = frozenset(key for field in CARD_FIELDS for key in field.keys)
PROVIDER_KEYS = ("provider", "model_name", "base_url")
AREA = {"rows": 3}


def offer(field: forms.Field, choices: list[tuple[str, str]]) -> None:
    """Give a choice field its choices."""
    if isinstance(field, forms.ChoiceField):
        field.choices = choices


class ModelForm(forms.Form):
    """What a person may say about a model: identity, card, provider, sources, further metadata."""

    name = forms.CharField(max_length=200, label="Name")
    model_family = forms.CharField(
        max_length=100, required=False, label="Family", help_text="Read from config.json when left empty."
    )
    purpose = forms.CharField(required=False, label="Purpose", widget=forms.Textarea(AREA), help_text="Markdown.")
    scope = forms.CharField(
        required=False,
        label="Scope",
        widget=forms.Textarea(AREA),
        help_text="Where it may be used and where not. Markdown.",
    )
    contact = forms.CharField(required=False, label="Contact")
    license = forms.CharField(required=False, label="Licence", help_text="For example Apache-2.0.")
    provider = forms.ChoiceField(required=False, choices=[("", "–"), *Provider.choices], label="Provider")
    model_name = forms.CharField(required=False, max_length=200, label="Name at the provider")
    base_url = forms.CharField(
        required=False, max_length=500, label="Address", help_text="OpenAI needs none. Nothing is connected yet."
    )
    api_key = forms.CharField(
        required=False,
        label="API key",
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="Stored encrypted and never shown. Leave empty to keep the stored one.",
    )
    base_model_id = forms.TypedChoiceField(required=False, label="Base model", empty_value=None)
    lineage_dataset_ids = forms.MultipleChoiceField(required=False, label="Datasets it was trained on")
    visibility = forms.ChoiceField(
        choices=Visibility.choices,
        initial=Visibility.TEAM,
        label="Visible to",
        help_text="The organisation sees it once it is approved.",
    )
    metadata = forms.JSONField(
        required=False,
        label="Further metadata",
        widget=forms.Textarea({"data-json": "", "rows": 8}),
        help_text="Any JSON object; kept as it is.",
    )

    identity: tuple[str, ...] = ("name", "model_family", "visibility")
    card = ("purpose", "scope", "contact", "license")
    external = ("provider", "model_name", "base_url", "api_key")
    lineage = ("base_model_id", "lineage_dataset_ids")

    def __init__(self, *args: Any, actor: User, model: ModelEntry | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.model = model
        bases = models_visible_to(actor).exclude(type=ModelType.EXTERNAL)
        if model is not None:
            bases = bases.exclude(pk=model.pk)
        self._choices("base_model_id", bases, blank=True)
        self._choices("lineage_dataset_ids", datasets_visible_to(actor))
        if model is not None and not model.is_external:
            for name in self.external:
                del self.fields[name]

    def _choices(self, name: str, queryset: QuerySet[Any], *, blank: bool = False) -> None:
        rows = [(str(row.pk), f"{row.name} {row.version} ({row.team.slug})") for row in queryset[:PICKER_LIMIT]]
        offer(self.fields[name], [("", "–"), *rows] if blank else rows)
        self.fields[name].widget.attrs["data-picker"] = ""

    def section(self, names: tuple[str, ...]) -> list[forms.BoundField]:
        """Bound fields of one part of the page, those that this form has."""
        return [self[name] for name in names if name in self.fields]

    def identity_fields(self) -> list[forms.BoundField]:
        """For the template."""
        return self.section(self.identity)

    def card_fields(self) -> list[forms.BoundField]:
        """For the template."""
        return self.section(self.card)

    def external_fields(self) -> list[forms.BoundField]:
        """For the template."""
        return self.section(self.external)

    def lineage_fields(self) -> list[forms.BoundField]:
        """For the template."""
        return self.section(self.lineage)

    def service_fields(self) -> dict[str, Any]:
        """The cleaned input as the services take it; card and provider fields go into the metadata."""
        data = self.cleaned_data
        metadata = dict(data.get("metadata") or {})
        for key in (*self.card, *PROVIDER_KEYS):
            if data.get(key):
                metadata[key] = data[key]
        if data.get("api_key"):
            metadata["api_key"] = data["api_key"]
        fields: dict[str, Any] = {
            name: data[name] for name in ("name", "model_family", "visibility", "base_model_id") if name in data
        }
        return {**fields, "metadata": metadata, "lineage_dataset_ids": data["lineage_dataset_ids"]}

    def clean_metadata(self) -> dict[str, Any]:
        """Only objects."""
        value = self.cleaned_data.get("metadata")
        if value in (None, ""):
            return {}
        if not isinstance(value, dict):
            raise forms.ValidationError("Write a JSON object, like {}.")
        return value


class ModelCreateForm(ModelForm):
    """A new model: also version, type and team, which never change."""

    version = forms.CharField(max_length=64, label="Version", help_text="For example 1.0 or 1.2.0-rc.1.")
    type = forms.ChoiceField(choices=ModelType.choices, label="Type")
    owner_team = forms.ChoiceField(label="Team")

    identity = ("name", "version", "type", "owner_team", "model_family", "visibility")

    def __init__(self, *args: Any, actor: User, **kwargs: Any) -> None:
        super().__init__(*args, actor=actor, **kwargs)
        teams = Team.objects.filter(pk__in=teams_where(actor, "model.create")) | Team.objects.filter(
            pk__in=teams_where(actor, "external_model.create")
        )
        offer(self.fields["owner_team"], [(team.slug, team.name) for team in teams.distinct().order_by("name")])

    def service_fields(self) -> dict[str, Any]:
        """With the parts that are fixed at creation."""
        data = self.cleaned_data
        fields = super().service_fields()
        if data["type"] != ModelType.EXTERNAL:
            for key in (*PROVIDER_KEYS, "api_key"):
                if data.get(key):
                    fields["metadata"].pop(key, None)
        return {**fields, **{name: data[name] for name in ("version", "type", "owner_team")}}


def initial_of(model: ModelEntry, *, dataset_ids: list[str], base_model_id: str) -> dict[str, Any]:
    """The form's starting values for an existing model."""
    card = card_status(model.metadata).values
    known = {*CARD_KEYS, *(PROVIDER_KEYS if model.is_external else ())}
    return {
        "name": model.name,
        "model_family": model.model_family,
        "visibility": model.visibility,
        **card,
        **{key: as_text(model.metadata.get(key)) for key in PROVIDER_KEYS},
        "base_model_id": base_model_id,
        "lineage_dataset_ids": dataset_ids,
        "metadata": {key: value for key, value in model.metadata.items() if key not in known},
    }
