"""One filter set per entity, for the API (strict) and for the pages (forgiving)."""

from __future__ import annotations

from typing import Any, ClassVar

import django_filters
from django.db import models
from django.http import QueryDict

from apps.core.api.naming import camel, snake
from apps.core.errors import FieldError, ValidationFailed

PAGING = {"limit", "offset", "order_by"}


class ApiFilterSet(django_filters.FilterSet):
    """Base of all filter sets.

    ``ORDERING`` maps the names callers may sort by (camelCase) to columns. Fields are declared in snake_case; callers
    may use both spellings. References are ``UUIDFilter`` or text, never model choices: what one may not see must give
    an empty list, not an error.
    """

    ORDERING: ClassVar[dict[str, str]] = {"createdAt": "created_at"}

    @classmethod
    def normalise(cls, params: QueryDict) -> QueryDict:
        """Parameters under their snake_case names."""
        result = QueryDict(mutable=True)
        for name, values in params.lists():
            result.setlist(snake(name), values)
        return result

    def strict_queryset(self, *, extra: frozenset[str] = frozenset()) -> models.QuerySet[Any]:
        """The filtered, ordered rows for the API.

        Raises:
            ValidationFailed: unknown parameter names, malformed values, values outside a closed set.
        """
        known = set(self.filters) | PAGING | extra
        errors = [
            FieldError(
                camel(name),
                "unknown_parameter",
                f"There is no filter {camel(name)}. Known: {self.known_names(extra)}.",
            )
            for name in self.data
            if name not in known
        ]
        if self.form.is_valid():
            values = self.form.cleaned_data
        else:
            values = {}
            for name, problems in self.form.errors.get_json_data().items():
                errors += [FieldError(camel(name), item["code"] or "invalid", item["message"]) for item in problems]
        if errors:
            raise ValidationFailed(f"{errors[0].field}: {errors[0].message}", errors=errors)
        del values
        return self.ordered(self.qs, strict=True)

    def ordered(self, queryset: models.QuerySet[Any], *, strict: bool) -> models.QuerySet[Any]:
        """Apply ``orderBy=name,-createdAt``; unknown names are an error in the API and ignored on pages."""
        text = self.data.get("order_by") or ""
        columns: list[str] = []
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            name = part.lstrip("-")
            column = self.ORDERING.get(name) or self.ORDERING.get(camel(name))
            if column is None:
                if strict:
                    known = ", ".join(self.ORDERING)
                    raise ValidationFailed.field(
                        "orderBy", "invalid", f"Cannot order by {name[:60]!r}. Known: {known}."
                    )
                continue
            columns.append(f"-{column}" if part.startswith("-") else column)
        return queryset.order_by(*columns, "pk") if columns else queryset

    def known_names(self, extra: frozenset[str] = frozenset()) -> str:
        """Names a caller may use, for messages."""
        return ", ".join(sorted(camel(name) for name in {*self.filters, *PAGING, *extra}))
