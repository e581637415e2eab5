"""Application portal."""

from importlib import import_module

from django.apps import AppConfig


class PortalConfig(AppConfig):
    """Pages that compose what the other apps know."""

    name = "apps.portal"
    label = "portal"

    def ready(self) -> None:
        """Lend names to the pages of governance. Models exist only now."""
        import_module("apps.portal.wiring").register()
