"""People, teams, memberships and tokens for admins."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.db import models
from django.http import HttpRequest

from apps.accounts import services
from apps.accounts.models import ApiToken, Membership, SignInAttempt, Team, User
from apps.core import audit
from apps.core.admin import PortalAdmin, service_action
from apps.core.errors import DomainError

admin.site.unregister(Group)


class MembershipInline(admin.TabularInline):
    """A person's roles; changed under Memberships."""

    model = Membership
    extra = 0
    can_delete = False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """With the person."""
        return True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Not inline."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Not inline."""
        return False


@admin.register(User)
class UserAdmin(PortalAdmin):
    """People. Password hashes are never shown."""

    view_action = "user.manage"
    visible_by_team = False
    list_display = ("username", "display_name", "email", "is_active", "is_staff", "last_login")
    search_fields = ("username", "first_name", "last_name", "email")
    fields = (
        "username",
        "first_name",
        "last_name",
        "email",
        "is_active",
        "is_staff",
        "last_login",
        "date_joined",
    )
    inlines = (MembershipInline,)
    actions = (
        service_action(
            "Deactivate",
            lambda actor, user: services.user_deactivate(actor=actor, user=user),
            name="deactivate",
        ),
    )


@admin.register(Team)
class TeamAdmin(PortalAdmin):
    """Teams; adding goes through the service."""

    view_action = "team.manage"
    visible_by_team = False
    list_display = ("name", "slug", "description")
    fields = ("name", "slug", "description")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Those who manage teams."""
        return self.has_view_permission(request)

    def save_model(self, request: Any, obj: Team, form: Any, change: bool) -> None:
        """Through the service."""
        try:
            made = services.team_create(actor=request.user, name=obj.name, slug=obj.slug, description=obj.description)
            obj.pk, obj._state.adding = made.pk, False
        except DomainError as error:
            audit.record_denial(error)
            self.message_user(request, error.message, messages.ERROR)


@admin.register(Membership)
class MembershipAdmin(PortalAdmin):
    """Roles: granted and revoked through the services."""

    view_action = "user.manage"
    visible_by_team = False
    list_display = ("user", "role", "team", "created_at")
    list_filter = ("role", "team")
    list_select_related = ("user", "team")
    fields = ("user", "team", "role")
    actions = (
        service_action(
            "Revoke",
            lambda actor, row: services.membership_revoke(actor=actor, membership=row),
            name="revoke",
        ),
    )

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Those who manage people."""
        return self.has_view_permission(request)

    def save_model(self, request: Any, obj: Membership, form: Any, change: bool) -> None:
        """Through the service."""
        try:
            made = services.membership_grant(actor=request.user, user=obj.user, role=obj.role, team=obj.team)
            obj.pk, obj._state.adding = made.pk, False
        except DomainError as error:
            audit.record_denial(error)
            self.message_user(request, error.message, messages.ERROR)


@admin.register(ApiToken)
class ApiTokenAdmin(PortalAdmin):
    """Tokens: never their values or digests."""

    view_action = "token.manage"
    visible_by_team = False
    list_display = ("name", "user", "prefix", "scopes", "expires_at", "last_used_at", "revoked_at")
    list_select_related = ("user",)
    fields = (
        "name",
        "user",
        "prefix",
        "scopes",
        "team",
        "bound_type",
        "bound_id",
        "expires_at",
        "last_used_at",
        "revoked_at",
    )
    actions = (
        service_action(
            "Revoke",
            lambda actor, token: services.token_revoke(actor=actor, token_id=token.pk),
            name="revoke",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[ApiToken]:
        """All, for those who may manage them."""
        return super().get_queryset(request)


@admin.register(SignInAttempt)
class SignInAttemptAdmin(PortalAdmin):
    """Failed sign-ins."""

    view_action = "user.manage"
    visible_by_team = False
    list_display = ("key", "failures", "last_failed_at")
