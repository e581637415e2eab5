"""What endpoints can run on here."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from apps.integrations.runtimes import runtimes


def frameworks_offered() -> list[dict[str, Any]]:
    """Every model server that is known, and whether this installation can use it."""
    offered = []
    for runtime in runtimes():
        available, reason = runtime.available()
        offered.append(
            {
                "name": runtime.key,
                "display_name": runtime.label,
                "default": runtime.key == settings.SERVING_DEFAULT_FRAMEWORK,
                "external": not runtime.launched,
                "available": available,
                "reason": reason,
            }
        )
    return offered


def images_offered() -> list[dict[str, str]]:
    """Images that operators listed as ``framework=image``."""
    pairs = (entry.partition("=") for entry in settings.SERVING_RUNTIME_IMAGES)
    return [{"framework": name.strip(), "image": image.strip()} for name, _, image in pairs if name and image]
