"""``manage.py bootstrap_admin``: the first administrator, once."""

from __future__ import annotations

import getpass
import os
import secrets
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.accounts import services
from apps.accounts.models import Membership
from apps.core.errors import DomainError
from apps.core.permissions import Role


class Command(BaseCommand):
    """Creates an organisation admin when there is none."""

    help = "Create the first organisation admin (BOOTSTRAP_ADMIN_PASSWORD, a prompt, or a generated password)."

    def add_arguments(self, parser: CommandParser) -> None:
        """Options."""
        parser.add_argument("--username", default="admin")
        parser.add_argument("--email", default="")
        parser.add_argument("--generate", action="store_true", help="Make a password and print it once.")
        parser.add_argument("--if-none", action="store_true", help="Do nothing when an admin exists.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run."""
        if Membership.objects.filter(role=Role.ADMIN, team=None, user__is_active=True).exists():
            if options["if_none"]:
                return
            raise CommandError("There is an administrator already. They can add others in the admin under Memberships.")
        password = os.environ.get("BOOTSTRAP_ADMIN_PASSWORD", "")
        generated = not password and (options["generate"] or not sys.stdin.isatty())
        if generated:
            password = secrets.token_urlsafe(16)
        elif not password:
            password = getpass.getpass("Password for the first administrator: ")
        try:
            user = services.user_create(
                actor=None, username=options["username"], password=password, email=options["email"]
            )
            services.membership_grant(actor=None, user=user, role=Role.ADMIN)
            services.membership_grant(actor=None, user=user, role=Role.OPERATOR)
        except DomainError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"Administrator {user.username} created." + (f" Password: {password}" if generated else ""))
