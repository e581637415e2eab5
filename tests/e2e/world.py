"""What the browser finds: the cast, and things of team support. Run as `python -m tests.e2e.world` in the server's
environment; prints the ids as JSON."""

from __future__ import annotations

import json
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmops.settings.test")
django.setup()

from tests.support.cast import make_cast  # noqa: E402


def main() -> None:
    """Make the cast and their things through the services, as the right person."""
    people = make_cast()
    made = {"people": {name: str(user.pk) for name, user in people.everyone().items()}}
    json.dump(made, sys.stdout)


if __name__ == "__main__":
    main()
