"""Configuration of serving."""

from __future__ import annotations

from django.apps import AppConfig


class ServingConfig(AppConfig):
    """Control plane of endpoints."""

    name = "apps.serving"
    label = "serving"
    verbose_name = "Serving"

    def ready(self) -> None:
        """Tell compute and the catalog whom to ask. Models can only be imported from here on."""
        from apps.catalog import registry as catalog
        from apps.compute import handlers
        from apps.governance.labels import resource_labels
        from apps.governance.registry import subjects
        from apps.serving import registration, selectors
        from apps.serving.approvals import DeploymentSubject

        handlers.register(selectors.OWNER_TYPE, registration.workload_changed, billed_as=registration.billed_endpoint)
        resource_labels.register_objects("serving", selectors.endpoints_visible_to)
        resource_labels.register_objects("serving_endpoint", selectors.endpoints_visible_to)
        catalog.register_delete_blockers(registration.delete_blockers)
        catalog.register_lapse_listener(registration.model_lapsed)
        catalog.register_model_panel(registration.deployments_panel)
        subjects.register(DeploymentSubject)
        catalog.register_lineage_kind(selectors.LINEAGE_KIND, selectors.lineage_nodes)
