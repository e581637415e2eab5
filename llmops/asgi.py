"""One port for everything: calls to models go to the gateway, all else to Django by WSGI in a thread pool."""

from __future__ import annotations

import os
from typing import Any, cast

from a2wsgi import WSGIMiddleware
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmops.settings.production")

# Django is set up here, before anything that holds models is imported.
_django = get_wsgi_application()

from apps.core.sending import SendingMiddleware  # noqa: E402
from apps.gateway.asgi import Gateway  # noqa: E402
from apps.gateway.dispatch import Dispatcher  # noqa: E402
from llmops.bodies import LargePieces  # noqa: E402

_portal = LargePieces(SendingMiddleware(WSGIMiddleware(cast("Any", _django), workers=16)))
application = Dispatcher(gateway=Gateway(), portal=_portal)
