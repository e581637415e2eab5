"""``manage.py rotate_secrets``: every stored secret under the newest key."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core import audit
from apps.core.crypto import secrets_rotate


class Command(BaseCommand):
    """The new key comes first in LLMOPS_ENCRYPTION_KEYS, the old ones behind it until this has run."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        """``--check`` writes nothing."""
        parser.add_argument("--check", action="store_true", help="only count what is not under the newest key")

    def handle(self, *args: Any, check: bool = False, **options: Any) -> None:
        """Rotate and say what happened; an exit code other than 0 when a secret cannot be read."""
        rows = list(secrets_rotate(dry_run=check))
        word = "to rotate" if check else "rotated"
        for row in rows:
            self.stdout.write(f"{row.column}: {row.rotated} {word}, {row.current} current, {len(row.unreadable)} lost")
        lost = [f"{row.column} {pk}" for row in rows for pk in row.unreadable]
        if not check and any(row.rotated for row in rows):
            audit.record(
                actor=None,
                action="core.secrets.rotated",
                resource_type="secret",
                metadata={row.column: row.rotated for row in rows},
            )
        if lost:
            raise CommandError(
                f"{len(lost)} secrets cannot be read with the configured keys: {', '.join(lost[:10])}. Restore the key "
                "they were encrypted with in LLMOPS_ENCRYPTION_KEYS, or enter them again."
            )
