"""One port for everything: Django by WSGI in a thread pool (gateway paths are dispatched before it)."""

import os
from typing import Any, cast

from a2wsgi import WSGIMiddleware
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmops.settings.production")

application = WSGIMiddleware(cast("Any", get_wsgi_application()), workers=16)
