"""Scan a directory of model files, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from apps.catalog.scanning.facts import check_index
from apps.catalog.scanning.formats import classify
from apps.catalog.scanning.text_files import read_json_object
from apps.catalog.scanning.types import FileRefused, FileReport, Reason, Verdict


def scan_file(path: Path, *, siblings: set[str]) -> FileReport:
    """Check one file by the reader of its type; every outcome is a report, never an exception."""
    known = classify(path.name)
    if known is None:
        return FileReport(
            path.name,
            "unknown",
            Verdict.CORRUPT,
            [Reason("type", "Files of this type do not belong in a model.", "Remove it.")],
        )
    name, _, reader = known
    report = FileReport(path.name, name)
    try:
        report.facts = reader(path)
        if path.name.endswith(".index.json"):
            check_index(report, read_json_object(path, what="shard index"), siblings)
    except FileRefused as refusal:
        report.verdict = refusal.verdict
        report.reasons.append(refusal.reason)
    except (MemoryError, RecursionError):
        report.verdict = Verdict.FAILED
        report.reasons.append(too_big())
    return report


def too_big() -> Reason:
    """The reason for a file that the scanner's limits stopped."""
    return Reason(
        "scan_limits",
        "The file could not be scanned: the scanner ended before it had read it (limits of memory and time).",
        "Scan again; if it ends so again, save the weights as safetensors, whose header is small at any size.",
    )


def scan_files(directory: Path, filenames: list[str], *, siblings: set[str]) -> Iterator[FileReport]:
    """Yield a report for each of *filenames* in *directory*; *siblings* are all names of the model."""
    for filename in filenames:
        yield scan_file(directory / filename, siblings=siblings)
