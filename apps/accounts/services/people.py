"""People, teams and their roles. Only organisation admins (or the system) change them."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.text import slugify

from apps.accounts.models import Membership, Team, User
from apps.accounts.services.passwords import password_check
from apps.core import audit, clock
from apps.core.errors import Conflict, Denial, FieldError, PermissionRefused, ValidationFailed
from apps.core.permissions import Role, can


def _require(actor: User | None, action: str) -> None:
    if not can(actor, action):
        raise PermissionRefused(
            "Only organisation admins may change people, teams and roles.",
            denial=Denial(actor, action, "user"),
        )


@transaction.atomic
def team_create(*, actor: User | None, name: str, slug: str = "", description: str = "") -> Team:
    """Create a team. Raises Conflict when name or slug is taken."""
    _require(actor, "team.manage")
    try:
        with transaction.atomic():
            team = Team.objects.create(name=name, slug=slug or slugify(name), description=description)
    except IntegrityError as error:
        raise Conflict.field("name", "taken", f"There is a team called {name!r} already.") from error
    audit.record(actor=actor, action="accounts.team.created", resource=team, team_id=team.pk, metadata={"name": name})
    return team


@transaction.atomic
def user_create(
    *,
    actor: User | None,
    username: str,
    password: str,
    email: str = "",
    first_name: str = "",
    last_name: str = "",
) -> User:
    """Create a person with a checked password.

    Raises:
        ValidationFailed: the password is too weak. Conflict: the name is taken.
    """
    _require(actor, "user.manage")
    user = User(username=username, email=email, first_name=first_name, last_name=last_name)
    password_check(password, user)
    try:
        user.clean_fields(exclude=["password"])
    except ValidationError as error:
        rows = [
            FieldError(name, item.code or "invalid", text)
            for name, items in error.error_dict.items()
            for item in items
            for text in item.messages
        ]
        raise ValidationFailed(rows[0].message, errors=rows) from error
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError as error:
        raise Conflict.field("username", "taken", f"The user name {username!r} is taken.") from error
    audit.record(actor=actor, action="accounts.user.created", resource=user, metadata={"username": username})
    return user


def _sync_staff(user: User) -> None:
    """The Django admin is for operators and admins; what they see there is decided by the same table."""
    roles = Membership.objects.filter(user=user, team=None).values_list("role", flat=True)
    staff = bool({Role.ADMIN, Role.OPERATOR, Role.AUDITOR, Role.REVIEWER} & set(roles))
    if user.is_staff != staff:
        user.is_staff = staff
        user.save(update_fields=["is_staff"])


@transaction.atomic
def membership_grant(*, actor: User | None, user: User, role: str, team: Team | None = None) -> Membership:
    """Give a role in ``team``, or organisation-wide. Giving it twice changes nothing."""
    _require(actor, "user.manage")
    if role not in set(Role):
        raise ValidationFailed.field("role", "invalid", f"There is no role {role!r}. Known: {', '.join(Role)}.")
    User.objects.select_for_update().get(pk=user.pk)
    membership, created = Membership.objects.get_or_create(user=user, team=team, role=role)
    if created:
        _sync_staff(user)
        audit.record(
            actor=actor,
            action="accounts.membership.granted",
            resource=user,
            team_id=team.pk if team else None,
            metadata={"role": role, "team": team.slug if team else None},
        )
    user.forget_roles()
    return membership


@transaction.atomic
def membership_revoke(*, actor: User | None, membership: Membership) -> None:
    """Take a role away.

    Raises:
        Conflict: it is the last organisation admin.
    """
    _require(actor, "user.manage")
    user = User.objects.select_for_update().get(pk=membership.user_id)
    if membership.team_id is None and membership.role == Role.ADMIN:
        others = Membership.objects.select_for_update().filter(team=None, role=Role.ADMIN, user__is_active=True)
        if not others.exclude(pk=membership.pk).exists():
            raise Conflict("This is the last organisation admin. Make somebody else admin first.")
    role, team = membership.role, membership.team
    membership.delete()
    _sync_staff(user)
    audit.record(
        actor=actor,
        action="accounts.membership.revoked",
        resource=user,
        team_id=team.pk if team else None,
        metadata={"role": role, "team": team.slug if team else None},
    )


@transaction.atomic
def user_deactivate(*, actor: User | None, user: User) -> None:
    """Shut a person out: no sign-in, all tokens revoked. Their records stay."""
    _require(actor, "user.manage")
    if actor is not None and actor.pk == user.pk:
        raise Conflict("You cannot deactivate yourself.")
    user.is_active = False
    user.save(update_fields=["is_active"])
    user.api_tokens.filter(revoked_at=None).update(revoked_at=clock.now())
    audit.record(actor=actor, action="accounts.user.deactivated", resource=user)
