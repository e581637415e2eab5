"""`manage.py audit_verify`: is the audit trail what was sealed?"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.governance import services


class Command(BaseCommand):
    """Checks the whole chain; ends with status 1 when anything speaks of tampering."""

    help = "Recompute the chain of the audit trail and report changed, removed, inserted or reordered events."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--anchor`: a link noted earlier."""
        parser.add_argument(
            "--anchor",
            metavar="POSITION:HASH",
            default="",
            help="A link noted earlier outside the database (an earlier run prints it); the chain must still hold it.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Verify and tell."""
        report = services.audit_verify(anchor=_anchor(options["anchor"]))
        self.stdout.write(f"Sealed events: {report.sealed}; waiting for the sealer: {report.waiting}.")
        for problem in report.problems:
            self.stdout.write(self.style.ERROR(f"{problem.kind}: {problem.message}"))
        if not report.is_intact:
            raise CommandError(f"The audit trail has been tampered with: {report.problem_count} sign(s), see above.")
        self.stdout.write(self.style.SUCCESS("The audit trail is intact."))
        self.stdout.write(f"Anchor to note elsewhere: {report.anchor}")


def _anchor(text: str) -> tuple[int, str] | None:
    if not text:
        return None
    position, _, digest = text.partition(":")
    if not position.isdigit() or len(digest) != 64:
        raise CommandError("--anchor must be position:hash, as an earlier run printed it.")
    return int(position), digest
