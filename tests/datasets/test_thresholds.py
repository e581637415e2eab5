"""FR-003c: how good a dataset must be: by type and environment in the settings, and by policy."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from apps.core.errors import GateRefused, PermissionRefused
from apps.datasets import services
from apps.datasets.reports import validation_report
from apps.datasets.thresholds import quality_threshold, thresholds_check
from apps.governance.services import policy_create
from tests.factories.datasets import clean_rows, make_dataset
from tests.support.cast import Cast


def test_the_most_exact_entry_counts(settings: Any) -> None:
    """FR-003c: environment and type, then type, then environment, then the one for all."""
    settings.ENVIRONMENT = "prod"
    settings.DATASETS_QUALITY_THRESHOLD = 70.0
    settings.DATASETS_QUALITY_THRESHOLDS = {"prod/sft_pair": 85.0, "benchmark": 95.0, "prod": 80.0, "dev": 10.0}
    asked = {kind: quality_threshold(kind) for kind in ("sft_pair", "benchmark", "rag_qa")}
    assert asked == {"sft_pair": 85.0, "benchmark": 95.0, "rag_qa": 80.0}
    settings.ENVIRONMENT = "stg"
    assert quality_threshold("rag_qa") == 70.0


@pytest.mark.parametrize("entry", [{"sft_pairs": 80.0}, {"production": 80.0}, {"prod/x": 80.0}, {"prod": 101.0}])
def test_entries_that_could_never_count_stop_the_start(settings: Any, entry: dict[str, float]) -> None:
    """P-4: a misspelt type is a threshold that everybody believes in and nobody applies."""
    settings.DATASETS_QUALITY_THRESHOLDS = entry
    with pytest.raises(ImproperlyConfigured, match="LLMOPS_DATASETS_QUALITY_THRESHOLDS"):
        thresholds_check()


@pytest.mark.django_db
def test_gate_and_report_name_the_threshold_of_the_type(cast: Cast, settings: Any) -> None:
    """FR-003c: what blocks is what is shown."""
    rows = clean_rows(40)
    rows[0]["response"] = ""
    dataset = make_dataset(cast.ada, rows=rows)
    settings.DATASETS_QUALITY_THRESHOLDS = {"sft_pair": 99.99}
    assert validation_report(dataset)["quality_score"]["threshold"] == 99.99
    with pytest.raises(GateRefused, match=r"at least 99\.99"):
        services.dataset_submit(actor=cast.ada, dataset_id=dataset.pk)


@pytest.mark.django_db
def test_policy_asks_for_more_by_type_and_environment(cast: Cast, settings: Any) -> None:
    """FR-003c, FR-010: a condition over the score; other types and environments are left alone."""
    rows = clean_rows(40)
    rows[0]["response"] = ""
    dataset = make_dataset(cast.ada, rows=rows)
    condition = {
        "expression": 'action.verb != "submit" || environment.name != "prod" || resource.kind != "sft_pair" '
        "|| resource.quality_score >= 99.9",
        "message": "Instruction pairs for production need a quality of 99.9.",
    }
    policy_create(
        actor=cast.dana, name="Good pairs", scope="dataset", rules={"conditions": [condition]}, status="active"
    )
    settings.ENVIRONMENT = "prod"
    with pytest.raises(PermissionRefused, match=r"quality of 99\.9"):
        services.dataset_submit(actor=cast.ada, dataset_id=dataset.pk)
    settings.ENVIRONMENT = "dev"
    assert services.dataset_submit(actor=cast.ada, dataset_id=dataset.pk).status == "pending_review"
