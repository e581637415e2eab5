"""Configuration of the gateway."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.apps import apps as django_apps
from django.db.models import Model
from django.db.models.signals import post_delete, post_save

from apps.gateway.invalidation import forget_everywhere

#: What a cached answer rests on. Signals carry no rule here: they only shorten the life of a cache that would
#: forget by itself a few seconds later.
_WATCHED = (
    "accounts.ApiToken",
    "accounts.User",
    "accounts.Membership",
    "governance.Policy",
    "serving.Endpoint",
    "serving.EndpointRevision",
    "catalog.ModelEntry",
)


class GatewayConfig(AppConfig):
    """Data plane: calls to models."""

    name = "apps.gateway"
    label = "gateway"
    verbose_name = "Gateway"

    def ready(self) -> None:
        """Watch what cached permissions rest on."""

        def changed(sender: type[Model], **kwargs: Any) -> None:
            # A new token cannot be in a cache yet; a new membership or policy can change an answer.
            if not (kwargs.get("created") and sender._meta.model_name == "apitoken"):
                forget_everywhere()

        for label in _WATCHED:
            sender = django_apps.get_model(label)
            post_save.connect(changed, sender=sender, weak=False, dispatch_uid=f"gateway-save-{label}")
            post_delete.connect(changed, sender=sender, weak=False, dispatch_uid=f"gateway-delete-{label}")
