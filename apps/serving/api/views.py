"""``/serving``."""

from __future__ import annotations

from typing import Any

from rest_framework.response import Response

from apps.core.api.schema import api_schema
from apps.core.api.views import ApiRequest, ApiView
from apps.core.errors import FieldError, ValidationFailed
from apps.serving import selectors, services
from apps.serving.api.serializers import (
    DeploymentSerializer,
    DeploymentUpdateSerializer,
    EndpointDeploySerializer,
    EndpointDetailSerializer,
    EndpointRedeploySerializer,
    EndpointSerializer,
    EndpointUpdateSerializer,
    FrameworkSerializer,
    ImageSerializer,
    RollbackSerializer,
)
from apps.serving.deployments import deployment_state
from apps.serving.filters import EndpointFilter
from apps.serving.frameworks import frameworks_offered, images_offered
from apps.serving.models import Endpoint


def _shown(view: ApiView, request: ApiRequest, endpoint: Endpoint, message: str) -> Response:
    fresh = selectors.endpoint_get(actor=request.user, endpoint_id=endpoint.pk)
    return view.success(EndpointDetailSerializer(fresh).data, message)


def _said(data: dict[str, Any]) -> dict[str, Any]:
    """Fields that were sent with a value; ``null`` means the same as absent here."""
    return {name: value for name, value in data.items() if value is not None}


class EndpointListView(ApiView):
    """Endpoints."""

    @api_schema(summary="Endpoints", responses=EndpointSerializer, many=True, filterset=EndpointFilter)
    def get(self, request: ApiRequest) -> Response:
        """Newest first."""
        return self.page(
            request,
            selectors.endpoints_visible_to(request.user),
            EndpointSerializer,
            filterset=EndpointFilter,
        )

    @api_schema(summary="Deploy a model", request=EndpointDeploySerializer, responses=EndpointDetailSerializer)
    def post(self, request: ApiRequest) -> Response:
        """Accepted at once; poll ``status`` until it is healthy."""
        data = _said(self.validated(EndpointDeploySerializer, request))
        endpoint = services.endpoint_deploy(actor=request.user, **data)
        return _shown(self, request, endpoint, f"Endpoint {endpoint} accepted; it is being deployed.")


class EndpointDetailView(ApiView):
    """One endpoint."""

    @api_schema(summary="An endpoint", responses=EndpointDetailSerializer)
    def get(self, request: ApiRequest, endpoint_id: str) -> Response:
        """With its history."""
        endpoint = selectors.endpoint_get(actor=request.user, endpoint_id=endpoint_id)
        return self.success(EndpointDetailSerializer(endpoint).data)

    @api_schema(summary="Change an endpoint", request=EndpointUpdateSerializer, responses=EndpointDetailSerializer)
    def patch(self, request: ApiRequest, endpoint_id: str) -> Response:
        """What is absent stays."""
        data = self.validated(EndpointUpdateSerializer, request)
        endpoint = services.endpoint_update(actor=request.user, endpoint_id=endpoint_id, **data)
        return _shown(self, request, endpoint, f"Endpoint {endpoint} changed.")

    @api_schema(summary="Delete an endpoint")
    def delete(self, request: ApiRequest, endpoint_id: str) -> Response:
        """Its processes end first, then the record goes."""
        services.endpoint_delete(actor=request.user, endpoint_id=endpoint_id)
        return self.success(None, "Endpoint deleted; what it ran is being ended.")


class EndpointRollbackView(ApiView):
    """Going back."""

    @api_schema(summary="Roll back an endpoint", request=RollbackSerializer, responses=EndpointDetailSerializer)
    def post(self, request: ApiRequest, endpoint_id: str) -> Response:
        """To the previous revision, or to the one named."""
        data = self.validated(RollbackSerializer, request)
        endpoint = services.endpoint_rollback(
            actor=request.user, endpoint_id=endpoint_id, revision=data.get("revision")
        )
        return _shown(self, request, endpoint, f"Endpoint {endpoint} is being rolled back.")


class EndpointRedeployView(ApiView):
    """A new revision."""

    @api_schema(summary="Redeploy an endpoint", request=EndpointRedeploySerializer, responses=EndpointDetailSerializer)
    def post(self, request: ApiRequest, endpoint_id: str) -> Response:
        """With what changes; the rest stays."""
        data = _said(self.validated(EndpointRedeploySerializer, request))
        endpoint = services.endpoint_redeploy(actor=request.user, endpoint_id=endpoint_id, **data)
        return _shown(self, request, endpoint, f"Endpoint {endpoint} is being redeployed.")


class EndpointRefreshView(ApiView):
    """A look right now."""

    @api_schema(summary="Refresh an endpoint's status", responses=EndpointDetailSerializer)
    def post(self, request: ApiRequest, endpoint_id: str) -> Response:
        """Asks the model server and brings the status up to date."""
        endpoint = services.endpoint_refresh(actor=request.user, endpoint_id=endpoint_id)
        return _shown(self, request, endpoint, "Status refreshed.")


class EndpointDeploymentView(ApiView):
    """Replicas and resources."""

    @api_schema(summary="How an endpoint is deployed", responses=DeploymentSerializer)
    def get(self, request: ApiRequest, endpoint_id: str) -> Response:
        """What runs right now."""
        endpoint = selectors.endpoint_get(actor=request.user, endpoint_id=endpoint_id)
        return self.success(DeploymentSerializer(deployment_state(endpoint)).data)

    @api_schema(
        summary="Change replicas or resources",
        request=DeploymentUpdateSerializer,
        responses=DeploymentSerializer,
    )
    def patch(self, request: ApiRequest, endpoint_id: str) -> Response:
        """Changed resources make a new revision."""
        data = self.validated(DeploymentUpdateSerializer, request)
        options = {name: data[name] for name in ("min_replicas", "max_replicas") if name in data}
        resources = _resources(data)
        if resources:
            services.endpoint_redeploy(actor=request.user, endpoint_id=endpoint_id, **options, **resources)
        else:
            services.endpoint_update(actor=request.user, endpoint_id=endpoint_id, **options)
        endpoint = selectors.endpoint_get(actor=request.user, endpoint_id=endpoint_id)
        return self.success(DeploymentSerializer(deployment_state(endpoint)).data, "Deployment changed.")


def _resources(data: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for group, kind in (("resource_requests", "request"), ("resource_limits", "limit")):
        for name, value in (data.get(group) or {}).items():
            if name not in ("cpu", "memory") or not isinstance(value, str | int | float):
                outer = "resourceRequests" if kind == "request" else "resourceLimits"
                raise ValidationFailed(
                    f"{outer}.{name} is not cpu or memory with a quantity.",
                    errors=[FieldError(f"{outer}.{name}", "invalid", "Send cpu and memory as quantities.")],
                )
            found[f"{name}_{kind}"] = str(value)
    return found


class FrameworkListView(ApiView):
    """Model servers."""

    @api_schema(summary="Model servers that endpoints can run on", responses=FrameworkSerializer, many=True)
    def get(self, request: ApiRequest) -> Response:
        """With what is missing where one cannot be used."""
        self.refuse_unknown(request, {"limit", "offset"})
        return self.success(FrameworkSerializer(frameworks_offered(), many=True).data)


class ImageListView(ApiView):
    """Images."""

    @api_schema(summary="Images offered for endpoints", responses=ImageSerializer, many=True)
    def get(self, request: ApiRequest) -> Response:
        """From SERVING_RUNTIME_IMAGES."""
        self.refuse_unknown(request, {"limit", "offset"})
        return self.success(ImageSerializer(images_offered(), many=True).data)
