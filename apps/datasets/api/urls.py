"""Paths of datasets, relative to ``/llm-ops/v1/``."""

from django.urls import path

from apps.core.api.uploads import UploadsCompleteView, UploadsView, UploadView
from apps.datasets.api import derive, keeping, pii, recalls, views

_ONE = "catalog/datasets/<str:dataset_id>"
_UPLOADS = "catalog/datasets/<str:target_id>/uploads"
_RULE = "catalog/pii-rules/<str:rule_id>"
urlpatterns = [
    path("catalog/datasets", views.DatasetListView.as_view(), name="dataset-list"),
    path(_ONE, views.DatasetDetailView.as_view(), name="dataset-detail"),
    path(f"{_ONE}/upload", views.DatasetUploadView.as_view(), name="dataset-upload"),
    path(_UPLOADS, UploadsView.as_view(target_type="dataset"), name="dataset-uploads"),
    path(f"{_UPLOADS}/complete", UploadsCompleteView.as_view(target_type="dataset"), name="dataset-uploads-complete"),
    path(f"{_UPLOADS}/<str:upload_id>", UploadView.as_view(target_type="dataset"), name="dataset-upload-piece"),
    path(f"{_ONE}/preview", views.DatasetPreviewView.as_view(), name="dataset-preview"),
    path(f"{_ONE}/validation", views.DatasetValidationView.as_view(), name="dataset-validation"),
    path(f"{_ONE}/status", views.DatasetStatusView.as_view(), name="dataset-status"),
    path(f"{_ONE}/versions", views.DatasetVersionsView.as_view(), name="dataset-versions"),
    path(
        f"{_ONE}/versions/<str:before>/compare/<str:after>", views.DatasetCompareView.as_view(), name="dataset-compare"
    ),
    path(f"{_ONE}/deletion", keeping.DatasetDeletionView.as_view(), name="dataset-deletion"),
    path(f"{_ONE}/retention", keeping.DatasetRetentionView.as_view(), name="dataset-retention"),
    path("catalog/deleted-datasets", keeping.TombstoneListView.as_view(), name="tombstone-list"),
    path(f"{_ONE}/recall", recalls.DatasetRecallView.as_view(), name="dataset-recall"),
    path(f"{_ONE}/split", derive.DatasetSplitView.as_view(), name="dataset-split"),
    path(f"{_ONE}/repair", derive.DatasetRepairView.as_view(), name="dataset-repair"),
    path(f"{_ONE}/redact", views.DatasetRedactView.as_view(), name="dataset-redact"),
    path(f"{_ONE}/pii-marks", pii.PiiMarkListView.as_view(), name="pii-mark-list"),
    path(f"{_ONE}/pii-marks/<str:mark_id>", pii.PiiMarkDetailView.as_view(), name="pii-mark-detail"),
    path("catalog/pii-rules", pii.PiiRuleListView.as_view(), name="pii-rule-list"),
    path("catalog/pii-rules/try", pii.PiiRuleTryView.as_view(), name="pii-rule-try"),
    path(_RULE, pii.PiiRuleDetailView.as_view(), name="pii-rule-detail"),
    path(f"{_RULE}/retire", pii.PiiRuleRetireView.as_view(), name="pii-rule-retire"),
    path(f"{_RULE}/versions", pii.PiiRuleVersionsView.as_view(), name="pii-rule-versions"),
]
