"""What other apps may ask of governance without changing anything."""

from apps.governance.selectors.approvals import (
    approval_for,
    approval_get,
    approval_subject_now,
    approvals_submitted_by,
    approvals_visible_to,
    approvals_waiting_for,
    may_decide,
)
from apps.governance.selectors.audit import (
    audit_chain_state,
    audit_events_exportable_by,
    audit_events_visible_to,
    audit_history,
)
from apps.governance.selectors.costs import (
    cost_aggregate,
    cost_currency,
    cost_for_model,
    cost_for_resource,
    cost_groups,
    cost_profiles,
    cost_summary,
    may_see_costs,
)
from apps.governance.selectors.policies import policies_visible_to, policy_get
from apps.governance.selectors.prices import prices_current_ids, prices_visible_to

__all__ = [
    "approval_for",
    "approval_get",
    "approval_subject_now",
    "approvals_submitted_by",
    "approvals_visible_to",
    "approvals_waiting_for",
    "audit_chain_state",
    "audit_events_exportable_by",
    "audit_events_visible_to",
    "audit_history",
    "cost_aggregate",
    "cost_currency",
    "cost_for_model",
    "cost_for_resource",
    "cost_groups",
    "cost_profiles",
    "cost_summary",
    "may_decide",
    "may_see_costs",
    "policies_visible_to",
    "policy_get",
    "prices_current_ids",
    "prices_visible_to",
]
