"""Shapes of the accounts API."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.accounts.selectors import roles_of
from apps.core.api.serializers import ApiSerializer
from apps.core.permissions import Scope


class RolesSerializer(serializers.Serializer[Any]):
    """Roles held."""

    organisation = serializers.ListField(child=serializers.CharField())
    teams = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))


class MeSerializer(ApiSerializer):
    """The caller."""

    id = serializers.UUIDField()
    username = serializers.CharField()
    display_name = serializers.CharField()
    email = serializers.CharField()
    roles = serializers.SerializerMethodField()
    token_scopes = serializers.ListField(child=serializers.CharField(), allow_null=True)

    def get_roles(self, user: Any) -> dict[str, Any]:
        """By team and organisation-wide."""
        return roles_of(user)


class TokenSerializer(ApiSerializer):
    """A token without its value."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    prefix = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())
    team_slug = serializers.CharField(source="team.slug", allow_null=True, default=None)
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)


class IssuedTokenSerializer(ApiSerializer):
    """A new token with its value: the only time it is shown."""

    id = serializers.UUIDField(source="token.id")
    name = serializers.CharField(source="token.name")
    token = serializers.CharField(source="value")
    prefix = serializers.CharField(source="token.prefix")
    scopes = serializers.ListField(child=serializers.CharField(), source="token.scopes")
    expires_at = serializers.DateTimeField(source="token.expires_at")


class TokenCreateSerializer(ApiSerializer):
    """What to make."""

    name = serializers.CharField(max_length=100)
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=[s.value for s in Scope]), required=False)
    expires_at = serializers.DateTimeField(required=False)
    expires_in_days = serializers.IntegerField(required=False)
    team_slug = serializers.CharField(required=False, allow_blank=True, default="")
