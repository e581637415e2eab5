"""Forms of the endpoint pages. They only collect; the services decide."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings

from apps.accounts.models import User
from apps.catalog.selectors import models_visible_to
from apps.catalog.types import ModelStatus
from apps.core.models import Visibility
from apps.core.permissions import teams_where
from apps.integrations.runtimes import runtimes
from apps.serving.types import Environment

_PICKER_LIMIT = 500


def _frameworks() -> list[tuple[str, str]]:
    default = settings.SERVING_DEFAULT_FRAMEWORK
    return [
        ("", f"Default ({default})"),
        *((runtime.key, runtime.label) for runtime in runtimes() if runtime.launched),
    ]


class ResourceForm(forms.Form):
    """What a revision runs with; empty means as before, or as the settings say."""

    serving_framework = forms.ChoiceField(required=False, label="Model server")
    use_gpu = forms.NullBooleanField(
        required=False,
        label="GPU",
        widget=forms.Select(choices=[("unknown", "As set up"), ("true", "Use a GPU"), ("false", "CPU only")]),
    )
    cpu_request = forms.CharField(
        required=False, max_length=32, label="CPU request", help_text="For example 1 or 500m."
    )
    cpu_limit = forms.CharField(required=False, max_length=32, label="CPU limit")
    memory_request = forms.CharField(
        required=False, max_length=32, label="Memory request", help_text="For example 2Gi."
    )
    memory_limit = forms.CharField(required=False, max_length=32, label="Memory limit")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["serving_framework"].choices = _frameworks()  # type: ignore[attr-defined]

    def options(self) -> dict[str, Any]:
        """What was filled in, as the service wants it."""
        return {name: value for name, value in self.cleaned_data.items() if value not in (None, "")}


class DeployForm(ResourceForm):
    """A deployment to a new route."""

    field_order = ("model_id", "route", "environment", "rollback_plan", "visibility", "owner_team")

    model_id = forms.ChoiceField(label="Model", help_text="Approved models that you can see.")
    route = forms.CharField(
        max_length=200,
        label="Route",
        help_text="What programs call, for example support-assistant. Unique in its environment.",
    )
    environment = forms.ChoiceField(choices=Environment.choices, initial=Environment.DEV, label="Environment")
    rollback_plan = forms.CharField(
        required=False,
        label="Rollback plan",
        widget=forms.Textarea({"rows": 3}),
        help_text="How to go back if it goes wrong. Required for production.",
    )
    visibility = forms.ChoiceField(
        choices=Visibility.choices,
        initial=Visibility.TEAM,
        label="Who may call it",
        help_text="The owning team, or everybody in the organisation.",
    )
    owner_team = forms.ChoiceField(
        required=False, label="Owning team", help_text="The model's team, unless you say otherwise."
    )

    def __init__(self, *args: Any, actor: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        models = models_visible_to(actor).filter(status=ModelStatus.APPROVED).order_by("name", "-version_key")
        self.fields["model_id"].choices = [  # type: ignore[attr-defined]
            ("", "Choose a model"),
            *((str(model.pk), f"{model.name} {model.version} · {model.team.name}") for model in models[:_PICKER_LIMIT]),
        ]
        teams = teams_where(actor, "serving_endpoint.deploy").order_by("name")
        self.fields["owner_team"].choices = [  # type: ignore[attr-defined]
            ("", "The model's team"),
            *((team.slug, team.name) for team in teams),
        ]


class RedeployForm(ResourceForm):
    """A new revision of an endpoint; also the way to put another model at its route."""

    field_order = ("model_id",)

    model_id = forms.ChoiceField(required=False, label="Model")

    def __init__(self, *args: Any, actor: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        models = models_visible_to(actor).filter(status=ModelStatus.APPROVED).order_by("name", "-version_key")
        self.fields["model_id"].choices = [  # type: ignore[attr-defined]
            ("", "The one it serves now"),
            *((str(model.pk), f"{model.name} {model.version}") for model in models[:_PICKER_LIMIT]),
        ]
