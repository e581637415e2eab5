"""Addresses of the chat page, below ``/chat/``."""

from django.urls import path

from apps.gateway.web.views import ChatView

app_name = "gateway"
urlpatterns = [path("", ChatView.as_view(), name="chat")]
