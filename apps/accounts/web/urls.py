"""Addresses of the account pages."""

from __future__ import annotations

from django.urls import path

from apps.accounts.web import views

app_name = "accounts"
urlpatterns = [
    path("sign-in/", views.SignInView.as_view(), name="sign-in"),
    path("sign-out/", views.SignOutView.as_view(), name="sign-out"),
    path("", views.ProfileView.as_view(), name="profile"),
    path("password/", views.PasswordView.as_view(), name="password"),
    path("tokens/", views.TokenListView.as_view(), name="token-list"),
    path("tokens/new/", views.TokenCreateView.as_view(), name="token-create"),
    path("tokens/<uuid:pk>/revoke/", views.TokenRevokeView.as_view(), name="token-revoke"),
]
