"""The filters of the list of PII rules, for API and page alike."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

import django_filters
from django.db.models import Q, QuerySet

from apps.core.filters import ApiFilterSet
from apps.datasets.models import PiiRuleRecord

_YES_NO = [("true", "Yes"), ("false", "No")]


class PiiRuleFilter(ApiFilterSet):
    """By text, kind of data, team, whether it is switched on or retired; retired ones only when asked for."""

    ORDERING = {
        "position": "position",
        "key": "key",
        "type": "type",
        "confidence": "confidence",
        "version": "version",
        "createdAt": "created_at",
        "updatedAt": "updated_at",
    }

    q = django_filters.CharFilter(method="by_text", label="Search")
    type = django_filters.CharFilter(lookup_expr="iexact", label="Kind")
    owner_team = django_filters.CharFilter(method="by_team", label="Team")
    enabled = django_filters.ChoiceFilter(choices=_YES_NO, method="by_enabled", label="Switched on")
    retired = django_filters.ChoiceFilter(choices=_YES_NO, method="by_retired", label="Retired")

    class Meta:
        model = PiiRuleRecord
        fields: list[str] = []

    def filter_queryset(self, queryset: QuerySet[PiiRuleRecord]) -> QuerySet[PiiRuleRecord]:
        """Without retired ones, unless asked for."""
        found: QuerySet[PiiRuleRecord] = super().filter_queryset(queryset)
        return found if self.form.cleaned_data.get("retired") else found.filter(retired_at=None)

    def by_text(self, queryset: QuerySet[PiiRuleRecord], _name: str, value: str) -> QuerySet[PiiRuleRecord]:
        """Anywhere in key or name."""
        return queryset.filter(Q(key__icontains=value) | Q(name__icontains=value))

    def by_team(self, queryset: QuerySet[PiiRuleRecord], _name: str, value: str) -> QuerySet[PiiRuleRecord]:
        """A team's slug, name or id; unknown ones match nothing."""
        wanted = Q(team__slug__iexact=value) | Q(team__name__iexact=value)
        with suppress(ValueError):
            wanted |= Q(team_id=UUID(value))
        return queryset.filter(wanted)

    def by_enabled(self, queryset: QuerySet[PiiRuleRecord], _name: str, value: str) -> QuerySet[PiiRuleRecord]:
        """Whether it counts."""
        return queryset.filter(enabled=value == "true")

    def by_retired(self, queryset: QuerySet[PiiRuleRecord], _name: str, value: str) -> QuerySet[PiiRuleRecord]:
        """Retired ones or the others."""
        return queryset.filter(retired_at__isnull=value == "false")
