"""Application config of the adapters. There are no models here."""

from django.apps import AppConfig


class IntegrationsConfig(AppConfig):
    """Adapters: compute backends, model runtimes, notification channels."""

    name = "apps.integrations"
    label = "integrations"
    verbose_name = "Integrations"
