"""Filters of the endpoint list, for API and pages."""

from __future__ import annotations

from typing import Any, ClassVar

import django_filters
from django.db.models import Q, QuerySet

from apps.core.filters import ApiFilterSet
from apps.serving.models import Endpoint
from apps.serving.types import EndpointStatus, Environment


class EndpointFilter(ApiFilterSet):
    """``environment``, ``modelId``, ``status``, ``ownerTeam``, ``route``, ``q``."""

    ORDERING: ClassVar[dict[str, str]] = {
        "route": "route",
        "environment": "environment",
        "status": "status",
        "createdAt": "created_at",
    }

    q = django_filters.CharFilter(method="by_text", label="Search")
    environment = django_filters.ChoiceFilter(choices=Environment.choices, empty_label="Any environment")
    status = django_filters.ChoiceFilter(choices=EndpointStatus.choices, empty_label="Any status")
    model_id = django_filters.UUIDFilter(field_name="model_id", label="Model id")
    route = django_filters.CharFilter(method="by_route", label="Route")
    owner_team = django_filters.CharFilter(field_name="team__slug", lookup_expr="iexact", label="Team")

    class Meta:
        model = Endpoint
        fields: ClassVar[list[str]] = []

    def by_text(self, queryset: QuerySet[Endpoint], name: str, value: Any) -> QuerySet[Endpoint]:
        """Route or model name."""
        return queryset.filter(Q(route__icontains=value) | Q(model__name__icontains=value))

    def by_route(self, queryset: QuerySet[Endpoint], name: str, value: Any) -> QuerySet[Endpoint]:
        """The route in any of its spellings."""
        return queryset.filter(route=str(value).rstrip("/").rpartition("/")[2])
