"""Pages below ``/evaluations/``."""

from django.urls import path

from apps.evaluation.web import views

app_name = "evaluation"
urlpatterns = [
    path("", views.RunListView.as_view(), name="run-list"),
    path("new/", views.RunCreateView.as_view(), name="run-create"),
    path("compare/", views.RunCompareView.as_view(), name="run-compare"),
    path("reviews/", views.ReviewListView.as_view(), name="review-list"),
    path("reviews/<uuid:pk>/", views.ReviewView.as_view(), name="review-create"),
    path("<uuid:pk>/", views.RunDetailView.as_view(), name="run-detail"),
    path("<uuid:pk>/review/", views.RunReviewStartView.as_view(), name="run-review"),
    path("<uuid:pk>/cancel/", views.RunCancelView.as_view(), name="run-cancel"),
    path("<uuid:pk>/delete/", views.RunDeleteView.as_view(), name="run-delete"),
    path("<uuid:pk>/export/", views.RunExportView.as_view(), name="run-export"),
]
