"""The governance app."""

from importlib import import_module

from django.apps import AppConfig


class GovernanceConfig(AppConfig):
    """Approvals, policies, the sealed audit trail, usage and cost."""

    name = "apps.governance"
    label = "governance"
    verbose_name = "Governance"

    def ready(self) -> None:
        """Names of our own things, for the audit page. Models exist only now."""
        import_module("apps.governance.wiring").register()
