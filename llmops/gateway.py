"""The gateway as a process of its own, where it scales apart from the portal: ``llmops.gateway:application``."""

from __future__ import annotations

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmops.settings.production")
django.setup()

from apps.gateway.asgi import Gateway  # noqa: E402 - models can be imported from here on
from apps.gateway.dispatch import Dispatcher  # noqa: E402

application = Dispatcher(gateway=Gateway())
