"""Periodic tasks of serving: name → (task, seconds)."""

from django.conf import settings

SCHEDULE = {
    "serving-endpoints-reconcile": ("apps.serving.tasks.endpoints_reconcile", 15.0),
    "serving-endpoints-health-check": (
        "apps.serving.tasks.endpoints_health_check",
        float(settings.SERVING_HEALTH_SECONDS),
    ),
}
