"""Shapes of the datasets API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.accounts.api.fields import TeamSlugField, UsernameField
from apps.core.api.serializers import ApiSerializer, StrictJSONObject
from apps.core.storage import store
from apps.datasets.datasheet import sheet_of
from apps.datasets.mending import RepairKind
from apps.datasets.models import Dataset
from apps.datasets.selectors import source_visible_to
from apps.datasets.splitting import MAX_SEED
from apps.datasets.types import ComparisonStatus, DatasetType


class DatasetFileSerializer(ApiSerializer):
    """One file of a dataset."""

    filename = serializers.CharField()
    size = serializers.IntegerField()
    checksum = serializers.CharField(source="sha256")
    format = serializers.CharField()
    encoding = serializers.CharField()
    rows = serializers.IntegerField(source="row_count")
    uploaded_at = serializers.DateTimeField(source="created_at")


class DatasetSerializer(ApiSerializer):
    """A dataset as lists and details show it."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    version = serializers.CharField()
    type = serializers.CharField()
    status = serializers.CharField()
    owner_team = TeamSlugField(source="team")
    visibility = serializers.CharField()
    pii_scan_status = serializers.CharField()
    quality_score = serializers.FloatField(allow_null=True)
    change_log = serializers.CharField()
    metadata = serializers.JSONField()
    storage_uri = serializers.SerializerMethodField()
    provenance_uri = serializers.CharField()
    rows = serializers.IntegerField(source="row_count", allow_null=True)
    size = serializers.IntegerField(source="size_bytes")
    format = serializers.CharField()
    digest = serializers.CharField()
    source_dataset_id = serializers.SerializerMethodField()
    created_by = UsernameField()
    submitted_by = UsernameField()
    submitted_at = serializers.DateTimeField(allow_null=True)
    retention_until = serializers.DateField(allow_null=True)
    metrics = serializers.JSONField(source="metric_set")
    approved_by = UsernameField()
    approved_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    def get_storage_uri(self, dataset: Dataset) -> str:
        """Where the files lie; before there are any, where the owner says the data comes from."""
        if not dataset.has_files and dataset.provenance_uri:
            return dataset.provenance_uri
        return store().uri(f"{dataset.storage_prefix}/")

    def get_source_dataset_id(self, dataset: Dataset) -> str | None:
        """What it was derived from, if that exists for the caller."""
        request = self.context.get("request")
        if dataset.source_dataset_id is None or request is None:
            return None
        return str(dataset.source_dataset_id) if source_visible_to(request.user, dataset) else None


class DataSheetSerializer(ApiSerializer):
    """The data sheet: what is filled in, what is missing, and what its retention means."""

    values = serializers.DictField(child=serializers.CharField())
    missing = serializers.ListField(child=serializers.CharField())
    percent = serializers.IntegerField()
    complete = serializers.BooleanField()
    retention_until = serializers.DateField(allow_null=True)
    expired = serializers.BooleanField()


class DatasetDetailSerializer(DatasetSerializer):
    """A dataset with its files, columns and data sheet."""

    files = DatasetFileSerializer(many=True)
    columns = serializers.SerializerMethodField()
    data_sheet = serializers.SerializerMethodField()

    @extend_schema_field(DataSheetSerializer)
    def get_data_sheet(self, dataset: Dataset) -> Any:
        """Read out of the metadata."""
        sheet = sheet_of(dataset.metadata)
        return DataSheetSerializer(
            {
                "values": sheet.values,
                "missing": [field.name for field in sheet.missing],
                "percent": sheet.percent,
                "complete": sheet.complete,
                "retention_until": dataset.retention_until,
                "expired": dataset.is_expired,
            }
        ).data

    def get_columns(self, dataset: Dataset) -> list[dict[str, Any]]:
        """Name, type, nullability."""
        return columns_json(dataset)


def columns_json(dataset: Dataset) -> list[dict[str, Any]]:
    """The schema as the API shows it."""
    return [{"name": column.name, "type": column.kind, "nullable": column.nullable} for column in dataset.column_list]


