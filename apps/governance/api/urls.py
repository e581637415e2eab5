"""Paths relative to ``/llm-ops/v1/``."""

from django.urls import path

from apps.governance.api import evidence, notices, views

urlpatterns = [
    path("governance/policies", views.PolicyListView.as_view(), name="policy-list"),
    path("governance/policies/<str:policy_id>", views.PolicyDetailView.as_view(), name="policy-detail"),
    path("governance/policies/<str:policy_id>/simulate", views.PolicySimulateView.as_view(), name="policy-simulate"),
    path("governance/approvals", views.ApprovalListView.as_view(), name="approval-list"),
    path("governance/approvals/<str:approval_id>", views.ApprovalDetailView.as_view(), name="approval-detail"),
    path(
        "governance/approvals/<str:approval_id>/decision", views.ApprovalDecisionView.as_view(), name="approval-decide"
    ),
    path(
        "governance/approvals/<str:approval_id>/withdraw",
        views.ApprovalWithdrawView.as_view(),
        name="approval-withdraw",
    ),
    path("governance/audit/logs", evidence.AuditLogView.as_view(), name="audit-list"),
    path("audit/logs", evidence.AuditLogView.as_view(), name="audit-list-short"),
    path("governance/audit/export", evidence.AuditExportView.as_view(), name="audit-export"),
    path("governance/audit/verify", evidence.AuditVerifyView.as_view(), name="audit-verify"),
    path("governance/observability/cost-profiles", evidence.CostProfileView.as_view(), name="cost-list"),
    path("observability/cost-profiles", evidence.CostProfileView.as_view(), name="cost-list-short"),
    path("governance/observability/cost-aggregate", evidence.CostAggregateView.as_view(), name="cost-aggregate"),
    path("observability/cost-aggregate", evidence.CostAggregateView.as_view(), name="cost-aggregate-short"),
    path("governance/notices", notices.NoticeListView.as_view(), name="notice-list"),
    path("governance/notices/<str:notice_id>/read", notices.NoticeReadView.as_view(), name="notice-read"),
    path("governance/prices", evidence.PriceListView.as_view(), name="price-list"),
]
