"""The filters of the dataset list, for API and page alike."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

import django_filters
from django.db.models import Q, QuerySet

from apps.core import clock, versions
from apps.core.filters import ApiFilterSet
from apps.datasets.models import Dataset
from apps.datasets.services.entries import STATUS_SPELLINGS
from apps.datasets.types import DATASET_TYPE_LABELS, DatasetStatus, DatasetType, PiiStatus

_STATUS_CHOICES = [(word.value, word.value.replace("_", " ").capitalize()) for word in DatasetStatus]


class StatusField(django_filters.fields.ChoiceField):
    """A status in any accepted spelling; only the proper ones are offered."""

    def valid_value(self, value: Any) -> bool:
        """Proper words and aliases."""
        return value in STATUS_SPELLINGS or super().valid_value(value)


class StatusFilter(django_filters.ChoiceFilter):
    """Equality with the proper word."""

    field_class = StatusField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("choices", _STATUS_CHOICES)
        super().__init__(*args, **kwargs)

    def filter(self, qs: QuerySet[Any], value: Any) -> QuerySet[Any]:
        """Aliases count as what they stand for."""
        return super().filter(qs, STATUS_SPELLINGS.get(value, value))


class DatasetFilter(ApiFilterSet):
    """By name, version, team, PII status, quality, status, type."""

    ORDERING = {
        "name": "name",
        "version": "version_key",
        "status": "status",
        "type": "type",
        "qualityScore": "quality_score",
        "rows": "row_count",
        "createdAt": "created_at",
        "updatedAt": "updated_at",
    }

    q = django_filters.CharFilter(method="by_text", label="Search")
    name = django_filters.CharFilter(lookup_expr="icontains", label="Name")
    version = django_filters.CharFilter(method="by_version", label="Version")
    owner_team = django_filters.CharFilter(method="by_team", label="Team")
    type = django_filters.ChoiceFilter(
        choices=[(key.value, DATASET_TYPE_LABELS[key]) for key in DatasetType], label="Type"
    )
    status = StatusFilter(label="Status")
    pii_status = django_filters.ChoiceFilter(
        field_name="pii_scan_status",
        choices=[(word.value, word.value.capitalize()) for word in PiiStatus],
        label="Personal data",
    )
    min_quality = django_filters.NumberFilter(field_name="quality_score", lookup_expr="gte", label="Quality from")
    max_quality = django_filters.NumberFilter(field_name="quality_score", lookup_expr="lte", label="Quality to")
    approved_only = django_filters.ChoiceFilter(
        choices=[("true", "Approved only"), ("false", "All")], method="by_approval", label="Approved"
    )

    expired = django_filters.ChoiceFilter(
        choices=[("true", "Retention over"), ("false", "Within its retention")], method="by_expiry", label="Retention"
    )

    class Meta:
        model = Dataset
        fields: list[str] = []

    def by_text(self, queryset: QuerySet[Dataset], _name: str, value: str) -> QuerySet[Dataset]:
        """Anywhere in name or change log."""
        return queryset.filter(Q(name__icontains=value) | Q(change_log__icontains=value))

    def by_version(self, queryset: QuerySet[Dataset], _name: str, value: str) -> QuerySet[Dataset]:
        """The same semantic version; what is none matches nothing."""
        if not versions.is_version(value):
            return queryset.none()
        return queryset.filter(version_key=versions.version_key(value))

    def by_team(self, queryset: QuerySet[Dataset], _name: str, value: str) -> QuerySet[Dataset]:
        """A team's slug, name or id; unknown ones match nothing."""
        wanted = Q(team__slug__iexact=value) | Q(team__name__iexact=value)
        with suppress(ValueError):
            wanted |= Q(team_id=UUID(value))
        return queryset.filter(wanted)

    def by_expiry(self, queryset: QuerySet[Dataset], _name: str, value: str) -> QuerySet[Dataset]:
        """Whether the last day of keeping is over, whatever the sweep has marked yet."""
        over = Q(retention_until__lt=clock.now().date())
        return queryset.filter(over) if value == "true" else queryset.exclude(over)

    def by_approval(self, queryset: QuerySet[Dataset], _name: str, value: str) -> QuerySet[Dataset]:
        """Only approved ones, when asked for."""
        return queryset.filter(status=DatasetStatus.APPROVED) if value == "true" else queryset


class DatasetPageFilter(DatasetFilter):
    """The page offers each thing once: the name instead of free text, the status instead of “approved
    only”."""

    q = None
    approved_only = None
