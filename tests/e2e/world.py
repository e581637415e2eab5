"""What the browser finds: the cast, and things of team support. Run as `python -m tests.e2e.world` in the server's
environment; prints the ids as JSON."""

from __future__ import annotations

import json
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmops.settings.test")
django.setup()

from apps.datasets.services import dataset_submit  # noqa: E402
from tests.catalog.support import make_model, make_ready  # noqa: E402
from tests.factories.datasets import clean_rows, make_approved_dataset, make_dataset, pii_rows  # noqa: E402
from tests.support.cast import make_cast  # noqa: E402


def main() -> None:
    """Make the cast and their things through the services, as the right person."""
    cast = make_cast()
    approved = make_approved_dataset(cast, name="support-answers")
    leaky = make_dataset(cast.ada, rows=pii_rows(), name="support-questions")
    pending = [make_dataset(cast.ada, rows=clean_rows(), name=f"pending-{place}") for place in ("one", "two")]
    for dataset in pending:
        dataset_submit(actor=cast.ada, dataset_id=dataset.pk, notes="Please look at the tone.")
    drafts = [make_dataset(cast.eve, rows=clean_rows(), name="research-secrets")]
    ready = make_ready(cast.ada, cast.support, name="support-base")
    bare = make_model(cast.ada, cast.support, name="unfinished-model", metadata={})
    made = {
        "people": {name: str(user.pk) for name, user in cast.everyone().items()},
        "approved_dataset": str(approved.pk),
        "leaky_dataset": str(leaky.pk),
        "pending_datasets": [str(dataset.pk) for dataset in pending],
        "research_dataset": str(drafts[0].pk),
        "ready_model": str(ready.pk),
        "bare_model": str(bare.pk),
    }
    json.dump(made, sys.stdout)


if __name__ == "__main__":
    main()
