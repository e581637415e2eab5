"""Shapes of the serving API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.core.api.serializers import ApiSerializer, StrictJSONObject
from apps.core.models import Visibility
from apps.serving.models import Endpoint, EndpointRevision
from apps.serving.types import EndpointStatus, Environment, RevisionChange, RevisionStatus


class RevisionSerializer(ApiSerializer):
    """One entry of the deployment history."""

    id = serializers.UUIDField()
    number = serializers.IntegerField()
    change = serializers.ChoiceField(choices=RevisionChange.choices)
    restores = serializers.IntegerField(allow_null=True)
    status = serializers.ChoiceField(choices=RevisionStatus.choices)
    status_detail = serializers.CharField(allow_blank=True)
    model_id = serializers.UUIDField()
    model_name = serializers.CharField()
    model_version = serializers.CharField()
    serving_framework = serializers.CharField(source="runtime")
    created_by = serializers.CharField(source="created_by.username", allow_null=True, default=None)
    created_at = serializers.DateTimeField()
    ready_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)


class EndpointSerializer(ApiSerializer):
    """An endpoint as the contract has it."""

    id = serializers.UUIDField()
    model_id = serializers.UUIDField()
    model_name = serializers.CharField(source="model.name")
    version = serializers.CharField()
    environment = serializers.ChoiceField(choices=Environment.choices)
    route = serializers.CharField(source="path")
    owner_team = serializers.CharField(source="team.slug")
    visibility = serializers.ChoiceField(choices=Visibility.choices)
    status = serializers.ChoiceField(choices=EndpointStatus.choices)
    status_detail = serializers.CharField(allow_blank=True)
    min_replicas = serializers.IntegerField()
    max_replicas = serializers.IntegerField()
    autoscale_policy = StrictJSONObject(allow_null=True)
    prompt_policy_id = serializers.UUIDField(allow_null=True)
    rollback_plan = serializers.SerializerMethodField()
    use_gpu = serializers.SerializerMethodField()
    serving_framework = serializers.SerializerMethodField()
    runtime_image = serializers.SerializerMethodField()
    cpu_request = serializers.SerializerMethodField()
    cpu_limit = serializers.SerializerMethodField()
    memory_request = serializers.SerializerMethodField()
    memory_limit = serializers.SerializerMethodField()
    deployment_spec = serializers.SerializerMethodField()
    revision = serializers.IntegerField(source="wanted.number", allow_null=True, default=None)
    active_revision = serializers.IntegerField(source="active.number", allow_null=True, default=None)
    last_health_check = serializers.DateTimeField(source="last_health_check_at", allow_null=True)
    created_by = serializers.CharField(source="created_by.username", allow_null=True, default=None)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_rollback_plan(self, endpoint: Endpoint) -> str | None:
        """``null`` where none was given."""
        return endpoint.rollback_plan or None

    @extend_schema_field(serializers.BooleanField())
    def get_use_gpu(self, endpoint: Endpoint) -> bool:
        """Of the newest revision, as the following fields."""
        return bool(self._spec(endpoint, "use_gpu"))

    @extend_schema_field(serializers.CharField())
    def get_serving_framework(self, endpoint: Endpoint) -> str:
        """Key of the runtime."""
        return str(self._spec(endpoint, "framework") or "")

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_runtime_image(self, endpoint: Endpoint) -> str | None:
        """``null`` where no image is involved."""
        return self._spec(endpoint, "image") or None

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_cpu_request(self, endpoint: Endpoint) -> str | None:
        """A Kubernetes quantity."""
        return self._text(endpoint, "cpu_request")

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_cpu_limit(self, endpoint: Endpoint) -> str | None:
        """A Kubernetes quantity."""
        return self._text(endpoint, "cpu_limit")

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_memory_request(self, endpoint: Endpoint) -> str | None:
        """A Kubernetes quantity."""
        return self._text(endpoint, "memory_request")

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_memory_limit(self, endpoint: Endpoint) -> str | None:
        """A Kubernetes quantity."""
        return self._text(endpoint, "memory_limit")

    @extend_schema_field(StrictJSONObject(allow_null=True))
    def get_deployment_spec(self, endpoint: Endpoint) -> Any:
        """As it was sent."""
        return self._spec(endpoint, "deployment_spec")

    @staticmethod
    def _spec(endpoint: Endpoint, name: str) -> Any:
        return endpoint.wanted.spec.get(name) if endpoint.wanted is not None else None

    def _text(self, endpoint: Endpoint, name: str) -> str | None:
        # What runs at a provider has no resources of ours.
        return None if endpoint.model.is_external else self._spec(endpoint, name)


class EndpointDetailSerializer(EndpointSerializer):
    """An endpoint with its deployment history."""

    revisions = serializers.SerializerMethodField()

    @extend_schema_field(RevisionSerializer(many=True))
    def get_revisions(self, endpoint: Endpoint) -> Any:
        """Newest first, at most a hundred."""
        rows: list[EndpointRevision] = list(endpoint.revisions.select_related("created_by")[:100])
        return RevisionSerializer(rows, many=True).data


class _ResourcesSerializer(ApiSerializer):
    use_gpu = serializers.BooleanField(required=False, allow_null=True)
    serving_runtime_image = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=500)
    cpu_request = serializers.CharField(required=False, allow_null=True, max_length=32)
    cpu_limit = serializers.CharField(required=False, allow_null=True, max_length=32)
    memory_request = serializers.CharField(required=False, allow_null=True, max_length=32)
    memory_limit = serializers.CharField(required=False, allow_null=True, max_length=32)
    serving_framework = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=32)
    autoscale_policy = StrictJSONObject(required=False, allow_null=True)
    min_replicas = serializers.IntegerField(required=False, allow_null=True)
    max_replicas = serializers.IntegerField(required=False, allow_null=True)
    deployment_spec = StrictJSONObject(required=False, allow_null=True)


class EndpointDeploySerializer(_ResourcesSerializer):
    """Body of a deployment."""

    model_id = serializers.UUIDField()
    version = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=64)
    environment = serializers.CharField(max_length=16)
    route = serializers.CharField(max_length=200)
    prompt_policy_id = serializers.UUIDField(required=False, allow_null=True)
    rollback_plan = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=10_000)
    owner_team = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=100)
    visibility = serializers.CharField(required=False, max_length=16)


class EndpointRedeploySerializer(_ResourcesSerializer):
    """Body of a redeployment: what changes."""

    model_id = serializers.UUIDField(required=False, allow_null=True)


class EndpointUpdateSerializer(ApiSerializer):
    """Body of a change: what is absent stays."""

    autoscale_policy = StrictJSONObject(required=False)
    prompt_policy_id = serializers.UUIDField(required=False, allow_null=True)
    rollback_plan = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=10_000)
    min_replicas = serializers.IntegerField(required=False)
    max_replicas = serializers.IntegerField(required=False)
    status = serializers.CharField(required=False, max_length=16)


class RollbackSerializer(ApiSerializer):
    """Body of a rollback: empty for the previous revision."""

    revision = serializers.IntegerField(required=False, allow_null=True, min_value=1)


class DeploymentSerializer(ApiSerializer):
    """How an endpoint is deployed right now."""

    replica_count = serializers.IntegerField()
    min_replicas = serializers.IntegerField()
    max_replicas = serializers.IntegerField()
    resource_requests = serializers.DictField(child=serializers.CharField())
    resource_limits = serializers.DictField(child=serializers.CharField())
    framework_status = serializers.DictField()


class DeploymentUpdateSerializer(ApiSerializer):
    """Body of ``PATCH …/deployment``."""

    min_replicas = serializers.IntegerField(required=False)
    max_replicas = serializers.IntegerField(required=False)
    resource_requests = StrictJSONObject(required=False)
    resource_limits = StrictJSONObject(required=False)


class FrameworkSerializer(ApiSerializer):
    """A model server that endpoints can run on."""

    name = serializers.CharField()
    display_name = serializers.CharField()
    default = serializers.BooleanField()
    external = serializers.BooleanField()
    available = serializers.BooleanField()
    reason = serializers.CharField(allow_blank=True)


class ImageSerializer(ApiSerializer):
    """An image that operators offer."""

    framework = serializers.CharField()
    image = serializers.CharField()
