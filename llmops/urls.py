"""The URL table: pages, API, admin, probes."""

from __future__ import annotations

import importlib.util

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.decorators.csrf import csrf_exempt
from django_prometheus.exports import ExportToDjangoView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from apps.core.api.views import unknown_path
from apps.core.web.probes import healthz, readyz

PAGES = {
    "accounts": "account/",
    "datasets": "datasets/",
    "catalog": "models/",
    "compute": "compute/",
    "training": "training/",
    "evaluation": "evaluations/",
    "serving": "endpoints/",
    "gateway": "chat/",
    "governance": "governance/",
    "portal": "",
}
API_APPS = (
    "core",
    "accounts",
    "governance",
    "datasets",
    "catalog",
    "compute",
    "training",
    "serving",
    "gateway",
    "evaluation",
)


def _present(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


api_patterns: list[URLPattern | URLResolver] = [
    *(path("", include(f"apps.{name}.api.urls")) for name in API_APPS if _present(f"apps.{name}.api.urls")),
    re_path(r"^.*$", csrf_exempt(login_not_required(unknown_path)), name="unknown"),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("llm-ops/v1/", include((api_patterns, "api"))),
    path("api/schema/", login_not_required(SpectacularAPIView.as_view()), name="schema"),
    path("api/docs/", login_not_required(SpectacularSwaggerView.as_view(url_name="schema")), name="docs"),
    path("hf/", include("apps.catalog.hub.urls")),
    path("admin/", admin.site.urls),
    path("metrics", login_not_required(ExportToDjangoView), name="metrics"),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    *(
        path(prefix, include(f"apps.{name}.web.urls"))
        for name, prefix in PAGES.items()
        if _present(f"apps.{name}.web.urls")
    ),
]

handler400 = "apps.core.web.handlers.bad_request"
handler403 = "apps.core.web.handlers.forbidden"
handler404 = "apps.core.web.handlers.not_found"
handler500 = "apps.core.web.handlers.server_error"
