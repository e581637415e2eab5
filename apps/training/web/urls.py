"""Addresses of the training pages."""

from django.urls import path

from apps.training.web import views

app_name = "training"
urlpatterns = [
    path("", views.JobListView.as_view(), name="job-list"),
    path("new/", views.JobCreateView.as_view(), name="job-create"),
    path("<uuid:pk>/", views.JobDetailView.as_view(), name="job-detail"),
    path("<uuid:pk>/cancel/", views.JobCancelView.as_view(), name="job-cancel"),
    path("<uuid:pk>/register/", views.JobRegisterView.as_view(), name="job-register"),
    path("<uuid:pk>/log/", views.JobLogView.as_view(), name="job-log"),
    path("<uuid:pk>/chart/", views.JobChartView.as_view(), name="job-chart"),
    path("<uuid:pk>/experiment/", views.ExperimentDetailView.as_view(), name="experiment-detail"),
    path("<uuid:pk>/experiment/metrics.csv", views.ExperimentCsvView.as_view(), name="experiment-csv"),
]
