"""Catalog addresses, relative to ``/llm-ops/v1/``."""

from django.urls import path

from apps.catalog.api import imports, lineage, publishing, signing, views
from apps.core.api.uploads import UploadsCompleteView, UploadsView, UploadView

_UPLOADS = "catalog/models/<str:target_id>/uploads"

urlpatterns = [
    path("catalog/models", views.ModelListView.as_view(), name="model-list"),
    path("catalog/models/import", imports.ImportView.as_view(), name="model-import"),
    path(
        "catalog/models/import-from-huggingface", imports.HubImportView.as_view(), name="model-import-from-huggingface"
    ),
    path("catalog/models/imports", imports.ImportListView.as_view(), name="model-import-list"),
    path("catalog/models/imports/<str:import_id>", imports.ImportDetailView.as_view(), name="model-import-detail"),
    path("catalog/models/imports/<str:import_id>/retry", imports.ImportRetryView.as_view(), name="model-import-retry"),
    path(
        "catalog/models/<str:model_id>/test-connection",
        imports.ModelConnectionView.as_view(),
        name="model-test-connection",
    ),
    path("catalog/models/<str:model_id>/card", imports.ModelCardView.as_view(), name="model-card"),
    path("catalog/models/<str:model_id>/export", imports.ModelExportView.as_view(), name="model-export"),
    path("catalog/models/<str:model_id>/exports", imports.ModelExportListView.as_view(), name="model-export-list"),
    path(
        "catalog/models/<str:model_id>/exports/<str:operation_id>",
        imports.ModelExportFileView.as_view(),
        name="model-export-file",
    ),
    path("catalog/models/<str:model_id>", views.ModelDetailView.as_view(), name="model-detail"),
    path("catalog/models/<str:model_id>/status", views.ModelStatusView.as_view(), name="model-status"),
    path("catalog/models/<str:model_id>/upload", views.ModelUploadView.as_view(), name="model-upload"),
    path(_UPLOADS, UploadsView.as_view(target_type="model"), name="model-uploads"),
    path(f"{_UPLOADS}/complete", UploadsCompleteView.as_view(target_type="model"), name="model-uploads-complete"),
    path(f"{_UPLOADS}/<str:upload_id>", UploadView.as_view(target_type="model"), name="model-upload-piece"),
    path("catalog/models/<str:model_id>/files/<str:filename>", views.ModelFileView.as_view(), name="model-file"),
    path("catalog/models/<str:model_id>/scan", views.ModelScanView.as_view(), name="model-scan"),
    path("catalog/signing-keys", signing.SigningKeyListView.as_view(), name="signing-key-list"),
    path("catalog/models/<str:model_id>/publish", publishing.ModelPublishView.as_view(), name="model-publish"),
    path("catalog/models/<str:model_id>/rollback", publishing.ModelRollbackView.as_view(), name="model-rollback"),
    path(
        "catalog/models/<str:model_id>/publications",
        publishing.ModelPublicationsView.as_view(),
        name="model-publications",
    ),
    path("catalog/models/<str:model_id>/verify", signing.ModelVerifyView.as_view(), name="model-verify"),
    path("catalog/models/<str:model_id>/signature", signing.ModelSignatureView.as_view(), name="model-signature"),
    path(
        "catalog/models/<str:model_id>/signature/download",
        signing.ModelSignatureFileView.as_view(),
        name="model-signature-file",
    ),
    path("catalog/models/<str:model_id>/versions", views.ModelVersionsView.as_view(), name="model-versions"),
    path(
        "catalog/models/<str:model_id>/versions/<str:version>/approve",
        views.ModelApproveView.as_view(),
        name="model-approve",
    ),
    path(
        "catalog/models/<str:model_id>/compare/<str:other_id>", views.ModelCompareView.as_view(), name="model-compare"
    ),
    path("catalog/models/<str:object_id>/lineage", lineage.ModelLineageView.as_view(), name="model-lineage"),
    path("catalog/models/<str:object_id>/impact", lineage.ModelImpactView.as_view(), name="model-impact"),
    path("catalog/datasets/<str:object_id>/lineage", lineage.DatasetLineageView.as_view(), name="dataset-lineage"),
    path("catalog/datasets/<str:object_id>/impact", lineage.DatasetImpactView.as_view(), name="dataset-impact"),
]
