"""Sweeps of governance."""

SCHEDULE = {
    "governance-audit-seal": ("apps.governance.tasks.audit_seal", 10.0),
    "governance-costs-rollup-daily": ("apps.governance.tasks.costs_rollup_daily", 900.0),
}
