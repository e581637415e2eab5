"""PII detection: rules as data, a fast scan over columns, masked findings, redaction."""

from apps.datasets.pii.builtin import DEFAULT_RULES, TYPE_LABELS
from apps.datasets.pii.masking import MASKS, mask
from apps.datasets.pii.rules import PiiRule, replacement, rules_digest
from apps.datasets.pii.scan import (
    Finding,
    Recogniser,
    ScanResult,
    Span,
    candidates,
    column_spans,
    redact,
    redact_value,
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
    "mask",
    "redact",
    "redact_value",
    "replacement",
    "rules_digest",
    "scan_rows",
    "spans",
]
