"""Addresses of the endpoint pages, below ``/endpoints/``."""

from django.urls import path

from apps.serving.web import views

app_name = "serving"
urlpatterns = [
    path("", views.EndpointListView.as_view(), name="endpoint-list"),
    path("new/", views.EndpointCreateView.as_view(), name="endpoint-create"),
    path("<uuid:pk>/", views.EndpointDetailView.as_view(), name="endpoint-detail"),
    path("<uuid:pk>/redeploy/", views.EndpointRedeployView.as_view(), name="endpoint-redeploy"),
    path("<uuid:pk>/rollback/", views.EndpointRollbackView.as_view(), name="endpoint-rollback"),
    path("<uuid:pk>/stop/", views.EndpointStopView.as_view(), name="endpoint-stop"),
    path("<uuid:pk>/start/", views.EndpointStartView.as_view(), name="endpoint-start"),
    path("<uuid:pk>/delete/", views.EndpointDeleteView.as_view(), name="endpoint-delete"),
]
