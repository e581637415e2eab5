"""The datasets app."""

from importlib import import_module

from django.apps import AppConfig


class DatasetsConfig(AppConfig):
    """Datasets, their files, checks (PII, quality), preview and comparison."""

    name = "apps.datasets"
    label = "datasets"
    verbose_name = "Datasets"

    def ready(self) -> None:
        """Register datasets as a subject of approvals, and their names."""
        import_module("apps.integrations.named_entities").entity_finder_check()
        import_module("apps.datasets.thresholds").thresholds_check()
        registry = import_module("apps.governance.registry")
        registry.subjects.register(import_module("apps.datasets.approvals").DatasetApproval)
        uploads = import_module("apps.core.uploads.targets").targets
        uploads.register(import_module("apps.datasets.services.incoming").DatasetUploads())
        labels = import_module("apps.governance.labels").resource_labels
        labels.register_objects("dataset", import_module("apps.datasets.selectors").datasets_visible_to)
        labels.register_objects("pii_rule", import_module("apps.datasets.selectors_pii").pii_rules_named_for)
