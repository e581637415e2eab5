"""Pages of datasets."""

from django.urls import path

from apps.datasets.web import actions, compare, views

app_name = "datasets"
urlpatterns = [
    path("", views.DatasetListView.as_view(), name="dataset-list"),
    path("new/", views.DatasetCreateView.as_view(), name="dataset-create"),
    path("<str:pk>/", views.DatasetDetailView.as_view(), name="dataset-detail"),
    path("<str:pk>/edit/", views.DatasetUpdateView.as_view(), name="dataset-update"),
    path("<str:pk>/compare/", compare.DatasetCompareView.as_view(), name="dataset-compare"),
    path("<str:pk>/upload/", actions.DatasetUploadView.as_view(), name="dataset-upload"),
    path("<str:pk>/check/", actions.DatasetCheckView.as_view(), name="dataset-check"),
    path("<str:pk>/submit/", actions.DatasetSubmitView.as_view(), name="dataset-submit"),
    path("<str:pk>/withdraw/", actions.DatasetWithdrawView.as_view(), name="dataset-withdraw"),
    path("<str:pk>/decide/", actions.DatasetDecideView.as_view(), name="dataset-decide"),
    path("<str:pk>/reopen/", actions.DatasetReopenView.as_view(), name="dataset-reopen"),
    path("<str:pk>/redact/", actions.DatasetRedactView.as_view(), name="dataset-redact"),
    path("<str:pk>/delete/", actions.DatasetDeleteView.as_view(), name="dataset-delete"),
]
