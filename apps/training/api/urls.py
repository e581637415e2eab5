"""Paths of training, relative to `/llm-ops/v1/`."""

from django.urls import path

from apps.training.api import views

_ONE = "training/jobs/<str:job_id>"
urlpatterns = [
    path("training/gpu-types", views.GpuTypesView.as_view(), name="gpu-type-list"),
    path("training/jobs", views.JobListView.as_view(), name="job-list"),
    path(_ONE, views.JobDetailView.as_view(), name="job-detail"),
    path(f"{_ONE}/resubmit", views.JobResubmitView.as_view(), name="job-resubmit"),
    path(f"{_ONE}/pods", views.JobPodsView.as_view(), name="job-pods"),
    path(f"{_ONE}/logs", views.JobLogsView.as_view(), name="job-logs"),
    path(f"{_ONE}/register-model", views.JobRegisterModelView.as_view(), name="job-register-model"),
    path(f"{_ONE}/metrics", views.JobMetricsView.as_view(), name="job-metrics"),
    path("training/experiments/search", views.ExperimentSearchView.as_view(), name="training-experiment-search"),
    path("training/experiments/<str:job_id>", views.ExperimentView.as_view(), name="experiment-detail"),
    path("experiments/search", views.ExperimentSearchView.as_view(), name="experiment-search"),
]
