"""Addresses of the compute app's pages."""

from django.urls import path

from apps.compute.web.views import WorkloadLogView

app_name = "compute"
urlpatterns = [path("workloads/<uuid:pk>/log/", WorkloadLogView.as_view(), name="workload-log")]
