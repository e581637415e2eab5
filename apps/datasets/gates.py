"""What must hold before a dataset is reviewed and approved; each gate explains itself."""

from __future__ import annotations

from collections.abc import Sequence

from apps.core.storage import store
from apps.datasets.datasheet import SHEET_KEY, sheet_of
from apps.datasets.models import Dataset
from apps.datasets.selectors import check_latest, check_results
from apps.datasets.selectors_pii import type_label
from apps.datasets.thresholds import quality_threshold
from apps.datasets.types import CheckStatus, PiiStatus
from apps.governance.types import GateResult


def dataset_gates(dataset: Dataset, *, look_at_store: bool = False) -> Sequence[GateResult]:
    """Files present, data sheet complete, checks done, PII clean, quality high enough, retention not over.
    ``look_at_store`` also asks whether files are there."""
    return [
        _files(dataset, look_at_store),
        _sheet(dataset),
        _checks(dataset),
        _pii(dataset),
        _quality(dataset),
    ]


def _files(dataset: Dataset, look_at_store: bool) -> GateResult:
    label = "Files"
    if not dataset.has_files:
        return GateResult("files", label, False, "No files are uploaded.", "Upload CSV, JSONL or Parquet files.")
    if look_at_store:
        files = list(dataset.files.all())
        lost = [file.filename for file in files if not _stored(file.storage_key, file.size)]
        if lost or not store().exists(dataset.rows_key):
            names = ", ".join(lost) or "the rows"
            return GateResult("files", label, False, f"The store has lost {names}.", "Upload the files again.")
    return GateResult("files", label, True, f"{dataset.row_count or 0:,} rows are uploaded.")


def _sheet(dataset: Dataset) -> GateResult:
    label = "Data sheet"
    sheet = sheet_of(dataset.metadata)
    if sheet.missing:
        names = ", ".join(field.name for field in sheet.missing)
        remedy = " ".join(f"{field.name}: {field.remedy}" for field in sheet.missing)
        return GateResult("datasheet", label, False, f"It lacks {names}.", f"Fill in metadata.{SHEET_KEY}. {remedy}")
    if dataset.is_expired:
        return GateResult(
            "datasheet",
            label,
            False,
            f"The retention ended on {dataset.retention_until}.",
            "Delete the dataset, or correct its retention in the data sheet.",
        )
    if dataset.retention_until is not None:
        return GateResult("datasheet", label, True, f"Complete; kept until {dataset.retention_until}.")
    if sheet.retention.unlimited:
        return GateResult("datasheet", label, True, "Complete; kept without an end.")
    # Words that mean no date are for the reviewer to judge, and must not look like a date that is watched.
    return GateResult(
        "datasheet",
        label,
        True,
        f"Complete. No date can be read from the retention “{sheet.values['retention'][:80]}”: nothing will end it.",
    )


def _stored(key: str, size: int) -> bool:
    return store().exists(key) and store().size(key) == size


def _checks(dataset: Dataset) -> GateResult:
    label = "Checks"
    if dataset.has_files and check_results(dataset) is not None:
        return GateResult("checks", label, True, "The checks have run over these files.")
    latest = check_latest(dataset)
    if latest is None:
        return GateResult(
            "checks", label, False, "The checks have not run.", "They start by themselves after an upload."
        )
    if latest.status == CheckStatus.FAILED:
        return GateResult("checks", label, False, f"The checks did not finish: {latest.message}", "Run them again.")
    return GateResult("checks", label, False, "The checks are still running.", "Wait until they have finished.")


def _pii(dataset: Dataset) -> GateResult:
    label = "Personal data"
    if dataset.pii_scan_status == PiiStatus.CLEAN:
        results = check_results(dataset)
        marked = results.pii.get("total", 0) if results is not None else 0
        text = (
            f"All {marked:,} finds are confirmed to be no personal data." if marked else "No personal data was found."
        )
        return GateResult("pii", label, True, text)
    if dataset.pii_scan_status == PiiStatus.PENDING:
        return GateResult(
            "pii", label, False, "The scan for personal data has no result yet.", "Let the checks finish."
        )
    check = check_results(dataset)
    pii = check.pii if check is not None else {}
    kinds = ", ".join(
        f"{count:,} × {type_label(key).lower()}" for key, count in pii.get("openByType", pii.get("byType", {})).items()
    )
    return GateResult(
        "pii",
        label,
        False,
        f"Personal data was found: {kinds or 'see the checks'}.",
        "Make a redacted version, upload cleaned files, or mark what is none (a reviewer confirms).",
    )


def _quality(dataset: Dataset) -> GateResult:
    label = "Quality"
    least = quality_threshold(dataset.type)
    if dataset.quality_score is None:
        return GateResult("quality", label, False, "There is no quality score yet.", "Let the checks finish.")
    if dataset.quality_score < least:
        check = check_results(dataset)
        advice = [text for text in (check.recommendations if check else []) if "redacted" not in text]
        return GateResult(
            "quality",
            label,
            False,
            f"The quality score is {dataset.quality_score:g}; at least {least:g} is needed.",
            advice[0] if advice else "Follow the recommendations of the checks.",
        )
    return GateResult("quality", label, True, f"The quality score is {dataset.quality_score:g} (at least {least:g}).")
