"""Addresses of the portal's own pages."""

from __future__ import annotations

from django.urls import path

from apps.portal.web import approvals, home, search

app_name = "portal"
urlpatterns = [
    path("", home.HomeView.as_view(), name="home"),
    path("approvals/", approvals.ApprovalListView.as_view(), name="approval-list"),
    path("approvals/<uuid:pk>/decide/", approvals.ApprovalDecideView.as_view(), name="approval-decide"),
    path("search/", search.SearchView.as_view(), name="search"),
    path("health/", home.HealthView.as_view(), name="health"),
]
