"""``manage.py demo_people``: the demo organisation's teams and people, with tokens in ``var/demo.json``."""

from __future__ import annotations

import json
import os
import secrets
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from apps.accounts import services
from apps.accounts.demo import CAST, TEAMS
from apps.accounts.models import Team, User
from apps.core import clock
from apps.core.permissions import Scope

SCOPES = (Scope.READ, Scope.WRITE, Scope.INFERENCE, Scope.ADMIN)
FINN_SCOPES = (Scope.READ,)


class Command(BaseCommand):
    """Idempotent: people that exist keep their passwords; a missing file gets new passwords and tokens."""

    help = "Create Ada, Ben, Chen, Dana, Eve and Finn with their teams and roles."

    def add_arguments(self, parser: CommandParser) -> None:
        """Options."""
        parser.add_argument("--base-url", default=settings.PUBLIC_URL)

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        """Run."""
        path = settings.VAR_DIR / "demo.json"
        known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        people: dict[str, Any] = known.get("people", {})
        teams = {}
        for slug, name in TEAMS.items():
            teams[slug] = Team.objects.filter(slug=slug).first() or services.team_create(
                actor=None, name=name, slug=slug
            )
        for member in CAST:
            user = User.objects.filter(username=member.username).first()
            entry = people.get(member.username)
            if user is None or entry is None:
                entry = self._person(member, user)
            user = User.objects.get(username=member.username)
            for role in member.organisation:
                services.membership_grant(actor=None, user=user, role=role)
            for slug, roles in member.teams.items():
                for role in roles:
                    services.membership_grant(actor=None, user=user, role=role, team=teams[slug])
            entry["roles"] = [
                *member.organisation,
                *(role for roles in member.teams.values() for role in roles),
            ]
            entry["teams"] = list(member.teams)
            people[member.username] = entry
        data = {
            "base_url": options["base_url"],
            "people": people,
            "made": known.get("made", {}),
            **{key: value for key, value in known.items() if key not in {"base_url", "people", "made"}},
        }
        temporary = path.with_suffix(".tmp")
        temporary.touch(mode=0o600)
        os.chmod(temporary, 0o600)
        temporary.write_text(json.dumps(data, indent=2))
        os.replace(temporary, path)
        self.stdout.write(f"{len(people)} people in {len(teams)} teams; sign-in names and passwords are in {path}")

    def _person(self, member: Any, user: User | None) -> dict[str, Any]:
        password = secrets.token_urlsafe(12)
        if user is None:
            user = services.user_create(
                actor=None,
                username=member.username,
                password=password,
                email=f"{member.username}@demo.example",
                first_name=member.first_name,
                last_name=member.last_name,
            )
        else:
            user.set_password(password)
            user.save(update_fields=["password"])
        scopes = FINN_SCOPES if member.read_only else SCOPES
        issued = services.token_issue(
            user=user,
            name="demo",
            scopes=scopes,
            expires_at=clock.now() + timedelta(days=settings.TOKEN_MAX_DAYS),
        )
        return {"username": user.username, "password": password, "token": issued.value}