class DatasetCreateSerializer(ApiSerializer):
    """A new dataset."""

    name = serializers.CharField(max_length=200)
    version = serializers.CharField(max_length=64)
    type = serializers.ChoiceField(choices=[kind.value for kind in DatasetType])
    owner_team = serializers.CharField(required=False, allow_blank=True, default="")
    change_log = serializers.CharField(required=False, allow_blank=True, allow_null=True, default="")
    metadata = StrictJSONObject(required=False, allow_null=True, default=dict)
    storage_uri = serializers.CharField(required=False, allow_blank=True, allow_null=True, default="", max_length=2000)
    visibility = serializers.ChoiceField(choices=["team", "organisation"], required=False, default="team")
    status = serializers.CharField(required=False, default="draft")
    metrics = serializers.ListField(child=serializers.CharField(max_length=60), required=False, max_length=50)


class DatasetUpdateSerializer(ApiSerializer):
    """Changes to a draft; what is left out stays."""

    name = serializers.CharField(max_length=200, required=False)
    version = serializers.CharField(max_length=64, required=False)
    type = serializers.ChoiceField(choices=[kind.value for kind in DatasetType], required=False)
    change_log = serializers.CharField(required=False, allow_blank=True)
    metadata = StrictJSONObject(required=False)
    storage_uri = serializers.CharField(required=False, allow_blank=True, max_length=2000)
    visibility = serializers.ChoiceField(choices=["team", "organisation"], required=False)
    metrics = serializers.ListField(child=serializers.CharField(max_length=60), required=False, max_length=50)


class StatusSerializer(ApiSerializer):
    """A wanted status."""

    status = serializers.CharField()
    notes = serializers.CharField(required=False, allow_blank=True, default="")


class RedactSerializer(ApiSerializer):
    """How the redacted copy is called."""

    version = serializers.CharField(required=False, allow_blank=True, default="", max_length=64)
    change_log = serializers.CharField(required=False, allow_blank=True, default="")


class RatiosSerializer(ApiSerializer):
    """Shares of the parts; they add up to 1."""

    train = serializers.FloatField(required=False, min_value=0, max_value=1)
    validation = serializers.FloatField(required=False, min_value=0, max_value=1)
    test = serializers.FloatField(required=False, min_value=0, max_value=1)


class SplitSerializer(ApiSerializer):
    """How to divide a dataset."""

    ratios = RatiosSerializer()
    seed = serializers.IntegerField(required=False, default=0, min_value=0, max_value=MAX_SEED)
    stratify_by = serializers.CharField(required=False, allow_blank=True, default="", max_length=200)
    group_by = serializers.CharField(required=False, allow_blank=True, default="", max_length=200)
    version = serializers.CharField(required=False, allow_blank=True, default="", max_length=64)


class RepairSerializer(ApiSerializer):
    """Which repair; ``columns`` is a list of names, or for ``cast`` an object of names and types."""

    kind = serializers.ChoiceField(choices=[kind.value for kind in RepairKind])
    columns = serializers.JSONField(required=False, default=dict)
    version = serializers.CharField(required=False, allow_blank=True, default="", max_length=64)

    def validate_columns(self, value: Any) -> Any:
        """Names as text, whatever else JSON could hold."""
        names = list(value) if isinstance(value, dict | list) else [None]
        types = list(value.values()) if isinstance(value, dict) else []
        if not all(isinstance(text, str) for text in [*names, *types]):
            raise serializers.ValidationError("Send a list of column names, or for cast an object of names and types.")
        return value


class RepairOfferSerializer(ApiSerializer):
    """A repair that would change something."""

    kind = serializers.CharField()
    title = serializers.CharField()
    text = serializers.CharField()
    rows = serializers.IntegerField()
    columns = serializers.JSONField()


class DerivedSerializer(ApiSerializer):
    """The new datasets; for a large source none yet, and the operation in which they are made."""

    source_id = serializers.UUIDField()
    operation_id = serializers.UUIDField(allow_null=True)
    datasets = DatasetSerializer(many=True)


