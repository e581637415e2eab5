"""Fields that other apps' serializers share."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.accounts.models import Team, User

_TEXT = {"type": "string", "nullable": True}


@extend_schema_field(_TEXT)
class TeamSlugField(serializers.ReadOnlyField):
    """A team as its slug (answers only; requests name teams as text resolved by ``team_resolve``)."""

    def to_representation(self, value: Team | None) -> str | None:
        """The slug."""
        return value.slug if value is not None else None


@extend_schema_field(_TEXT)
class UsernameField(serializers.ReadOnlyField):
    """A person as their user name; None for the system."""

    def to_representation(self, value: User | None) -> str | None:
        """The user name."""
        return value.get_username() if value is not None else None
