"""Filter sets of governance; the same ones serve API and pages."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any, ClassVar

import django_filters
from django import forms
from django.apps import apps
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.dateparse import parse_date, parse_datetime

from apps.accounts.models import Team
from apps.core.filters import ApiFilterSet
from apps.core.models import AuditEvent, AuditResult
from apps.governance.models import ApprovalRequest, Policy
from apps.governance.registry import subjects
from apps.governance.types import ApprovalStatus, PolicyScope, PolicyStatus


class MomentField(forms.CharField):
    """ISO 8601 date or time; what names no zone is UTC, a date is its first moment."""

    def to_python(self, value: Any) -> Any:
        """An aware datetime, or None."""
        text = super().to_python(value)
        if not text:
            return None
        try:
            day = parse_date(text) if len(text) <= 10 else None
            moment = datetime.combine(day, time.min) if day is not None else parse_datetime(text.replace(" ", "+"))
            if moment is None:
                raise ValueError(text)
            # At the ends of the calendar a time zone leads out of it.
            return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            message = "Send an ISO 8601 date or time, such as 2026-11-23T08:00:00Z."
            raise ValidationError(message, code="invalid") from error


class MomentFilter(django_filters.Filter):
    """A filter by moment."""

    field_class = MomentField


def audit_resource_types() -> list[tuple[str, str]]:
    """Every type that some model writes events about, with the fixed ones of the contract."""
    known = {
        "model",
        "dataset",
        "training_job",
        "evaluation_run",
        "prompt_template",
        "prompt_experiment",
        "serving_endpoint",
        "policy",
        "approval",
        "token",
        "user",
        "team",
        "budget",
    }
    known |= {getattr(model, "AUDIT_TYPE", "") for model in apps.get_models()} - {""}
    return [(name, name.replace("_", " ").capitalize()) for name in sorted(known)]


def approval_kinds() -> list[tuple[str, str]]:
    """Kinds that are registered now."""
    return [(kind, subjects.get(kind).label) for kind in subjects.kinds()]


class AuditLogFilter(ApiFilterSet):
    """By person, thing, action, outcome and time (`since` included, `until` not)."""

    ORDERING: ClassVar[dict[str, str]] = {"occurredAt": "sequence", "action": "action", "actorName": "actor_name"}

    actor_id = django_filters.UUIDFilter(label="Person (id)")
    actor_name = django_filters.CharFilter(lookup_expr="iexact", label="Person")
    action = django_filters.CharFilter(lookup_expr="istartswith", label="Action begins with")
    resource_type = django_filters.ChoiceFilter(choices=audit_resource_types, label="Thing", empty_label="Any")
    resource_id = django_filters.CharFilter(label="Thing's id")
    result = django_filters.ChoiceFilter(choices=AuditResult.choices, label="Outcome", empty_label="Any")
    since = MomentFilter(field_name="occurred_at", lookup_expr="gte", label="From")
    until = MomentFilter(field_name="occurred_at", lookup_expr="lt", label="Before")

    class Meta:
        model = AuditEvent
        fields: ClassVar[list[str]] = []


class AuditPageFilter(AuditLogFilter):
    """The same without the field that only programs need."""

    actor_id = None

    since = MomentFilter(
        field_name="occurred_at", lookup_expr="gte", label="From", widget=forms.DateInput(attrs={"type": "date"})
    )
    until = MomentFilter(
        field_name="occurred_at", lookup_expr="lt", label="Before", widget=forms.DateInput(attrs={"type": "date"})
    )


class ApprovalFilter(ApiFilterSet):
    """By state, kind, thing and team; `waiting=true` keeps what waits for the caller."""

    ORDERING: ClassVar[dict[str, str]] = {"createdAt": "created_at", "dueAt": "due_at", "title": "title"}

    status = django_filters.ChoiceFilter(choices=ApprovalStatus.choices)
    kind = django_filters.ChoiceFilter(choices=approval_kinds)
    subject_id = django_filters.UUIDFilter()
    owner_team = django_filters.CharFilter(field_name="team__slug", lookup_expr="iexact")

    class Meta:
        model = ApprovalRequest
        fields: ClassVar[list[str]] = []


class PolicyFilter(ApiFilterSet):
    """By name, scope, state and team."""

    ORDERING: ClassVar[dict[str, str]] = {
        "name": "name",
        "scope": "scope",
        "status": "status",
        "createdAt": "created_at",
        "reviewDue": "review_due",
    }

    name = django_filters.CharFilter(lookup_expr="icontains", label="Name")
    scope = django_filters.ChoiceFilter(choices=PolicyScope.choices, label="Scope", empty_label="Any")
    status = django_filters.ChoiceFilter(choices=PolicyStatus.choices, label="Status", empty_label="Any")
    owner_team = django_filters.CharFilter(method="by_team", label="Team")

    class Meta:
        model = Policy
        fields: ClassVar[list[str]] = []

    def by_team(self, queryset: QuerySet[Policy], name: str, value: str) -> QuerySet[Policy]:
        """By slug; policies without a team count for every team."""
        return queryset.filter(team__in=Team.objects.filter(slug__iexact=value))
