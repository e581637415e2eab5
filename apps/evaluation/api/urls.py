"""Paths below ``/llm-ops/v1``."""

from django.urls import path

from apps.evaluation.api import views

urlpatterns = [
    path("evaluation/runs", views.RunListView.as_view(), name="evaluation-run-list"),
    path("evaluation/runs/compare", views.RunCompareView.as_view(), name="evaluation-run-compare"),
    path("evaluation/runs/<str:run_id>", views.RunDetailView.as_view(), name="evaluation-run-detail"),
    path("evaluation/runs/<str:run_id>/samples", views.RunSamplesView.as_view(), name="evaluation-run-samples"),
    path("evaluation/runs/<str:run_id>/human-review", views.RunReviewView.as_view(), name="evaluation-run-review"),
    path("evaluation/runs/<str:run_id>/llm-judge", views.RunJudgeView.as_view(), name="evaluation-run-judge"),
    path("evaluation/runs/<str:run_id>/export", views.RunExportView.as_view(), name="evaluation-run-export"),
    path("evaluation/reviews", views.ReviewQueueView.as_view(), name="evaluation-review-list"),
]
