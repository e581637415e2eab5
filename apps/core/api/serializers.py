"""Serializers that are written in snake_case and speak camelCase."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from apps.core.api.naming import camel, snake


class ApiSerializer(serializers.Serializer[Any]):
    """Base of all API shapes.

    Declare fields in snake_case; answers carry camelCase, requests may use either spelling (camelCase wins when both
    are sent). Keys that are not declared are ignored. Free-form objects are ``JSONField``s and pass untouched.
    """

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Declared fields under their camelCase names, each reading its snake_case source."""
        fields: dict[str, serializers.Field[Any, Any, Any, Any]] = {}
        for name, field in super().get_fields().items():
            outer = camel(name)
            if isinstance(field, serializers.SerializerMethodField):
                field.method_name = field.method_name or f"get_{name}"
            elif outer != name and getattr(field, "source", None) is None:
                field.source = name
            fields[outer] = field
        return fields

    def to_internal_value(self, data: Any) -> Any:
        """Accept both spellings."""
        if isinstance(data, Mapping) and not hasattr(data, "getlist"):
            names = {snake(str(name)): str(name) for name in self.fields}
            read: dict[str, Any] = {}
            for key, value in data.items():
                known = str(key) if key in self.fields else names.get(snake(str(key)))
                if known is not None and (known not in read or key == known):
                    read[known] = value
            data = read
        return super().to_internal_value(data)


class StrictJSONObject(serializers.JSONField):
    """A free-form JSON object, stored and returned exactly as sent."""

    default_error_messages = {"not_object": "Send a JSON object, such as {{}}."}

    def to_internal_value(self, data: Any) -> Any:
        """Objects only."""
        if not isinstance(data, dict):
            self.fail("not_object")
        return super().to_internal_value(data)
