"""Pages of datasets."""

from django.urls import path

from apps.datasets.web import actions, compare, derive, keeping, pii, views

app_name = "datasets"
urlpatterns = [
    path("", views.DatasetListView.as_view(), name="dataset-list"),
    path("new/", views.DatasetCreateView.as_view(), name="dataset-create"),
    path("pii-rules/", pii.PiiRuleListView.as_view(), name="pii-rule-list"),
    path("pii-rules/new/", pii.PiiRuleCreateView.as_view(), name="pii-rule-create"),
    path("pii-rules/try/", pii.PiiTryView.as_view(), name="pii-rule-try"),
    path("pii-rules/<uuid:pk>/", pii.PiiRuleDetailView.as_view(), name="pii-rule-detail"),
    path("pii-rules/<uuid:pk>/change/", pii.PiiRuleChangeView.as_view(), name="pii-rule-change"),
    path("pii-rules/<uuid:pk>/switch/", pii.PiiRuleSwitchView.as_view(), name="pii-rule-switch"),
    path("pii-rules/<uuid:pk>/retire/", pii.PiiRuleRetireView.as_view(), name="pii-rule-retire"),
    path("deleted/", keeping.TombstoneListView.as_view(), name="tombstone-list"),
    path("<str:pk>/", views.DatasetDetailView.as_view(), name="dataset-detail"),
    path("<str:pk>/edit/", views.DatasetUpdateView.as_view(), name="dataset-update"),
    path("<str:pk>/compare/", compare.DatasetCompareView.as_view(), name="dataset-compare"),
    path("<str:pk>/retention/", keeping.DatasetRetentionView.as_view(), name="dataset-retention"),
    path("<str:pk>/split/", derive.DatasetSplitView.as_view(), name="dataset-split"),
    path("<str:pk>/repairs/", derive.DatasetRepairsView.as_view(), name="dataset-repairs"),
    path("<str:pk>/repair/", derive.DatasetRepairView.as_view(), name="dataset-repair"),
    path("<str:pk>/upload/", actions.DatasetUploadView.as_view(), name="dataset-upload"),
    path("<str:pk>/check/", actions.DatasetCheckView.as_view(), name="dataset-check"),
    path("<str:pk>/submit/", actions.DatasetSubmitView.as_view(), name="dataset-submit"),
    path("<str:pk>/withdraw/", actions.DatasetWithdrawView.as_view(), name="dataset-withdraw"),
    path("<str:pk>/decide/", actions.DatasetDecideView.as_view(), name="dataset-decide"),
    path("<str:pk>/recall/", actions.DatasetRecallView.as_view(), name="dataset-recall"),
    path("<str:pk>/reopen/", actions.DatasetReopenView.as_view(), name="dataset-reopen"),
    path("<str:pk>/redact/", actions.DatasetRedactView.as_view(), name="dataset-redact"),
    path("<str:pk>/pii-marks/", pii.PiiMarkView.as_view(), name="pii-mark-create"),
    path("<str:pk>/pii-marks/<uuid:mark>/", pii.PiiMarkDecideView.as_view(), name="pii-mark-decide"),
    path("<str:pk>/delete/", keeping.DatasetDeleteView.as_view(), name="dataset-delete"),
]
