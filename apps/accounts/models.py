"""People, teams, memberships, API tokens."""

from __future__ import annotations

import uuid
from collections import defaultdict
from functools import cached_property
from typing import ClassVar
from uuid import UUID

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q

from apps.core.models import BaseModel
from apps.core.permissions import Role

ROLE_CHOICES = [(role.value, role.value.replace("_", " ").capitalize().replace("Ml ", "ML ")) for role in Role]


class User(AbstractUser):
    """A person. Roles come from memberships; the limits of a bearer token ride on the instance for one request."""

    AUDIT_TYPE: ClassVar[str] = "user"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)

    # Set by token authentication for the request; None means "no limit" (session).
    token_scopes: frozenset[str] | None = None
    token_team_id: UUID | None = None
    token: ApiToken | None = None

    @cached_property
    def _roles(self) -> dict[UUID | None, frozenset[str]]:
        found: dict[UUID | None, set[str]] = defaultdict(set)
        for team_id, role in Membership.objects.filter(user_id=self.pk).values_list("team_id", "role"):
            found[team_id].add(role)
        return {team_id: frozenset(roles) for team_id, roles in found.items()}

    def role_map(self) -> dict[UUID | None, frozenset[str]]:
        """Roles by team id (None: organisation); one query per instance."""
        return self._roles

    def forget_roles(self) -> None:
        """Read the memberships anew (after they changed)."""
        self.__dict__.pop("_roles", None)

    @property
    def display_name(self) -> str:
        """Full name, else user name."""
        return self.get_full_name() or self.get_username()


class Team(BaseModel):
    """A group that owns things."""

    AUDIT_TYPE = "team"

    name = models.CharField(max_length=100, unique=True)
    slug = models.SlugField(max_length=60, unique=True)
    description = models.CharField(max_length=300, blank=True)

    class Meta(BaseModel.Meta):
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Membership(BaseModel):
    """One role of one person, in a team or (without a team) in the whole organisation."""

    AUDIT_TYPE = "user"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    team = models.ForeignKey(
        Team,
        on_delete=models.CASCADE,
        related_name="memberships",
        null=True,
        blank=True,
        help_text="Empty: whole organisation.",
    )
    role = models.CharField(max_length=20, choices=ROLE_CHOICES)

    class Meta(BaseModel.Meta):
        constraints = [
            models.UniqueConstraint(fields=["user", "team", "role"], name="membership_once"),
            models.UniqueConstraint(
                fields=["user", "role"], condition=Q(team=None), name="membership_once_organisation"
            ),
            models.CheckConstraint(condition=Q(role__in=[role.value for role in Role]), name="membership_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} {self.role} in {self.team or 'organisation'}"


class ApiToken(BaseModel):
    """A bearer token. Only its SHA-256 is stored (the value has 256 random bits, so no slow hash is needed)."""

    AUDIT_TYPE = "token"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=20, help_text="Beginning of the value, to recognise it.")
    digest = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+", null=True, blank=True)
    bound_type = models.CharField(max_length=50, blank=True, help_text="For a job's own token: what it is bound to.")
    bound_id = models.CharField(max_length=64, blank=True)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta(BaseModel.Meta):
        indexes = [models.Index(fields=["bound_type", "bound_id"], name="token_bound")]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class SignInAttempt(models.Model):
    """Failed sign-ins per account and per address, for the growing wait."""

    key = models.CharField(max_length=200, primary_key=True)
    failures = models.PositiveIntegerField(default=0)
    last_failed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.key}: {self.failures}"
