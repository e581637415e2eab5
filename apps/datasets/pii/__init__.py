"""PII detection: rules as data, a fast scan over columns, masked findings, redaction."""

from apps.datasets.pii.builtin import DEFAULT_RULES, TYPE_LABELS
from apps.datasets.pii.masking import MASKS, mask
from apps.datasets.pii.redacting import redact, redact_names, redact_value
from apps.datasets.pii.rules import PiiRule, replacement, rules_digest
from apps.datasets.pii.scan import (
    Finding,
    Recogniser,
    ScanResult,
    Span,
    candidates,
    column_spans,
    json_candidates,
    scan_rows,
    spans,
)

__all__ = [
    "DEFAULT_RULES",
    "MASKS",
    "TYPE_LABELS",
    "Finding",
    "PiiRule",
    "Recogniser",
    "ScanResult",
    "Span",
    "candidates",
    "column_spans",
    "json_candidates",
    "mask",
    "redact",
    "redact_names",
    "redact_value",
    "replacement",
    "rules_digest",
    "scan_rows",
    "spans",
]
