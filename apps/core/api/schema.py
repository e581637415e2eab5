"""OpenAPI: operations wrapped in the envelope, error answers, paging and filter parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers

from apps.core.api.naming import camel
from apps.core.filters import ApiFilterSet

FieldErrorSerializer = inline_serializer(
    "FieldError",
    {
        "field": serializers.CharField(allow_blank=True),
        "code": serializers.CharField(),
        "message": serializers.CharField(),
    },
    many=True,
    required=False,
)
FailureSerializer = inline_serializer(
    "Failure",
    {
        "status": serializers.ChoiceField(choices=["fail"]),
        "message": serializers.CharField(),
        "data": inline_serializer("FailureData", {"errors": FieldErrorSerializer}, allow_null=True),
    },
)


class PortalSchema(AutoSchema):
    """Operation ids from the URL names; tags from the first path part."""

    def get_tags(self) -> list[str]:
        """``/llm-ops/v1/catalog/models`` → ``catalog``."""
        parts = [part for part in self.path.split("/") if part]
        return [parts[2] if parts[:2] == ["llm-ops", "v1"] and len(parts) > 2 else "portal"]

    def get_operation_id(self) -> str:
        """Unique: verb and path."""
        parts = [part.strip("{}") for part in self.path.split("/") if part and part not in {"llm-ops", "v1"}]
        return "_".join([self.method.lower(), *(part.replace("-", "_") for part in parts)])


_envelopes: dict[tuple[str, Any], Any] = {}


def _success(name: str, data: Any, source: Any) -> Any:
    """The success envelope of one shape; made once, so that the schema has one component of each name."""
    if (name, source) not in _envelopes:
        _envelopes[name, source] = inline_serializer(
            f"{name}Envelope",
            {"status": serializers.ChoiceField(choices=["success"]), "message": serializers.CharField(), "data": data},
        )
    return _envelopes[name, source]


def _data_field(responses: Any, many: bool) -> tuple[str, Any]:
    if responses is None:
        return "Empty", serializers.JSONField(allow_null=True)
    if isinstance(responses, type) and issubclass(responses, serializers.BaseSerializer):
        name = responses.__name__.removesuffix("Serializer")
        return (f"{name}List", responses(many=True)) if many else (name, responses())
    return type(responses).__name__, responses


def _parameters(filterset: type[ApiFilterSet] | None, many: bool, extra: Sequence[str]) -> list[OpenApiParameter]:
    rows = [OpenApiParameter(name, str, required=False) for name in extra]
    if filterset is not None:
        rows += [OpenApiParameter(camel(name), str, required=False) for name in filterset.base_filters]
        rows.append(OpenApiParameter("orderBy", str, required=False, description=", ".join(filterset.ORDERING)))
    if many:
        rows += [
            OpenApiParameter("limit", int, required=False),
            OpenApiParameter("offset", int, required=False),
        ]
    return rows


def api_schema(
    *,
    summary: str,
    request: Any = None,
    responses: Any = None,
    many: bool = False,
    filterset: type[ApiFilterSet] | None = None,
    params: Sequence[str] = (),
    multipart: bool = False,
    binary: bool = False,
    public: bool = False,
    headers: Mapping[str, bool] | None = None,
    failures: Sequence[int] = (),
) -> Callable[[Any], Any]:
    """Document one view method: its success envelope, the failures all share, paging and filters.

    Args:
        responses: serializer class (or field) of ``data``; None for no data.
        many: ``data`` is a paged list.
        params: further query parameters, camelCase.
        multipart: the request is ``multipart/form-data`` with repeated ``files``.
        binary: success is a file, not an envelope.
        headers: request headers, and whether each is required.
        failures: further codes of failure.
    """
    name, data = _data_field(responses, many)
    source = responses if isinstance(responses, type | None) else id(responses)
    success: Any = OpenApiTypes.BINARY if binary else _success(name, data, source)
    codes = {400, 403, 404, 405, 409, 413, 415, 422, 429, 500, 503, *failures}
    if not public:
        codes.add(401)
    failed = {code: OpenApiResponse(FailureSerializer) for code in sorted(codes)}
    body: Any = request
    if multipart:
        body = {
            "multipart/form-data": {
                "type": "object",
                "properties": {"files": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                "required": ["files"],
            }
        }
    elif request is not None and isinstance(request, type):
        body = {"application/json": request}
    return extend_schema(
        summary=summary,
        request=body,
        responses={(200, "application/octet-stream") if binary else 200: success, **failed},
        parameters=[
            *_parameters(filterset, many, params),
            *(
                OpenApiParameter(name, str, OpenApiParameter.HEADER, required=required)
                for name, required in (headers or {}).items()
            ),
        ],
        auth=[] if public else None,
    )
