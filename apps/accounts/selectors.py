"""Reading people, teams and tokens."""

from __future__ import annotations

import contextlib
import uuid
from typing import Any

from django.db.models import Q, QuerySet

from apps.accounts.models import ApiToken, Membership, Team, User
from apps.core.errors import ValidationFailed
from apps.core.permissions import Role, can, organisation_roles, team_ids, teams_where


def users_manageable_by(actor: User) -> QuerySet[User]:
    """All people, for those who manage them; else only oneself."""
    if can(actor, "user.manage"):
        return User.objects.all()
    return User.objects.filter(pk=actor.pk)


def teams_visible_to(actor: User) -> QuerySet[Team]:
    """Teams whose existence the actor may know: their own, or all for organisation-wide roles."""
    if organisation_roles(actor):
        return Team.objects.all()
    return Team.objects.filter(pk__in=team_ids(actor))


def tokens_visible_to(actor: User) -> QuerySet[ApiToken]:
    """One's own personal tokens; everybody's for those who manage them. Job-bound tokens are nobody's to handle."""
    tokens = ApiToken.objects.filter(bound_type="").select_related("user", "team")
    if can(actor, "token.manage"):
        return tokens
    return tokens.filter(user=actor)


def team_resolve(*, actor: User, value: Any, action: str, field: str = "owner_team") -> Team:
    """The team a caller names by slug, name or id, among those where they may do ``action``.

    Raises:
        ValidationFailed: no such team for this caller (missing, invisible and not allowed read alike).
    """
    teams = teams_where(actor, action)
    text = str(value or "").strip()
    if not text:
        choices = list(teams[:2])
        if len(choices) == 1:
            return choices[0]
        raise ValidationFailed.field(field, "required", "Name the owning team (its slug, name or id).")
    wanted = Q(slug__iexact=text) | Q(name__iexact=text)
    with contextlib.suppress(ValueError):
        wanted |= Q(pk=uuid.UUID(text))
    found = teams.filter(wanted).first()
    if found is None:
        known = ", ".join(teams.values_list("slug", flat=True)[:20]) or "none"
        raise ValidationFailed.field(
            field, "unknown_team", f"There is no team {text[:60]!r} in which you may do this. Yours: {known}."
        )
    return found


def users_with_role(*, role: str, team: Team | None = None) -> QuerySet[User]:
    """Active people who hold ``role`` in ``team`` or organisation-wide; for notifications and assignments."""
    where = Q(memberships__role=role, memberships__team=None)
    if team is not None:
        where |= Q(memberships__role=role, memberships__team=team)
    return User.objects.filter(where, is_active=True).distinct()


def roles_of(user: User) -> dict[str, Any]:
    """Roles for display: organisation-wide, and by team slug."""
    teams: dict[str, list[str]] = {}
    organisation: list[str] = []
    for slug, role in Membership.objects.filter(user=user).order_by("role").values_list("team__slug", "role"):
        (organisation if slug is None else teams.setdefault(slug, [])).append(role)
    return {"organisation": organisation, "teams": teams}


def is_organisation_admin(user: User) -> bool:
    """Whether the person administers the organisation."""
    return Role.ADMIN in organisation_roles(user)
