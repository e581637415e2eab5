"""Shapes of ``/catalog/models``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.accounts.api.fields import TeamSlugField, UsernameField
from apps.catalog import registry, selectors
from apps.catalog.cards import card_status
from apps.catalog.models import ModelEntry
from apps.catalog.types import ModelStatus, ModelType
from apps.core.api.serializers import ApiSerializer, StrictJSONObject
from apps.core.models import Visibility
from apps.core.storage import store

Fields = dict[str, serializers.Field[Any, Any, Any, Any]]


class LineageInputSerializer(ApiSerializer):
    """What a model was made of, as sent."""

    dataset_ids = serializers.ListField(child=serializers.UUIDField(), required=False)
    base_model_id = serializers.UUIDField(required=False, allow_null=True)


class _LineageFields(ApiSerializer):
    lineage = LineageInputSerializer(required=False)
    lineage_dataset_ids = serializers.ListField(child=serializers.UUIDField(), required=False)
    base_model_id = serializers.UUIDField(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Bring both spellings of lineage to the services' arguments; the flat one wins."""
        nested = attrs.pop("lineage", None) or {}
        for flat, inner in (("lineage_dataset_ids", "dataset_ids"), ("base_model_id", "base_model_id")):
            if flat not in attrs and inner in nested:
                attrs[flat] = nested[inner]
        return attrs


class ModelCreateSerializer(_LineageFields):
    """A new model."""

    name = serializers.CharField(max_length=200)
    version = serializers.CharField(max_length=64)
    type = serializers.ChoiceField(choices=ModelType.choices)
    owner_team = serializers.CharField(required=False, allow_blank=True, default="")
    model_family = serializers.CharField(required=False, allow_blank=True, allow_null=True, max_length=100, default="")
    metadata = StrictJSONObject(required=False, default=dict)
    visibility = serializers.ChoiceField(choices=Visibility.choices, required=False, default=Visibility.TEAM)
    status = serializers.CharField(required=False, allow_blank=True, default=ModelStatus.DRAFT)


class ModelUpdateSerializer(_LineageFields):
    """What may change; what is not sent stays."""

    name = serializers.CharField(required=False, max_length=200)
    model_family = serializers.CharField(required=False, allow_blank=True, max_length=100)
    metadata = StrictJSONObject(required=False)
    visibility = serializers.ChoiceField(choices=Visibility.choices, required=False)


class ModelStatusSerializer(ApiSerializer):
    """The wanted status; may also come as ``?status=``."""

    status = serializers.CharField(required=False, allow_blank=True)
    notes = serializers.CharField(required=False, allow_blank=True, default="", max_length=4000)
    successor_id = serializers.UUIDField(required=False, allow_null=True)


class DecisionSerializer(ApiSerializer):
    """A reviewer's decision."""

    decision = serializers.CharField()
    notes = serializers.CharField(required=False, allow_blank=True, default="", max_length=4000)


class ScanReasonSerializer(serializers.Serializer[Any]):
    """Why the scan refused a file."""

    code = serializers.CharField()
    message = serializers.CharField()
    remedy = serializers.CharField(allow_blank=True)


class ModelFileSerializer(ApiSerializer):
    """A stored file and what the scan said."""

    filename = serializers.CharField()
    kind = serializers.CharField()
    format = serializers.CharField()
    size = serializers.IntegerField()
    checksum = serializers.CharField(source="sha256")
    scan_status = serializers.CharField()
    scan_reasons = ScanReasonSerializer(many=True)
    uploaded_at = serializers.DateTimeField(source="updated_at")


_moment = serializers.DateTimeField().to_representation


def file_json(file: Mapping[str, Any]) -> dict[str, Any]:
    """The shape above by hand: building a serializer for each of a page's models costs more than everything else."""
    return {
        "filename": file["filename"],
        "kind": file["kind"],
        "format": file["format"],
        "size": file["size"],
        "checksum": file["sha256"],
        "scanStatus": file["scan_status"],
        "scanReasons": file["scan_reasons"],
        "uploadedAt": _moment(file["updated_at"]),
    }


class LineageSummarySerializer(ApiSerializer):
    """What a model was made of, as far as the caller may see it."""

    dataset_ids = serializers.ListField(child=serializers.UUIDField())
    base_model_id = serializers.UUIDField(allow_null=True)
    job_id = serializers.UUIDField(allow_null=True)


class FactsSerializer(ApiSerializer):
    """Read from the files; null where they do not say. Bytes and tokens."""

    architecture = serializers.CharField(allow_blank=True)
    family = serializers.CharField(source="detected_family", allow_blank=True)
    dtype = serializers.CharField(allow_blank=True)
    parameter_count = serializers.IntegerField(allow_null=True)
    context_length = serializers.IntegerField(allow_null=True)
    weight_bytes = serializers.IntegerField(allow_null=True)
    memory_bytes = serializers.IntegerField(allow_null=True)
    kv_bytes_per_token = serializers.IntegerField(allow_null=True)


