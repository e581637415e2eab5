"""The governance app."""

from django.apps import AppConfig


class GovernanceConfig(AppConfig):
    """Approvals, policies, the sealed audit trail, usage and cost."""

    name = "apps.governance"
    label = "governance"
    verbose_name = "Governance"
