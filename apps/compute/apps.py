"""Application config of the compute app."""

from django.apps import AppConfig


class ComputeConfig(AppConfig):
    """Workloads, their events and resource intervals, and the reconciler."""

    name = "apps.compute"
    label = "compute"
    verbose_name = "Compute"

    def ready(self) -> None:
        """Tell the health page how to ask after the reconciler and the compute backend."""
        from apps.compute import health
        from apps.core.crypto import register_encrypted
        from apps.core.health import register

        register("reconciler", health.reconciler)
        register("compute", health.compute)
        register_encrypted("compute.Workload", "spec_secrets")
