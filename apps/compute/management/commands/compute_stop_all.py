"""`manage.py compute_stop_all`: for the supervisor's shutdown."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.compute.services import workloads_interrupt_all


class Command(BaseCommand):
    """End every process of this machine's workloads; a later start of the portal takes them up again."""

    help = "Stops all local workload processes and records them as interrupted. End the reconciler before."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command's options."""
        parser.add_argument("--timeout", type=float, default=30.0, help="seconds until giving up (default 30)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Stop, wait, record; fails when something is still alive."""
        left = workloads_interrupt_all(timeout_seconds=options["timeout"])
        if left:
            raise CommandError("Still running: " + ", ".join(left))
        self.stdout.write("Every workload process has ended.")
