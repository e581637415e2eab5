"""Paths below ``/llm-ops/v1``."""

from django.urls import path

from apps.serving.api import views

urlpatterns = [
    path("serving/endpoints", views.EndpointListView.as_view(), name="endpoint-list"),
    path("serving/endpoints/<str:endpoint_id>", views.EndpointDetailView.as_view(), name="endpoint-detail"),
    path(
        "serving/endpoints/<str:endpoint_id>/rollback",
        views.EndpointRollbackView.as_view(),
        name="endpoint-rollback",
    ),
    path(
        "serving/endpoints/<str:endpoint_id>/redeploy",
        views.EndpointRedeployView.as_view(),
        name="endpoint-redeploy",
    ),
    path(
        "serving/endpoints/<str:endpoint_id>/refresh-status",
        views.EndpointRefreshView.as_view(),
        name="endpoint-refresh",
    ),
    path(
        "serving/endpoints/<str:endpoint_id>/deployment",
        views.EndpointDeploymentView.as_view(),
        name="endpoint-deployment",
    ),
    path("serving/frameworks", views.FrameworkListView.as_view(), name="framework-list"),
    path("serving/images", views.ImageListView.as_view(), name="image-list"),
]
