"""Whatever is raised in an API view leaves as an envelope with the right code."""

from __future__ import annotations

import logging
from typing import Any

import structlog
from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.db import connection
from django.db.utils import InterfaceError, OperationalError
from django.http import Http404
from django.http.multipartparser import MultiPartParserError
from rest_framework import exceptions as drf
from rest_framework.response import Response

from apps.core import audit
from apps.core.api.naming import camel
from apps.core.api.negotiation import describe
from apps.core.errors import DomainError, FieldError, RateLimited

logger = logging.getLogger(__name__)


def fail(status: int, message: str, errors: list[FieldError] | None = None) -> Response:
    """A failure envelope."""
    data = {"errors": [error.as_dict() for error in errors]} if errors else None
    return Response({"status": "fail", "message": message, "data": data}, status=status)


def flatten(detail: Any, prefix: str = "") -> list[FieldError]:
    """DRF's nested details as ``field, code, message`` rows; nested fields are joined by dots."""
    if isinstance(detail, dict):
        rows: list[FieldError] = []
        for key, value in detail.items():
            name = "" if key == "non_field_errors" else str(key)
            rows += flatten(value, f"{prefix}.{name}".strip(".") if name else prefix)
        return rows
    if isinstance(detail, list):
        rows = []
        for index, value in enumerate(detail):
            rows += flatten(value, f"{prefix}.{index}".strip(".") if isinstance(value, dict | list) else prefix)
        return rows
    return [FieldError(prefix, getattr(detail, "code", "invalid") or "invalid", str(detail))]


def _validation(error: drf.ValidationError) -> Response:
    rows = flatten(error.detail)
    first = rows[0] if rows else FieldError("", "invalid", "The request is not valid.")
    message = f"{first.field}: {first.message}" if first.field else first.message
    if len(rows) > 1:
        message += f" (and {len(rows) - 1} more)"
    return fail(400, message, rows)


# Objects that are stored exactly as sent: what is inside keeps its spelling, also in errors.
FREE_FORM = frozenset({"metadata", "hyperparameters", "rules", "parameters", "trainJobSpec", "deploymentSpec"})


def _spelled(field: str) -> str:
    """A field's name as the API spells it: ``owner_team`` → ``ownerTeam``, but ``metadata.base_url`` stays."""
    head, *rest = field.split(".")
    return ".".join([camel(head), *(rest if head in FREE_FORM else map(camel, rest))])


def _domain(error: DomainError) -> Response:
    rows = [FieldError(_spelled(row.field), row.code, row.message) for row in error.errors]
    response = fail(error.status_code, error.message, rows)
    if isinstance(error, RateLimited):
        response["Retry-After"] = str(error.retry_after)
    return response


def _drf(error: drf.APIException, context: dict[str, Any]) -> Response:
    if isinstance(error, drf.ValidationError):
        return _validation(error)
    if isinstance(error, drf.NotAuthenticated | drf.AuthenticationFailed):
        message = str(error.detail)
        response = fail(401, message)
        response["WWW-Authenticate"] = getattr(error, "auth_header", None) or 'Bearer realm="llm-ops"'
        return response
    if isinstance(error, drf.MethodNotAllowed):
        request, view = context["request"], context["view"]
        allowed = ", ".join(view.allowed_methods)
        response = fail(405, f"{request.method} is not possible at {request.path}. Possible: {allowed}.")
        response["Allow"] = allowed
        return response
    if isinstance(error, drf.UnsupportedMediaType):
        request, view = context["request"], context["view"]
        sent = request.content_type or "no content type"
        return fail(415, f"This address reads {describe(view.get_parsers())}, not {sent}.")
    if isinstance(error, drf.ParseError):
        return fail(400, f"The body could not be read: {error.detail}")
    return fail(error.status_code, str(error.detail))


def handle(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's exception handler. A crash answers 500 with a request id and is logged with its trace."""
    if isinstance(error, DomainError):
        audit.record_denial(error)
        return _domain(error)
    if isinstance(error, drf.APIException):
        return _drf(error, context)
    if isinstance(error, Http404):
        return fail(404, f"There is nothing at {context['request'].path}.")
    if isinstance(error, PermissionDenied):
        return fail(403, str(error) or "You may not do that.")
    if isinstance(error, RequestDataTooBig | TooManyFieldsSent | TooManyFilesSent):
        return fail(413, "The request is larger than allowed: fewer or smaller parts, please.")
    if isinstance(error, MultiPartParserError | SuspiciousOperation):
        return fail(400, f"The request could not be read: {error}")
    request_id = str(structlog.contextvars.get_contextvars().get("request_id", ""))
    logger.error("api_crash", exc_info=error)
    if isinstance(error, OperationalError | InterfaceError):
        connection.close()
        return fail(503, f"The database is not reachable right now. Try again shortly. Request id: {request_id}.")
    return fail(500, f"Something broke on our side. Tell the operators this request id: {request_id}.")
