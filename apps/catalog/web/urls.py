"""Addresses of the model pages, below ``/models/``."""

from __future__ import annotations

from django.urls import path

from apps.catalog.web import actions, imports, lineage, views

app_name = "catalog"
urlpatterns = [
    path("", views.ModelListView.as_view(), name="model-list"),
    path("new/", views.ModelCreateView.as_view(), name="model-create"),
    path("imports/", imports.ImportListView.as_view(), name="import-list"),
    path("imports/new/", imports.HubImportView.as_view(), name="import-create"),
    path("imports/bundle/", imports.BundleImportView.as_view(), name="import-bundle"),
    path("imports/<uuid:pk>/cancel/", imports.ImportCancelView.as_view(), name="import-cancel"),
    path("imports/<uuid:pk>/retry/", imports.ImportRetryView.as_view(), name="import-retry"),
    path("<uuid:pk>/card/", imports.ModelCardView.as_view(), name="model-card"),
    path("<uuid:pk>/export/", imports.ModelExportView.as_view(), name="model-export"),
    path("<uuid:pk>/exports/<uuid:operation>/", imports.ModelExportFileView.as_view(), name="model-export-file"),
    path("<uuid:pk>/test-connection/", imports.ModelConnectionView.as_view(), name="model-connection"),
    path("<uuid:pk>/", views.ModelDetailView.as_view(), name="model-detail"),
    path("lineage/<slug:kind>/<uuid:pk>/", lineage.LineageView.as_view(), name="lineage"),
    path("<uuid:pk>/edit/", views.ModelUpdateView.as_view(), name="model-update"),
    path("<uuid:pk>/compare/", views.ModelComparePickView.as_view(), name="model-compare-pick"),
    path("<uuid:pk>/compare/<uuid:other>/", views.ModelCompareView.as_view(), name="model-compare"),
    path("<uuid:pk>/upload/", actions.ModelUploadView.as_view(), name="model-upload"),
    path("<uuid:pk>/files/remove/", actions.ModelFileDeleteView.as_view(), name="model-file-delete"),
    path("<uuid:pk>/scan/", actions.ModelScanView.as_view(), name="model-scan"),
    path("<uuid:pk>/submit/", actions.ModelSubmitView.as_view(), name="model-submit"),
    path("<uuid:pk>/withdraw/", actions.ModelWithdrawView.as_view(), name="model-withdraw"),
    path("<uuid:pk>/decide/", actions.ModelDecideView.as_view(), name="model-decide"),
    path("<uuid:pk>/reopen/", actions.ModelReopenView.as_view(), name="model-reopen"),
    path("<uuid:pk>/deprecate/", actions.ModelDeprecateView.as_view(), name="model-deprecate"),
    path("<uuid:pk>/publish/", actions.ModelPublishView.as_view(), name="model-publish"),
    path("<uuid:pk>/verify/", actions.ModelVerifyView.as_view(), name="model-verify"),
    path("<uuid:pk>/delete/", actions.ModelDeleteView.as_view(), name="model-delete"),
]
