"""The catalog application and what it registers with lower apps."""

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    """Models, their files, cards, lineage and versions."""

    name = "apps.catalog"
    label = "catalog"
    verbose_name = "Catalog"

    def ready(self) -> None:
        """Register the approval subject and the lineage kinds that live here and below."""
        from apps.catalog.wiring import register

        register()
