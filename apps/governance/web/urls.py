"""Pages under ``/governance/``."""

from django.urls import path

from apps.governance.web import approvals, evidence, notices, policies

app_name = "governance"
urlpatterns = [
    path("approvals/<uuid:pk>/", approvals.ApprovalDetailView.as_view(), name="approval-detail"),
    path("approvals/<uuid:pk>/withdraw/", approvals.ApprovalWithdrawView.as_view(), name="approval-withdraw"),
    path("policies/", policies.PolicyListView.as_view(), name="policy-list"),
    path("policies/new/", policies.PolicyCreateView.as_view(), name="policy-create"),
    path("policies/<uuid:pk>/", policies.PolicyDetailView.as_view(), name="policy-detail"),
    path("policies/<uuid:pk>/change/", policies.PolicyChangeView.as_view(), name="policy-change"),
    path("policies/<uuid:pk>/status/", policies.PolicyStatusView.as_view(), name="policy-status"),
    path("policies/<uuid:pk>/review/", policies.PolicyReviewView.as_view(), name="policy-review"),
    path("policies/<uuid:pk>/delete/", policies.PolicyDeleteView.as_view(), name="policy-delete"),
    path("audit/", evidence.AuditListView.as_view(), name="audit-list"),
    path("audit/export/", evidence.AuditExportView.as_view(), name="audit-export"),
    path("audit/verify/", evidence.AuditVerifyView.as_view(), name="audit-verify"),
    path("costs/", evidence.CostListView.as_view(), name="cost-list"),
    path("costs/chart/", evidence.CostChartView.as_view(), name="cost-chart"),
    path("notices/", notices.NoticeListView.as_view(), name="notice-list"),
    path("notices/read/", notices.NoticesReadAllView.as_view(), name="notices-read-all"),
    path("notices/<uuid:pk>/read/", notices.NoticeReadView.as_view(), name="notice-read"),
    path("prices/", policies.PriceListView.as_view(), name="price-list"),
    path("prices/new/", policies.PriceCreateView.as_view(), name="price-create"),
]
