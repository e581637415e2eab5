"""Paths relative to ``/llm-ops/v1/``."""

from django.urls import path

from apps.accounts.api import views

urlpatterns = [
    path("me", views.MeView.as_view(), name="me"),
    path("tokens", views.TokenListView.as_view(), name="token-list"),
    path("tokens/<str:token_id>", views.TokenDetailView.as_view(), name="token-detail"),
]
