"""PII detection: rules as data, a fast scan over columns, masked findings, redaction."""

from apps.datasets.pii.masking import mask
from apps.datasets.pii.rules import DEFAULT_RULES, TYPE_LABELS, PiiRule, replacement, rules_digest
from apps.datasets.pii.scan import Finding, ScanResult, Span, redact, redact_value, scan_rows, spans

__all__ = [
    "DEFAULT_RULES",
    "TYPE_LABELS",
    "Finding",
    "PiiRule",
    "ScanResult",
    "Span",
    "mask",
    "redact",
    "redact_value",
    "replacement",
    "rules_digest",
    "scan_rows",
    "spans",
]
