"""Tables of the governance app, one file per concern."""

from apps.governance.models.approvals import ApprovalDecision, ApprovalRequest
from apps.governance.models.audit import AuditChainHead, AuditSeal
from apps.governance.models.notices import Notice
from apps.governance.models.policies import Policy, PolicyVersion
from apps.governance.models.usage import CostDaily, CostState, PriceEntry, UsageRecord

__all__ = [
    "ApprovalDecision",
    "ApprovalRequest",
    "AuditChainHead",
    "AuditSeal",
    "CostDaily",
    "CostState",
    "Notice",
    "Policy",
    "PolicyVersion",
    "PriceEntry",
    "UsageRecord",
]
