"""`manage.py signing_key`: the key that signs approved models."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.catalog.keys import signing_keys
from apps.core import audit
from apps.integrations.signing import PublicKey, SigningError


class Command(BaseCommand):
    """Shows the trusted keys; `create` makes the signing key where there is none, `rotate` replaces it."""

    help = "Keys that sign and verify models: list them (show), make the first (create), replace it (rotate)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to do."""
        parser.add_argument("action", nargs="?", choices=["show", "create", "rotate"], default="show")

    def handle(self, *args: Any, **options: Any) -> None:
        """Show or rotate, then show."""
        keys = signing_keys()
        try:
            if options["action"] == "create":
                keys.create()
            elif options["action"] == "rotate":
                self._rotate()
            keys.ensure()
            for key in keys.public_keys():
                self.stdout.write(_line(key))
        except SigningError as error:
            raise CommandError(error.message) from error
        except OSError as error:
            raise CommandError(f"{error.filename} cannot be written: {error.strerror}.") from error

    def _rotate(self) -> None:
        old = signing_keys().ensure()
        new = signing_keys().rotate()
        audit.record(
            actor=None,
            action="catalog.signing_key.rotated",
            resource_type="signing_key",
            resource_id=new.key_id,
            metadata={"replaces": old.key_id},
        )
        self.stdout.write("The signing key was replaced. What the old one signed stays trusted.")


def _line(key: PublicKey) -> str:
    return f"{key.key_id}  {'signs and verifies' if key.current else 'verifies'}"
