"""Application config of the compute app."""

from django.apps import AppConfig


class ComputeConfig(AppConfig):
    """Workloads, their events and resource intervals, and the reconciler."""

    name = "apps.compute"
    label = "compute"
    verbose_name = "Compute"
