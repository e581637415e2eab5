"""API tokens: made once, shown once, stored as a digest, limited by scope, team and time."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction

from apps.accounts import selectors
from apps.accounts.models import ApiToken, Team, User
from apps.core import audit, clock
from apps.core.errors import NotAuthenticated, PermissionRefused, ValidationFailed
from apps.core.permissions import Scope, teams_where
from apps.core.transitions import get_locked

PREFIX = "llmops_"
DEFAULT_SCOPES = (Scope.READ, Scope.WRITE, Scope.INFERENCE)
LAST_USED_STEP = timedelta(minutes=1)


@dataclass(frozen=True)
class IssuedToken:
    """A new token and its value; the value exists nowhere else."""

    token: ApiToken
    value: str


def digest_of(value: str) -> str:
    """Hex SHA-256 of a token's value."""
    return hashlib.sha256(value.encode()).hexdigest()


def token_issue(
    *,
    user: User,
    name: str,
    scopes: Sequence[str],
    expires_at: datetime,
    team: Team | None = None,
    bound_type: str = "",
    bound_id: object = "",
) -> IssuedToken:
    """Make a token without asking anybody; for jobs' own tokens and management commands. People use token_create."""
    value = PREFIX + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        user=user,
        name=name,
        prefix=value[:15],
        digest=digest_of(value),
        scopes=sorted(set(scopes)),
        team=team,
        bound_type=bound_type,
        bound_id=str(bound_id),
        expires_at=expires_at,
    )
    return IssuedToken(token, value)


@transaction.atomic
def token_create(
    *,
    actor: User,
    name: str,
    scopes: Sequence[str] | None = None,
    expires_at: datetime | None = None,
    expires_in_days: int | None = None,
    team_slug: str = "",
) -> IssuedToken:
    """A personal token. It never exceeds its owner, nor the token it was made with.

    Raises:
        ValidationFailed: unknown scope, a life that is over or too long, a team that is not the owner's.
        PermissionRefused: made with a token that lacks one of the scopes.
    """
    wanted = list(scopes) if scopes else list(DEFAULT_SCOPES)
    unknown = sorted(set(wanted) - set(Scope))
    if not name.strip():
        raise ValidationFailed.field("name", "required", "Give the token a name that says what it is for.")
    if unknown:
        raise ValidationFailed.field(
            "scopes", "invalid", f"Unknown scopes: {', '.join(unknown)}. Known: {', '.join(Scope)}."
        )
    if actor.token_scopes is not None:
        excess = sorted(set(wanted) - actor.token_scopes)
        if Scope.WRITE not in actor.token_scopes or excess:
            raise PermissionRefused(
                "A token cannot make a token that may do more than itself. Sign in, or use a wider one."
            )
    if expires_at is not None and expires_in_days is not None:
        raise ValidationFailed.field("expires_at", "ambiguous", "Send expiresAt or expiresInDays, not both.")
    now = clock.now()
    if expires_at is None:
        days = settings.TOKEN_DEFAULT_DAYS if expires_in_days is None else expires_in_days
        if not 1 <= days <= settings.TOKEN_MAX_DAYS:
            raise ValidationFailed.field(
                "expires_in_days", "invalid", f"Between 1 and {settings.TOKEN_MAX_DAYS} days, please."
            )
        expires_at = now + timedelta(days=days)
    if not now < expires_at <= now + timedelta(days=settings.TOKEN_MAX_DAYS, minutes=5):
        raise ValidationFailed.field(
            "expires_at",
            "invalid",
            f"The token must end in the future, at most {settings.TOKEN_MAX_DAYS} days from now.",
        )
    team = None
    if team_slug:
        team = teams_where(actor, "model.view").filter(slug=team_slug).first()
        if team is None:
            raise ValidationFailed.field(
                "team_slug", "unknown_team", f"There is no team {team_slug[:60]!r} that you belong to."
            )
    elif actor.token_team_id is not None:
        team = Team.objects.get(pk=actor.token_team_id)
    if actor.token_team_id is not None and team is not None and team.pk != actor.token_team_id:
        raise PermissionRefused("This token is limited to one team and cannot make tokens for another.")
    issued = token_issue(user=actor, name=name.strip(), scopes=wanted, expires_at=expires_at, team=team)
    audit.record(
        actor=actor,
        action="accounts.token.created",
        resource=issued.token,
        metadata={"name": name, "scopes": issued.token.scopes, "expiresAt": expires_at.isoformat()},
    )
    return issued


@transaction.atomic
def token_revoke(*, actor: User, token_id: UUID | str) -> ApiToken:
    """Make a token worthless at once. Revoking twice changes nothing.

    Raises:
        NotFound: absent, or somebody else's.
    """
    token = get_locked(selectors.tokens_visible_to(actor), token_id, "token")
    if token.revoked_at is None:
        token.revoked_at = clock.now()
        token.save(update_fields=["revoked_at"])
        audit.record(actor=actor, action="accounts.token.revoked", resource=token, metadata={"name": token.name})
    return token


def token_authenticate(value: str) -> User:
    """The owner of a bearer value, carrying the token's limits.

    Raises:
        NotAuthenticated: unknown, revoked, expired, or its owner is shut out; one message for all of them.
    """
    token = (
        ApiToken.objects.select_related("user").filter(digest=digest_of(value)).first()
        if value.startswith(PREFIX)
        else None
    )
    now = clock.now()
    if token is None or token.revoked_at is not None or token.expires_at <= now or not token.user.is_active:
        raise NotAuthenticated("The bearer token is unknown, expired or revoked. Make a new one at /account/tokens/.")
    if token.last_used_at is None or now - token.last_used_at > LAST_USED_STEP:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    user = token.user
    user.token_scopes = frozenset(token.scopes)
    user.token_team_id = token.team_id
    user.token = token
    return user
