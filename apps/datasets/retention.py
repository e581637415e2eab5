"""Until when a dataset may be kept, by its data sheet."""

from __future__ import annotations

from datetime import date, datetime

from apps.datasets.datasheet import sheet_of
from apps.datasets.models import Dataset


def retention_end(dataset: Dataset, since: datetime | None = None) -> date | None:
    """The last day on which ``dataset`` may be kept, or ``None`` without an end.

    A period counts from the approval (``since``, or when it was approved), before that from the registration: drafts
    hold data too.
    """
    start = since or dataset.approved_at or dataset.created_at
    return sheet_of(dataset.metadata).retention.end(start.date())
