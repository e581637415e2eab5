"""Error and success bodies of the two surfaces: the portal's envelope and OpenAI's."""

from __future__ import annotations

from typing import Any, Protocol

import orjson

from apps.core.errors import DomainError

_OPENAI_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    429: "rate_limit_error",
}
_OPENAI_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}


class Surface(Protocol):
    """How one family of paths words its answers."""

    name: str

    def error(self, error: DomainError, request_id: str) -> bytes:
        """The body of an error answer."""
        ...

    def stream_error(self, error: DomainError) -> bytes:
        """An error after the start of a stream, as one server-sent event."""
        ...


def openai_error(error: DomainError) -> dict[str, Any]:
    """OpenAI's error object."""
    status = error.status_code
    kind = _OPENAI_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    code = error.code if error.code != error.default_code else _OPENAI_CODES.get(status, error.code)
    field = error.errors[0].field if error.errors else None
    message = error.message
    if error.errors and error.errors[0].message not in message:
        message = f"{message} {error.errors[0].message}"
    return {"message": message, "type": kind, "param": field, "code": code}


class PortalSurface:
    """``/llm-ops/v1``: status, message, data."""

    name = "portal"

    def success(self, message: str, data: Any) -> bytes:
        """A successful envelope."""
        return orjson.dumps({"status": "success", "message": message, "data": data})

    def error(self, error: DomainError, request_id: str) -> bytes:
        """A failed envelope; crashes carry the request id to be found in the logs."""
        data: dict[str, Any] | None = None
        if error.errors:
            data = {
                "errors": [{"field": item.field, "code": item.code, "message": item.message} for item in error.errors]
            }
        if error.status_code >= 500:
            data = {**(data or {}), "requestId": request_id}
        return orjson.dumps({"status": "fail", "message": error.message, "data": data})

    def stream_error(self, error: DomainError) -> bytes:
        """``data: {"error": …}``."""
        return b"data: " + orjson.dumps({"error": openai_error(error)}) + b"\n\n"


class OpenAISurface:
    """``/v1``: OpenAI's bodies, so that its clients raise their own exceptions."""

    name = "openai"

    def error(self, error: DomainError, request_id: str) -> bytes:
        """OpenAI's error body."""
        return orjson.dumps({"error": openai_error(error)})

    def stream_error(self, error: DomainError) -> bytes:
        """The event that OpenAI's clients turn into an ``APIError``."""
        return b"data: " + orjson.dumps({"error": openai_error(error)}) + b"\n\n"


PORTAL = PortalSurface()
OPENAI = OpenAISurface()