class UploadedFileSerializer(ApiSerializer):
    """One file that was taken."""

    filename = serializers.CharField()
    size = serializers.IntegerField()
    checksum = serializers.CharField(source="sha256")
    rows = serializers.IntegerField(source="row_count", allow_null=True, default=None)


class UploadAnswerSerializer(ApiSerializer):
    """What an upload led to."""

    dataset_id = serializers.UUIDField()
    storage_uri = serializers.CharField()
    uploaded_files = UploadedFileSerializer(many=True)
    rows = serializers.IntegerField(allow_null=True)  # null while a worker still reads
    check_id = serializers.UUIDField(allow_null=True)
    operation_id = serializers.UUIDField(allow_null=True)


class ColumnSerializer(serializers.Serializer[Any]):
    """One column."""

    name = serializers.CharField()
    type = serializers.CharField()
    nullable = serializers.BooleanField()


class StatisticsSerializer(ApiSerializer):
    """Facts about all rows."""

    total_rows = serializers.IntegerField()
    column_count = serializers.IntegerField()
    file_size = serializers.IntegerField()
    format = serializers.CharField(allow_null=True)
    columns = serializers.JSONField()


class PreviewSerializer(ApiSerializer):
    """Some rows with schema and statistics."""

    sample_rows = serializers.JSONField()
    row_numbers = serializers.ListField(child=serializers.IntegerField())
    matching_rows = serializers.IntegerField()
    schema = ColumnSerializer(many=True)
    statistics = StatisticsSerializer()


class PiiScanSerializer(ApiSerializer):
    """What the scan found."""

    status = serializers.CharField()
    total = serializers.IntegerField()
    open = serializers.IntegerField()
    detected_types = serializers.ListField(child=serializers.CharField())
    counts = serializers.JSONField()
    open_counts = serializers.JSONField()
    columns = serializers.JSONField()
    rules = serializers.CharField()
    named_rows = serializers.IntegerField()
    locations = serializers.JSONField()
    recommendations = serializers.ListField(child=serializers.CharField())


class QualitySerializer(ApiSerializer):
    """The score and how it came about."""

    overall = serializers.FloatField(allow_null=True)
    threshold = serializers.FloatField()
    breakdown = serializers.JSONField()
    weights = serializers.JSONField()
    components = serializers.JSONField()


class CheckSerializer(ApiSerializer):
    """A run of the checks."""

    id = serializers.UUIDField()
    status = serializers.CharField()
    progress = serializers.IntegerField()
    message = serializers.CharField()
    operation_id = serializers.UUIDField(allow_null=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class ValidationSerializer(ApiSerializer):
    """Results of the checks, and the run that is under way."""

    dataset_id = serializers.UUIDField()
    pii_scan = PiiScanSerializer()
    quality_score = QualitySerializer()
    recommendations = serializers.ListField(child=serializers.CharField())
    check = CheckSerializer(allow_null=True)


class CompareSerializer(ApiSerializer):
    """How two datasets differ: counts of rows, pages of examples, schema, statistics with drift."""

    status = serializers.ChoiceField(choices=[status.value for status in ComparisonStatus])
    progress = serializers.IntegerField()
    message = serializers.CharField(allow_blank=True)
    operation_id = serializers.UUIDField(allow_null=True)
    before_id = serializers.UUIDField()
    before_name = serializers.CharField()
    before_version = serializers.CharField()
    after_id = serializers.UUIDField()
    after_name = serializers.CharField()
    after_version = serializers.CharField()
    compared_by = serializers.JSONField(allow_null=True)
    added_rows = serializers.IntegerField(allow_null=True)
    removed_rows = serializers.IntegerField(allow_null=True)
    modified_rows = serializers.IntegerField(allow_null=True)
    unchanged_rows = serializers.IntegerField(allow_null=True)
    schema_changes = serializers.JSONField()
    statistics = serializers.JSONField()
    samples = serializers.JSONField()
