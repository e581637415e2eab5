"""Filters of the approval queue."""

from __future__ import annotations

from typing import Any, ClassVar

import django_filters

from apps.core.filters import ApiFilterSet
from apps.governance.models import ApprovalRequest
from apps.governance.registry import subjects
from apps.governance.types import ApprovalStatus


def _kinds() -> list[tuple[str, str]]:
    return [(kind, subjects.get(kind).label) for kind in subjects.kinds()]


class ApprovalQueueFilter(ApiFilterSet):
    """By words in the title, kind and status."""

    ORDERING: ClassVar[dict[str, str]] = {"createdAt": "created_at", "dueAt": "due_at", "title": "title"}

    q = django_filters.CharFilter(field_name="title", lookup_expr="icontains", label="Title")
    kind = django_filters.ChoiceFilter(choices=_kinds, label="Kind", empty_label="Any")
    status = django_filters.ChoiceFilter(choices=ApprovalStatus.choices, label="Status", empty_label="Any")

    class Meta:
        model = ApprovalRequest
        fields: ClassVar[list[Any]] = []
