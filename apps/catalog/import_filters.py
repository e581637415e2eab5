"""Filters of the list of imports, for API and page."""

from __future__ import annotations

from typing import ClassVar

import django_filters

from apps.catalog.import_models import ImportSource, ImportStatus, ModelImport
from apps.core.filters import ApiFilterSet


class ImportFilter(ApiFilterSet):
    """By state, kind of source, repository and team."""

    ORDERING: ClassVar[dict[str, str]] = {"name": "name", "status": "status", "createdAt": "created_at"}

    status = django_filters.ChoiceFilter(choices=ImportStatus.choices, label="Status")
    source = django_filters.ChoiceFilter(choices=ImportSource.choices, label="Source")
    repo_id = django_filters.CharFilter(lookup_expr="icontains", label="Repository")
    owner_team = django_filters.CharFilter(field_name="team__slug", lookup_expr="iexact", label="Team")

    class Meta:
        model = ModelImport
        fields: ClassVar[list[str]] = []
