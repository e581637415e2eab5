"""Forms of the account pages: they translate, the services decide."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.password_validation import password_validators_help_texts

from apps.accounts.models import Team, User
from apps.core.permissions import Scope, teams_where

SCOPE_HELP = {
    Scope.READ: "read: see what you see",
    Scope.WRITE: "write: create, change, submit, decide",
    Scope.INFERENCE: "inference: call endpoints and chat",
    Scope.METRICS: "metrics: record metrics of training jobs",
    Scope.ADMIN: "admin: people, teams, policies, prices (where your roles allow it)",
}


class SignInForm(forms.Form):
    """User name and password."""

    username = forms.CharField(
        label="User name",
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}),
    )
    password = forms.CharField(
        strip=False, max_length=1000, widget=forms.PasswordInput(attrs={"autocomplete": "current-password"})
    )


class PasswordForm(forms.Form):
    """One's own new password, typed twice."""

    current_password = forms.CharField(
        strip=False, max_length=1000, widget=forms.PasswordInput(attrs={"autocomplete": "current-password"})
    )
    new_password = forms.CharField(
        strip=False,
        max_length=1000,
        help_text=" ".join(password_validators_help_texts()),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    repeated = forms.CharField(
        label="New password again",
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean(self) -> dict[str, Any]:
        """Both new passwords must be the same; the second is not handed on."""
        data = super().clean() or {}
        if data.pop("repeated", None) != data.get("new_password"):
            self.add_error("repeated", "The two new passwords differ. Type the same one twice.")
        return data


class TokenForm(forms.Form):
    """A new API token."""

    name = forms.CharField(
        max_length=100,
        help_text="What it is for, so that you recognise it later: “laptop notebook”, “nightly import”.",
    )
    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, SCOPE_HELP[scope]) for scope in Scope],
        initial=[Scope.READ.value, Scope.WRITE.value, Scope.INFERENCE.value],
        widget=forms.CheckboxSelectMultiple,
        help_text="A token never exceeds what your roles allow. Give it no more than it needs.",
    )
    expires_in_days = forms.IntegerField(label="Days until it expires", min_value=1)
    team_slug = forms.ChoiceField(
        label="Team", required=False, help_text="Limit the token to the things of one team, or leave it open."
    )

    def __init__(self, *args: Any, actor: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        days = self.fields["expires_in_days"]
        days.initial = settings.TOKEN_DEFAULT_DAYS
        days.help_text = f"At most {settings.TOKEN_MAX_DAYS}."
        teams: list[Team] = list(teams_where(actor, "model.view"))
        choices = [("", "All teams that I see"), *((team.slug, team.name) for team in teams)]
        team_field = self.fields["team_slug"]
        if isinstance(team_field, forms.ChoiceField):
            team_field.choices = choices
