"""The filters of the run list, for API and page alike."""

from __future__ import annotations

from typing import Any

import django_filters
from django import forms
from django.db.models import Q, QuerySet

from apps.core.filters import ApiFilterSet
from apps.evaluation.models import EvaluationRun
from apps.evaluation.types import RunStatus, RunType

_DAY = forms.DateTimeInput(attrs={"type": "date"}, format="%Y-%m-%d")


class RunFilter(ApiFilterSet):
    """By model, dataset, kind, status, team, date."""

    ORDERING = {
        "createdAt": "created_at",
        "status": "status",
        "runType": "run_type",
        "sampleCount": "sample_count",
        "model": "model__name",
        "dataset": "dataset__name",
    }

    q = django_filters.CharFilter(method="by_text", label="Search")
    run_type = django_filters.ChoiceFilter(choices=RunType.choices, label="Type")
    status = django_filters.ChoiceFilter(choices=RunStatus.choices, label="Status")
    model_id = django_filters.UUIDFilter(field_name="model_id", label="Model id")
    dataset_id = django_filters.UUIDFilter(field_name="dataset_id", label="Dataset id")
    batch_id = django_filters.UUIDFilter(field_name="batch_id", label="Batch id")
    owner_team = django_filters.CharFilter(field_name="team__slug", label="Team")
    since = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte", label="Since", widget=_DAY)
    until = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt", label="Until", widget=_DAY)

    class Meta:
        model = EvaluationRun
        fields: tuple[str, ...] = ()

    def by_text(self, queryset: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """Names of model and dataset."""
        return queryset.filter(Q(model__name__icontains=value) | Q(dataset__name__icontains=value))
