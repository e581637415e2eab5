"""What the checks say, in the shape that API and page show."""

from __future__ import annotations

from typing import Any

from apps.datasets.models import Dataset, DatasetCheck, PiiFinding
from apps.datasets.quality import COMPONENTS
from apps.datasets.selectors import check_latest, check_results, findings_of
from apps.datasets.thresholds import quality_threshold

LOCATIONS = 50


def finding_json(finding: PiiFinding) -> dict[str, Any]:
    """One finding; the text itself is not kept anywhere."""
    return {
        "id": finding.pk,
        "type": finding.type,
        "rule": finding.rule,
        "row": finding.row,
        "column": finding.column,
        "path": finding.path,
        "span": [finding.start, finding.end],
        "example": finding.example,
        "confidence": finding.confidence,
        "falsePositive": finding.mark_id is not None,
    }


def validation_report(dataset: Dataset, *, limit: int = LOCATIONS, offset: int = 0) -> dict[str, Any]:
    """Results for the files as they are now, and the newest run (which may still be under way).

    ``limit`` and ``offset`` page the locations of findings.
    """
    results = check_results(dataset) if dataset.has_files else None
    latest = check_latest(dataset)
    # While a newer run is under way, the old results are not the answer.
    shown = results if latest is None or latest == results or not latest.is_active else None
    return {
        "dataset_id": dataset.pk,
        "pii_scan": _pii(dataset, shown, limit, offset),
        "quality_score": _quality(dataset, shown),
        "recommendations": shown.recommendations if shown else [],
        "check": latest,
    }


def _pii(dataset: Dataset, check: DatasetCheck | None, limit: int, offset: int) -> dict[str, Any]:
    if check is None:
        return {
            "status": "pending",
            "total": 0,
            "open": 0,
            "detected_types": [],
            "counts": {},
            "open_counts": {},
            "columns": [],
            "rules": "",
            "named_rows": 0,
            "locations": [],
            "recommendations": [],
        }
    found = findings_of(check)[offset : offset + limit]
    counts = check.pii.get("byType", {})
    left = check.pii.get("openByType", counts)
    # Once every find is marked as none, there is nothing left to advise about.
    advice = [text for text in check.recommendations if "redacted" in text or "personal data" in text] if left else []
    return {
        "status": check.pii_status,
        "total": check.pii.get("total", 0),
        "open": check.pii.get("open", check.pii.get("total", 0)),
        "detected_types": sorted(counts),
        "counts": counts,
        "open_counts": left,
        "columns": [
            {"column": entry["column"], "type": entry["type"], "count": entry["count"]}
            for entry in check.pii.get("byColumn", [])
        ],
        "rules": check.pii.get("rules", ""),
        "named_rows": check.pii.get("rowsNamed", 0),
        "locations": [finding_json(finding) for finding in found],
        "recommendations": advice,
    }


def _quality(dataset: Dataset, check: DatasetCheck | None) -> dict[str, Any]:
    threshold = quality_threshold(dataset.type)
    if check is None:
        nothing = dict.fromkeys(COMPONENTS)
        return {"overall": None, "threshold": threshold, "breakdown": nothing, "weights": {}, "components": []}
    return {
        "overall": check.quality_score,
        "threshold": threshold,
        "breakdown": check.quality.get("breakdown", {}),
        "weights": check.quality.get("weights", {}),
        "components": check.quality.get("components", []),
    }
