"""Datasets for tests: made through the services, so that they are as real as any."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from apps.accounts.models import User
from apps.datasets import services
from apps.datasets.models import Dataset, DatasetCheck
from tests.support.cast import Cast, commit_now

SHEET = {
    "what": "Questions that customers asked, with the answers they got.",
    "source": "Made up for the tests.",
    "consent": "No personal data.",
    "licence": "CC0-1.0",
    "retention": "unlimited",
    "contact": "team support",
}


def rows_bytes(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Rows as JSON Lines."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def clean_rows(count: int = 24) -> list[dict[str, Any]]:
    """Instruction pairs without anything to complain about."""
    return [
        {
            "instruction": f"How do I restart the router model {n}?",
            "response": f"Hold its button for {n % 9 + 2} seconds.",
        }
        for n in range(count)
    ]


def pii_rows(count: int = 24) -> list[dict[str, Any]]:
    """The same, with an e-mail address, a telephone and a card number."""
    rows = clean_rows(count)
    rows[2]["response"] = "Write to ann.lee@example.com and we will help."
    rows[4]["response"] = "Call +44 20 7946 0958 between nine and five."
    rows[6]["instruction"] = "My card 4111 1111 1111 1111 was declined, why?"
    return rows


def make_dataset(
    actor: User,
    *,
    name: str = "support-questions",
    version: str = "1.0",
    dataset_type: str = "sft_pair",
    rows: Iterable[Mapping[str, Any]] | None = None,
    filename: str = "rows.jsonl",
    content: bytes | None = None,
    **fields: Any,
) -> Dataset:
    """A draft with checked files and a complete data sheet; ``rows=[]`` leaves it without files."""
    fields = {**fields, "metadata": {"datasheet": dict(SHEET), **fields.get("metadata", {})}}
    dataset = services.dataset_create(actor=actor, name=name, version=version, dataset_type=dataset_type, **fields)
    data = content if content is not None else rows_bytes(clean_rows() if rows is None else rows)
    if data:
        upload = services.Upload(filename, [data])
        services.dataset_upload(actor=actor, dataset_id=dataset.pk, files=[upload])
        commit_now()
    dataset.refresh_from_db()
    return dataset


def make_approved_dataset(cast: Cast, **fields: Any) -> Dataset:
    """A dataset of team support that Ada submitted and Chen approved."""
    dataset = make_dataset(cast.ada, **fields)
    services.dataset_submit(actor=cast.ada, dataset_id=dataset.pk)
    return services.dataset_decide(actor=cast.chen, dataset_id=dataset.pk, decision="approve")


def last_check(dataset: Dataset) -> DatasetCheck:
    """The newest check of a dataset that has one."""
    assert dataset.last_check is not None
    return dataset.last_check
