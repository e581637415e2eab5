"""Filters of the model list, for API and pages."""

from __future__ import annotations

from typing import ClassVar

import django_filters
from django.db.models import Q, QuerySet

from apps.catalog.models import ModelEntry
from apps.catalog.types import ModelStatus, ModelType
from apps.core.filters import ApiFilterSet


class ModelFilter(ApiFilterSet):
    """``status, type, modelFamily, ownerTeam, name, q``; text is matched without regard to case."""

    ORDERING: ClassVar[dict[str, str]] = {
        "name": "name",
        "version": "version_key",
        "type": "type",
        "status": "status",
        "modelFamily": "model_family",
        "ownerTeam": "team__slug",
        "parameterCount": "parameter_count",
        "createdAt": "created_at",
        "updatedAt": "updated_at",
    }

    q = django_filters.CharFilter(method="search", label="Search")
    name = django_filters.CharFilter(lookup_expr="icontains", label="Name")
    type = django_filters.ChoiceFilter(choices=ModelType.choices, label="Type")
    status = django_filters.ChoiceFilter(choices=ModelStatus.choices, label="Status")
    model_family = django_filters.CharFilter(lookup_expr="iexact", label="Family")
    owner_team = django_filters.CharFilter(field_name="team__slug", lookup_expr="iexact", label="Team")

    class Meta:
        model = ModelEntry
        fields: ClassVar[list[str]] = []

    def search(self, queryset: QuerySet[ModelEntry], name: str, value: str) -> QuerySet[ModelEntry]:
        """Match name, version, family, and the card's texts."""
        return queryset.filter(
            Q(name__icontains=value)
            | Q(version__icontains=value)
            | Q(model_family__icontains=value)
            | Q(metadata__purpose__icontains=value)
            | Q(metadata__description__icontains=value)
        )
