"""Shapes of imports and exports."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.accounts.api.fields import TeamSlugField, UsernameField
from apps.catalog.import_models import ImportSource, ImportStatus, ModelImport
from apps.catalog.types import ModelType
from apps.core.api.serializers import ApiSerializer, StrictJSONObject
from apps.core.models import Visibility
from apps.integrations.runtimes.connection import Outcome


class HubImportSerializer(ApiSerializer):
    """What to fetch from the hub, and what to call it. ``modelId`` and ``huggingfaceModelId`` are ``repoId``, too."""

    repo_id = serializers.CharField(required=False, max_length=200)
    model_id = serializers.CharField(required=False, max_length=200)
    huggingface_model_id = serializers.CharField(required=False, max_length=200)
    revision = serializers.CharField(required=False, allow_blank=True, max_length=200, default="")
    owner_team = serializers.CharField(required=False, allow_blank=True, default="")
    name = serializers.CharField(required=False, allow_blank=True, max_length=200, default="")
    version = serializers.CharField(required=False, allow_blank=True, max_length=64, default="")
    type = serializers.ChoiceField(
        choices=[ModelType.BASE, ModelType.FINE_TUNED], required=False, default=ModelType.BASE
    )
    include = serializers.ListField(child=serializers.CharField(max_length=200), required=False, default=list)
    include_patterns = serializers.ListField(child=serializers.CharField(max_length=200), required=False)
    visibility = serializers.ChoiceField(choices=Visibility.choices, required=False, default=Visibility.TEAM)
    metadata = StrictJSONObject(required=False, default=dict)
    token = serializers.CharField(
        required=False, allow_blank=True, default="", write_only=True, help_text="For this import only; never shown."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One repository, under any of its three names; ``includePatterns`` is ``include``, too."""
        attrs["include"] = attrs["include"] or attrs.pop("include_patterns", [])
        attrs.pop("include_patterns", None)
        names = [attrs.pop(key, None) for key in ("repo_id", "huggingface_model_id", "model_id")]
        given = {name for name in names if name}
        if len(given) != 1:
            words = "repoId names the repository, such as organisation/model."
            raise serializers.ValidationError({"repoId": [words if not given else f"Name one repository: {words}"]})
        return {**attrs, "repo_id": given.pop()}


class RetrySerializer(ApiSerializer):
    """A token for the next attempt."""

    token = serializers.CharField(required=False, allow_blank=True, default="", write_only=True)


class ImportFileSerializer(ApiSerializer):
    """One file of an import."""

    filename = serializers.CharField()
    size = serializers.IntegerField()
    done = serializers.BooleanField(default=False)


class ModelImportSerializer(ApiSerializer):
    """An import, to poll; ``modelId`` is set when the model is registered."""

    id = serializers.UUIDField()
    operation_id = serializers.UUIDField(allow_null=True)
    status = serializers.ChoiceField(choices=ImportStatus.choices)
    progress = serializers.IntegerField(source="percent")
    message = serializers.CharField()
    error_code = serializers.CharField(allow_blank=True)
    repo_id = serializers.CharField(allow_blank=True)
    revision = serializers.CharField(allow_blank=True)
    commit = serializers.CharField(allow_blank=True)
    name = serializers.CharField(allow_blank=True)
    version = serializers.CharField(allow_blank=True)
    type = serializers.CharField()
    owner_team = TeamSlugField(source="team")
    files = serializers.SerializerMethodField()
    skipped = serializers.ListField(child=serializers.CharField())
    bytes_total = serializers.IntegerField()
    bytes_done = serializers.IntegerField()
    attempts = serializers.IntegerField()
    model_id = serializers.UUIDField(allow_null=True)
    created_by = UsernameField()
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)

    def get_fields(self) -> dict[str, Any]:
        """``source`` means something to every field, so it is added here."""
        return {**super().get_fields(), "source": serializers.ChoiceField(choices=ImportSource.choices)}

    @extend_schema_field(ImportFileSerializer(many=True))
    def get_files(self, row: ModelImport) -> list[dict[str, Any]]:
        """Names, sizes in bytes, and whether they are here."""
        return [{"filename": one["filename"], "size": one["size"], "done": bool(one.get("done"))} for one in row.files]


class ConnectionSerializer(ApiSerializer):
    """What the connection test of an external model showed; latency in milliseconds."""

    ok = serializers.BooleanField()
    outcome = serializers.ChoiceField(choices=[outcome.value for outcome in Outcome])
    detail = serializers.CharField()
    latency_ms = serializers.FloatField()
    operation_id = serializers.UUIDField()
    tested_at = serializers.DateTimeField()
