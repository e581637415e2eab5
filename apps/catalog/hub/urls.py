"""Addresses for clients of the Hugging Face Hub, below ``/hf/`` (``HF_ENDPOINT=<portal>/hf``).

A prefix of its own, because a hub's repositories sit at its root and would collide with the portal's pages; the
clients put their paths behind whatever endpoint they are given.
"""

from __future__ import annotations

from django.urls import path

from apps.catalog.hub import views

app_name = "hub"
REPOSITORY = "api/models/<str:namespace>/<str:name>"
urlpatterns = [
    path("api/whoami-v2", views.WhoAmIView.as_view(), name="whoami"),
    path("api/models", views.ModelListView.as_view(), name="model-list"),
    path(REPOSITORY, views.ModelInfoView.as_view(), name="model-info"),
    path(f"{REPOSITORY}/revision/<path:revision>", views.ModelInfoView.as_view(), name="model-revision"),
    path(f"{REPOSITORY}/tree/<str:revision>", views.TreeView.as_view(), name="model-tree"),
    path(f"{REPOSITORY}/tree/<str:revision>/<path:path>", views.TreeView.as_view(), name="model-folder"),
    path(f"{REPOSITORY}/paths-info/<path:revision>", views.PathsInfoView.as_view(), name="model-paths"),
    path(f"{REPOSITORY}/refs", views.RefsView.as_view(), name="model-refs"),
    path(f"{REPOSITORY}/auth-check", views.AuthCheckView.as_view(), name="model-auth-check"),
    path("<str:namespace>/<str:name>/resolve/<str:revision>/<path:path>", views.ResolveView.as_view(), name="resolve"),
    path("<path:path>", views.NothingHereView.as_view(), name="nothing"),
]
