"""The evaluation application and what it registers with lower apps."""

from __future__ import annotations

from django.apps import AppConfig


class EvaluationConfig(AppConfig):
    """Runs, samples, human review, comparison."""

    name = "apps.evaluation"
    label = "evaluation"
    verbose_name = "Evaluation"

    def ready(self) -> None:
        """Register with compute, datasets and the catalog. Models exist only from here on."""
        from apps.evaluation.registration import register

        register()