class _ModelListSerializer(serializers.ListSerializer[Any]):
    """Looks up files, lineage and evaluations once for the whole page."""

    def to_representation(self, data: Any) -> Any:
        rows = list(data)
        child = self.child
        if isinstance(child, ModelSerializer):
            child.gather(rows)
        return super().to_representation(rows)


class ModelSerializer(ApiSerializer):
    """A model as the caller may see it."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    version = serializers.CharField()
    type = serializers.CharField()
    status = serializers.CharField()
    owner_team = TeamSlugField(source="team")
    visibility = serializers.CharField()
    model_family = serializers.CharField(allow_blank=True)
    metadata = serializers.SerializerMethodField()
    api_key_set = serializers.SerializerMethodField()
    card_missing = serializers.SerializerMethodField()
    storage_uri = serializers.SerializerMethodField()
    scan_status = serializers.CharField()
    facts = serializers.SerializerMethodField()
    files = serializers.SerializerMethodField()
    lineage = serializers.SerializerMethodField()
    lineage_dataset_ids = serializers.SerializerMethodField()
    evaluation_summary = serializers.SerializerMethodField()
    digest = serializers.CharField(allow_blank=True)
    published = serializers.SerializerMethodField()
    successor_id = serializers.UUIDField(allow_null=True)
    deprecation_note = serializers.CharField(allow_blank=True)
    created_by = UsernameField()
    submitted_by = UsernameField()
    submitted_at = serializers.DateTimeField(allow_null=True)
    approved_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    class Meta:
        list_serializer_class = _ModelListSerializer

    _gathered: tuple[dict[Any, Any], dict[Any, Any], dict[Any, Any]] | None = None

    def gather(self, rows: Iterable[ModelEntry]) -> None:
        """Fetch for all *rows* at once what is not on them."""
        rows = list(rows)
        request = self.context.get("request")
        actor = request.user if request is not None else None
        self._gathered = (
            dict(selectors.models_file_rows(rows)),
            dict(selectors.models_lineage(actor, rows)),
            dict(registry.evaluation_summaries([row.pk for row in rows])) if rows else {},
        )

    def to_representation(self, instance: ModelEntry) -> dict[str, Any]:
        """Gather for a single model when no list did."""
        if self._gathered is None or instance.pk not in self._gathered[0]:
            self.gather([instance])
        return super().to_representation(instance)

    def _part(self, number: int, model: ModelEntry) -> Any:
        return self._gathered[number].get(model.pk) if self._gathered is not None else None

    @extend_schema_field(serializers.JSONField())
    def get_metadata(self, model: ModelEntry) -> dict[str, Any]:
        """As sent; external models say whether their key is set, never which."""
        if not model.is_external:
            return dict(model.metadata)
        return {**model.metadata, "apiKeySet": self.get_api_key_set(model)}

    def get_api_key_set(self, model: ModelEntry) -> bool:
        """Whether an API key is stored."""
        known: bool | None = getattr(model, "api_key_set", None)
        return known if known is not None else hasattr(model, "external_secret")

    def get_published(self, model: ModelEntry) -> bool:
        """Whether it is the published version of its name."""
        return bool(getattr(model, "is_published", False))

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_card_missing(self, model: ModelEntry) -> list[str]:
        """Card fields still to be filled."""
        return [field.name for field in card_status(model.metadata).missing]

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_storage_uri(self, model: ModelEntry) -> str | None:
        """Where the files lie; external models have none."""
        return None if model.is_external else store().uri(model.storage_prefix)

    @extend_schema_field(FactsSerializer())
    def get_facts(self, model: ModelEntry) -> dict[str, Any]:
        """By hand, as the files."""
        return {
            "architecture": model.architecture,
            "family": model.detected_family,
            "dtype": model.dtype,
            "parameterCount": model.parameter_count,
            "contextLength": model.context_length,
            "weightBytes": model.weight_bytes,
            "memoryBytes": model.memory_bytes,
            "kvBytesPerToken": model.kv_bytes_per_token,
        }

    @extend_schema_field(ModelFileSerializer(many=True))
    def get_files(self, model: ModelEntry) -> Any:
        """All files."""
        return [file_json(file) for file in self._part(0, model) or ()]

    @extend_schema_field(LineageSummarySerializer())
    def get_lineage(self, model: ModelEntry) -> Any:
        """Sources."""
        summary = self._part(1, model) or selectors.LineageSummary()
        return {
            "datasetIds": [str(pk) for pk in summary.dataset_ids],
            "baseModelId": str(summary.base_model_id) if summary.base_model_id else None,
            "jobId": str(summary.job_id) if summary.job_id else None,
        }

    @extend_schema_field(serializers.ListField(child=serializers.UUIDField()))
    def get_lineage_dataset_ids(self, model: ModelEntry) -> list[str]:
        """The datasets among the sources, in the spelling of creation."""
        summary = self._part(1, model) or selectors.LineageSummary()
        return [str(pk) for pk in summary.dataset_ids]

    @extend_schema_field(serializers.JSONField(allow_null=True))
    def get_evaluation_summary(self, model: ModelEntry) -> Any:
        """What evaluation knows; null before the first run."""
        return self._part(2, model)


class ModelUploadedFileSerializer(ApiSerializer):
    """One file of an upload."""

    filename = serializers.CharField()
    size = serializers.IntegerField()
    checksum = serializers.CharField(source="sha256")


class UploadSerializer(ApiSerializer):
    """What an upload stored; the scan runs as the operation."""

    model_id = serializers.UUIDField()
    storage_uri = serializers.CharField()
    uploaded_files = ModelUploadedFileSerializer(many=True, source="files")
    operation_id = serializers.UUIDField(allow_null=True)


class LineageNodeSerializer(ApiSerializer):
    """One thing in the graph; unseen ones have neither kind nor id nor name."""

    key = serializers.CharField()
    kind = serializers.CharField()
    id = serializers.CharField(allow_blank=True)
    status = serializers.CharField(allow_blank=True)
    url = serializers.CharField(allow_blank=True)
    visible = serializers.BooleanField()

    def get_fields(self) -> Fields:
        """``label`` is the name of an attribute that every field has, so it is added here."""
        return {**super().get_fields(), "label": serializers.CharField()}


class LineageEdgeSerializer(ApiSerializer):
    """From what came first to what was made of it; ends are node keys."""

    target = serializers.CharField()
    relation = serializers.CharField()

    def get_fields(self) -> Fields:
        """As above: ``source`` means something to every field."""
        return {"source": serializers.CharField(), **super().get_fields()}


class LineageGraphSerializer(ApiSerializer):
    """Both directions, as far as the caller may see."""

    nodes = serializers.SerializerMethodField()
    edges = LineageEdgeSerializer(many=True)
    truncated = serializers.BooleanField()

    def get_fields(self) -> Fields:
        """As above: every field has a ``root``."""
        return {"root": serializers.CharField(), **super().get_fields()}

    @extend_schema_field(LineageNodeSerializer(many=True))
    def get_nodes(self, graph: Any) -> Any:
        """Nodes with their keys."""
        rows = [
            {
                "key": key,
                "kind": node.kind,
                "id": node.id,
                "label": node.label,
                "status": node.status,
                "url": node.url,
                "visible": node.visible,
            }
            for key, node in graph.nodes.items()
        ]
        return LineageNodeSerializer(rows, many=True).data


class SegmentSerializer(ApiSerializer):
    """A piece of a compared text."""

    op = serializers.ChoiceField(choices=["same", "removed", "added"])
    text = serializers.CharField(trim_whitespace=False)


class DifferenceSerializer(ApiSerializer):
    """One compared value."""

    key = serializers.CharField()
    left = serializers.JSONField(allow_null=True)
    right = serializers.JSONField(allow_null=True)
    change = serializers.ChoiceField(choices=["same", "added", "removed", "changed"])
    delta = serializers.FloatField(required=False, help_text="Right minus left; only for numbers that differ.")
    segments = SegmentSerializer(many=True, required=False, help_text="Words of two texts that differ.")

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Without what does not apply to the row."""
        row = super().to_representation(instance)
        return {key: value for key, value in row.items() if key not in ("delta", "segments") or value not in (None, [])}


class ComparedModelSerializer(ApiSerializer):
    """Which model stands on a side."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    version = serializers.CharField()
    type = serializers.CharField()
    status = serializers.CharField()


class ComparisonSerializer(ApiSerializer):
    """Two models side by side."""

    left = ComparedModelSerializer()
    right = ComparedModelSerializer()
    entry = DifferenceSerializer(many=True, source="comparison.fields")
    card = DifferenceSerializer(many=True, source="comparison.card")
    facts = DifferenceSerializer(many=True, source="comparison.facts")
    files = DifferenceSerializer(many=True, source="comparison.files")
    config = DifferenceSerializer(many=True, source="comparison.config")
    metadata = DifferenceSerializer(many=True, source="comparison.metadata")
    metrics = DifferenceSerializer(many=True, source="comparison.metrics")
    lineage = DifferenceSerializer(many=True, source="comparison.lineage")
