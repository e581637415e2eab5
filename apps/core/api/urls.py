"""Operations and health, relative to ``/llm-ops/v1/``."""

from django.urls import path

from apps.core.api import endpoints

urlpatterns = [
    path("health", endpoints.HealthView.as_view(), name="health"),
    path("health/integrations", endpoints.IntegrationsHealthView.as_view(), name="health-integrations"),
    path("operations", endpoints.OperationListView.as_view(), name="operation-list"),
    path("operations/<str:operation_id>", endpoints.OperationDetailView.as_view(), name="operation-detail"),
]
