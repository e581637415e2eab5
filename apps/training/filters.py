"""The filters of the job list, for API and page alike."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

import django_filters
from django import forms
from django.db.models import Q, QuerySet

from apps.core.filters import ApiFilterSet
from apps.training.models import TrainingJob
from apps.training.types import JobStatus, JobType


class JobFilter(ApiFilterSet):
    """By text, status, job type, base model, dataset, team."""

    ORDERING = {
        "createdAt": "created_at",
        "submittedAt": "created_at",
        "startedAt": "started_at",
        "completedAt": "completed_at",
        "name": "name",
        "status": "status",
        "jobType": "job_type",
    }

    q = django_filters.CharFilter(method="by_text", label="Search")
    status = django_filters.ChoiceFilter(choices=JobStatus.choices, label="Status")
    job_type = django_filters.ChoiceFilter(choices=JobType.choices, label="Type")
    owner_team = django_filters.CharFilter(method="by_team", label="Team")
    model_id = django_filters.UUIDFilter(field_name="model_id", label="Base model", widget=forms.HiddenInput)
    dataset_id = django_filters.UUIDFilter(field_name="dataset_id", label="Dataset", widget=forms.HiddenInput)

    class Meta:
        model = TrainingJob
        fields: list[str] = []

    def by_text(self, queryset: QuerySet[TrainingJob], _name: str, value: str) -> QuerySet[TrainingJob]:
        """Anywhere in the job's, dataset's or base model's name."""
        wanted = Q(name__icontains=value) | Q(dataset__name__icontains=value) | Q(model__name__icontains=value)
        return queryset.filter(wanted)

    def by_team(self, queryset: QuerySet[TrainingJob], _name: str, value: str) -> QuerySet[TrainingJob]:
        """A team's slug, name or id; unknown ones match nothing."""
        wanted = Q(team__slug__iexact=value) | Q(team__name__iexact=value)
        with suppress(ValueError):
            wanted |= Q(team_id=UUID(value))
        return queryset.filter(wanted)
