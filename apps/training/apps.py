"""The training application and what it registers with lower apps."""

from django.apps import AppConfig


class TrainingConfig(AppConfig):
    """Training jobs, experiments and metrics."""

    name = "apps.training"
    label = "training"
    verbose_name = "Training"

    def ready(self) -> None:
        """Register the workload handler, the lineage kind, delete blockers and the model panel."""
        from apps.training.wiring import register

        register()
