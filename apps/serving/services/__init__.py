"""What may be done with endpoints."""

from apps.serving.services.changes import (
    endpoint_delete,
    endpoint_redeploy,
    endpoint_rollback,
    endpoint_set_status,
    endpoint_stop,
    endpoint_update,
)
from apps.serving.services.deploy import endpoint_deploy
from apps.serving.services.following import endpoint_follow, endpoints_reconcile
from apps.serving.services.health import endpoint_health_check, endpoint_refresh, endpoints_health_check
from apps.serving.services.rollout import revision_roll_out, revision_warm_up
from apps.serving.services.targets import invocation_target, invocation_target_for_model, routes_callable

__all__ = [
    "endpoint_delete",
    "endpoint_deploy",
    "endpoint_follow",
    "endpoint_health_check",
    "endpoint_redeploy",
    "endpoint_refresh",
    "endpoint_rollback",
    "endpoint_set_status",
    "endpoint_stop",
    "endpoint_update",
    "endpoints_health_check",
    "endpoints_reconcile",
    "invocation_target",
    "invocation_target_for_model",
    "revision_roll_out",
    "revision_warm_up",
    "routes_callable",
]
