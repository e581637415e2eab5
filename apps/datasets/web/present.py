"""Values as the pages show them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from apps.core.differences import opcodes
from apps.core.models import AuditEvent
from apps.datasets.models import Dataset, DatasetCheck
from apps.datasets.selectors_pii import type_label
from apps.datasets.services import Preview

PREVIEW_ROWS = 10
CELL = 400
COLUMNS_SHOWN = 20
DIFF = 4_000
_WIDTH, _HEIGHT = 120, 28
_PAIRED_BINS = 20


def cell_text(value: Any) -> str:
    """A value in a table cell: text as it is, everything else as compact JSON, long ones cut."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"{text[:CELL]}…" if len(text) > CELL else text


def preview_rows(preview: Preview) -> list[dict[str, Any]]:
    """Rows with their numbers (from 1) and cells in the order of the schema."""
    names = [column["name"] for column in preview.schema]
    return [
        {"number": number, "cells": [(row[name] is None, cell_text(row[name])) for name in names]}
        for number, row in zip(preview.numbers, preview.rows, strict=True)
    ]


def side_rows(page: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows that only one side of a comparison has."""
    return [
        {
            "number": entry["row"],
            "cells": [(name, cell_text(value)) for name, value in entry["values"].items() if value is not None],
        }
        for entry in page
    ]


def preview_page(number: int) -> int:
    """On which page of the preview row ``number`` stands."""
    return (number - 1) // PREVIEW_ROWS + 1


def tone_of(score: float | None, good: float = 90.0, fair: float = 70.0) -> str:
    """The colour of a score."""
    if score is None:
        return "neutral"
    if score >= good:
        return "success"
    return "warning" if score >= fair else "danger"


def component_rows(quality: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The components of the score with colour, weight in percent and what they are about."""
    weights = quality["weights"]
    return [
        {
            **component,
            "tone": tone_of(component["score"]),
            "places": [(number, preview_page(number)) for number in component["rows"]],
            "weight": round(100 * weights.get(component["key"], 0)),
        }
        for component in quality["components"]
    ]


def pii_rows(scan: Mapping[str, Any]) -> dict[str, Any]:
    """Findings with the names of their kinds: counts (all, open), columns, places."""
    left = scan["open_counts"]
    return {
        "kinds": [(type_label(kind), count, left.get(kind, 0)) for kind, count in scan["counts"].items()],
        "columns": [{**entry, "label": type_label(entry["type"])} for entry in scan["columns"][:COLUMNS_SHOWN]],
        "places": [{**place, "label": type_label(place["type"])} for place in scan["locations"]],
        "marked": scan["total"] - scan["open"],
    }


def statistic_rows(dataset: Dataset, check: DatasetCheck | None) -> list[dict[str, Any]]:
    """One row per column: schema, and statistics with a small picture where the checks have run."""
    known = {entry["name"]: entry for entry in check.statistics} if check is not None else {}
    rows = []
    for column in dataset.column_list:
        facts = known.get(column.name)
        rows.append(
            {
                "name": column.name,
                "type": column.kind,
                "nullable": column.nullable,
                "facts": facts,
                **_picture(column.kind, facts),
            }
        )
    return rows


def _picture(kind: str, facts: Mapping[str, Any] | None) -> dict[str, Any]:
    """The bars of a column and what they count: values where there are few of them, else numbers or lengths."""
    if facts is None:
        return {"bars": [], "counted": ""}
    top = facts["topValues"]
    if top and (kind == "boolean" or facts["distinct"] <= len(top)):
        return {"bars": category_bars(top), "counted": "each value"}
    return {"bars": bars(facts["histogram"]), "counted": "characters" if facts["measured"] == "length" else "values"}


def category_bars(values: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Frequent values as rectangles of a small picture, 120 × 28."""
    pairs = [(cell_text(entry["value"])[:40], entry["count"]) for entry in values]
    return _rectangles([(f"{value}: {count:,}", count) for value, count in pairs])


def bars(histogram: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A histogram as rectangles of a small picture, 120 × 28."""
    return _rectangles(
        [(f"{entry['from']:g} to {entry['to']:g}: {entry['count']:,}", entry["count"]) for entry in histogram]
    )


def _rectangles(counted: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    top = max((count for _label, count in counted), default=0)
    if not top:
        return []
    width = _WIDTH / len(counted)
    result = []
    for place, (label, count) in enumerate(counted):
        # What is there must be seen, however rare.
        height = max(1.5, _HEIGHT * count / top) if count else 0
        result.append(
            {
                "x": round(place * width + 0.5, 2),
                "y": round(_HEIGHT - height, 2),
                "width": round(max(1.0, width - 1), 2),
                "height": round(height, 2),
                "label": label,
            }
        )
    return result


_DRIFT_TONES = {"none": "success", "small": "neutral", "moderate": "warning", "large": "danger", "unknown": "neutral"}


def drift_rows(drift: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Columns by how far they moved, each with a tone and a picture of both sides."""
    order = {"large": 0, "moderate": 1, "small": 2, "none": 3, "unknown": 4}
    ranked = sorted(drift, key=lambda entry: (order[entry["level"]], -(entry["psi"] or 0), entry["name"]))
    return [{**entry, "tone": _DRIFT_TONES[entry["level"]], "bars": paired_bars(entry["bins"])} for entry in ranked]


def paired_bars(bins: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Shares of both sides in each bin as pairs of rectangles of a small picture, 120 × 28."""
    shown = bins[:_PAIRED_BINS]
    before, after = (sum(entry[side] for entry in bins) or 1 for side in ("before", "after"))
    shares = [(entry, entry["before"] / before, entry["after"] / after) for entry in shown]
    top = max((max(old, new) for _entry, old, new in shares), default=0)
    if not top:
        return []
    width = _WIDTH / len(shares)
    result = []
    for place, (entry, old, new) in enumerate(shares):
        label = f"{entry['label']}: {100 * old:.1f} % before, {100 * new:.1f} % after"
        for side, share, shift in (("before", old, 0.0), ("after", new, (width - 1) / 2)):
            height = max(1.0, _HEIGHT * share / top) if share else 0
            result.append(
                {
                    "side": side,
                    "x": round(place * width + 0.5 + shift, 2),
                    "y": round(_HEIGHT - height, 2),
                    "width": round(max(0.5, (width - 1) / 2), 2),
                    "height": round(height, 2),
                    "label": label,
                }
            )
    return result


def changed_cells(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A modified row with the words that went and came in each changed cell."""
    cells = []
    for change in entry["changes"]:
        before, after = _long(change["before"]), _long(change["after"])
        cells.append({"column": change["column"], "parts": word_diff(before, after)})
    return {"row_before": entry["rowBefore"], "row_after": entry["rowAfter"], "cells": cells}


def _long(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text[:DIFF]


def word_diff(before: str, after: str) -> list[tuple[str, str]]:
    """Pieces of text as (same | removed | added, text)."""
    old, new = before.split(" "), after.split(" ")
    parts: list[tuple[str, str]] = []
    for kind, old_start, old_end, new_start, new_end in opcodes(old, new):
        if kind == "equal":
            parts.append(("same", " ".join(old[old_start:old_end])))
            continue
        if old_end > old_start:
            parts.append(("removed", " ".join(old[old_start:old_end])))
        if new_end > new_start:
            parts.append(("added", " ".join(new[new_start:new_end])))
    return [part for part in parts if part[1]]


_LINEAGE: Mapping[str, str] = {
    "redaction": "Redacted copy of",
    "drop_duplicates": "Without the repeated rows of",
    "drop_missing": "Without the incomplete rows of",
    "cast": "Typed copy of",
}


def lineage_words(dataset: Dataset) -> str:
    """How a derived dataset came from its source, before the source's name."""
    kind = str(dataset.derivation.get("kind", ""))
    if kind == "split":
        return f"The {dataset.derivation.get('part', '')} part of"
    return _LINEAGE.get(kind, "Made from")


_TITLES: Mapping[str, tuple[str, str, str]] = {
    "created": ("Registered", "plus", "neutral"),
    "updated": ("Changed", "pencil", "neutral"),
    "uploaded": ("Files uploaded", "upload", "info"),
    "check_requested": ("Checks asked for", "refresh", "neutral"),
    "checked": ("Checks finished", "shield-check", "info"),
    "pii_mark_proposed": ("Findings proposed as no personal data", "eye-off", "neutral"),
    "pii_mark_confirmed": ("Findings marked as no personal data", "eye-check", "warning"),
    "pii_mark_refused": ("Mark on findings refused", "eye-x", "neutral"),
    "pii_mark_undone": ("Mark on findings undone", "eye-x", "neutral"),
    "redacted": ("Redacted version made", "eraser", "info"),
    "split": ("Split into parts", "arrows-split", "info"),
    "repaired": ("Repaired version made", "versions", "info"),
    "submitted": ("Submitted for review", "send", "warning"),
    "approved": ("Approved", "circle-check", "success"),
    "rejected": ("Rejected", "circle-x", "danger"),
    "changes_requested": ("Changes requested", "message-circle", "warning"),
    "withdrawn": ("Withdrawn", "arrow-back-up", "neutral"),
    "recalled": ("Recalled", "clock-x", "warning"),
    "reopened": ("Set back to draft", "arrow-back-up", "neutral"),
    "expired": ("Retention is over", "clock-x", "warning"),
    "retention_extended": ("Retention extended", "clock-plus", "info"),
    "lapsed": ("Approval lapsed", "clock-x", "warning"),
}


def history_items(events: Iterable[AuditEvent]) -> list[dict[str, Any]]:
    """Audit events as rows of the timeline."""
    items = []
    for event in events:
        verb = event.action.rpartition(".")[2]
        title, icon, tone = _TITLES.get(verb, (event.action.replace(".", " ").replace("_", " "), "point", "neutral"))
        if event.result == "denied":
            title, icon, tone = f"Refused: {event.action.split('.')[1].replace('_', ' ')}", "shield-x", "danger"
        items.append(
            {
                "title": title,
                "icon": icon,
                "tone": tone,
                "at": event.occurred_at,
                "who": event.who,
                "text": _details(verb, event.metadata),
            }
        )
    return items


def _details(verb: str, facts: Mapping[str, Any]) -> str:
    if verb == "checked":
        findings = facts.get("findings", 0)
        found = (
            f"{findings:,} finding{'s' if findings != 1 else ''} of personal data" if findings else "No personal data"
        )
        return f"{found}; quality {facts.get('quality', 0):g}"
    if verb == "uploaded":
        names = ", ".join(str(file.get("name", "")) for file in facts.get("files", []))
        return f"{names} ({facts.get('rows', 0):,} rows in all)"
    if verb == "redacted":
        return f"Version {facts.get('version', '')}: {facts.get('replaced', 0):,} places replaced"
    if verb == "expired":
        return f"It ended on {facts.get('until', '')}"
    if verb == "retention_extended":
        return f"Until {facts.get('until', '')}: {facts.get('reason', '')}"
    if verb == "repaired":
        kind = str(facts.get("kind", "")).replace("_", " ")
        return f"Version {facts.get('version', '')}: {kind}, {facts.get('rows', 0):,} rows"
    if verb == "split":
        parts = ", ".join(f"{part['part']} {part['rows']:,}" for part in facts.get("parts", []))
        return f"{parts} rows, seed {facts.get('seed', 0)}"
    return str(facts.get("reason") or facts.get("notes") or "")
