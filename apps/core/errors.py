"""Typed business errors. Services raise them; API, pages, admin and tasks translate them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field (empty for the whole request) and, in the message, what to do."""

    field: str
    code: str
    message: str

    def as_dict(self) -> dict[str, str]:
        return {"field": self.field, "code": self.code, "message": self.message}


@dataclass(frozen=True)
class Denial:
    """What the audit trail records about a refused attempt, once the refused transaction is rolled back."""

    actor: Any
    action: str
    resource_type: str = ""
    resource_id: str = ""
    team_id: Any = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


class DomainError(Exception):
    """Base of all errors that the caller should read. ``message`` names the thing and the remedy."""

    status_code: ClassVar[int] = 400
    default_code: ClassVar[str] = "error"

    def __init__(
        self,
        message: str,
        *,
        errors: Sequence[FieldError] = (),
        code: str = "",
        denial: Denial | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.errors = list(errors)
        self.code = code or self.default_code
        self.denial = denial

    @classmethod
    def field(cls, name: str, code: str, message: str) -> Self:
        """An error about exactly one field."""
        return cls(message, errors=[FieldError(name, code, message)], code=code)


class ValidationFailed(DomainError):
    """400: the request does not make sense as sent."""

    default_code = "invalid"


class NotAuthenticated(DomainError):
    """401: nobody, or a credential that does not count."""

    status_code = 401
    default_code = "not_authenticated"


class PermissionRefused(DomainError):
    """403: known caller, not allowed, or denied by a policy. Recorded in the audit trail."""

    status_code = 403
    default_code = "permission_denied"


class NotFound(DomainError):
    """404: absent, or not visible to the caller; the two are never told apart."""

    status_code = 404
    default_code = "not_found"


class Conflict(DomainError):
    """409: wrong state, duplicate, or something depends on it."""

    status_code = 409
    default_code = "conflict"


class TooLarge(DomainError):
    """413: more bytes than allowed."""

    status_code = 413
    default_code = "too_large"


class UnsupportedMedia(DomainError):
    """415: a media type that this endpoint does not read."""

    status_code = 415
    default_code = "unsupported_media_type"


class GateRefused(DomainError):
    """422: well-formed, but a gate (approval, checks, quota) says not yet; the reasons are in ``errors``."""

    status_code = 422
    default_code = "gate_refused"


class RateLimited(DomainError):
    """429: too many attempts; ``retry_after`` is in seconds."""

    status_code = 429
    default_code = "rate_limited"

    def __init__(self, message: str, *, retry_after: int, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(message, errors=errors)
        self.retry_after = retry_after


class InfrastructureError(DomainError):
    """502: a part behind us answered wrongly."""

    status_code = 502
    default_code = "upstream_failed"


class Unavailable(DomainError):
    """503: a part that is needed is not there right now."""

    status_code = 503
    default_code = "unavailable"
