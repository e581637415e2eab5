"""`manage.py reconcile`: the long-lived reconciler."""

from __future__ import annotations

import signal
from argparse import ArgumentParser
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand

from apps.compute.loop import ReconcilerLoop


class Command(BaseCommand):
    """Run passes until SIGTERM: woken by NOTIFY, and periodically."""

    help = "Looks after workloads: starts, observes, stops, bills. One per installation; a second one waits."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command's options."""
        parser.add_argument("--once", action="store_true", help="make one pass (if the lease is free) and exit")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the loop; SIGTERM and SIGINT end it after the current step."""
        loop = ReconcilerLoop()

        def stop(_signum: int, _frame: FrameType | None) -> None:
            loop.stop()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        loop.run(once=options["once"])
