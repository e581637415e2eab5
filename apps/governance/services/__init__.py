"""What other apps may ask of governance."""

from apps.governance.services.approvals import (
    approval_decide,
    approval_decide_request,
    approval_request,
    approval_withdraw,
    approvals_lapse,
    decision_from,
)
from apps.governance.services.audit import audit_seal, audit_seal_all
from apps.governance.services.audit_verify import AuditProblem, AuditReport, audit_verify, audit_verify_for
from apps.governance.services.authorization import authorize, is_visible, policy_decision
from apps.governance.services.costs import costs_rollup
from apps.governance.services.notices import notice_read, notices_read_all, notices_send
from apps.governance.services.policies import policy_change, policy_create, policy_delete, policy_review
from apps.governance.services.policy_simulation import policy_simulate
from apps.governance.services.prices import price_set
from apps.governance.services.usage import usage_record_many
from apps.governance.types import UsageEntry

__all__ = [
    "AuditProblem",
    "AuditReport",
    "UsageEntry",
    "approval_decide",
    "approval_decide_request",
    "approval_request",
    "approval_withdraw",
    "approvals_lapse",
    "audit_seal",
    "audit_seal_all",
    "audit_verify",
    "audit_verify_for",
    "authorize",
    "costs_rollup",
    "decision_from",
    "is_visible",
    "notice_read",
    "notices_read_all",
    "notices_send",
    "policy_change",
    "policy_create",
    "policy_decision",
    "policy_delete",
    "policy_review",
    "policy_simulate",
    "price_set",
    "usage_record_many",
]
