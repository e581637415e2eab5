"""The datasets app."""

from django.apps import AppConfig


class DatasetsConfig(AppConfig):
    """Datasets, their files, checks (PII, quality), preview and comparison."""

    name = "apps.datasets"
    label = "datasets"
    verbose_name = "Datasets"
