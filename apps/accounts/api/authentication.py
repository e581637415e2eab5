"""Who is calling: a bearer token, or the portal's own session (with CSRF)."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from apps.accounts.models import ApiToken, User
from apps.accounts.services import token_authenticate
from apps.core.errors import NotAuthenticated


class TokenAuthentication(BaseAuthentication):
    """``Authorization: Bearer <token>``."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken | None] | None:
        """The token's owner; None when there is no bearer header."""
        header = get_authorization_header(request).split()
        if not header:
            return None
        if header[0].lower() != b"bearer" or len(header) != 2:
            raise AuthenticationFailed("Send the header as 'Authorization: Bearer <token>'.")
        try:
            user = token_authenticate(header[1].decode("ascii"))
        except UnicodeDecodeError as error:
            raise AuthenticationFailed("The bearer token holds characters no token has.") from error
        except NotAuthenticated as error:
            raise AuthenticationFailed(error.message) from error
        return user, user.token

    def authenticate_header(self, request: Request) -> str:
        """For 401 answers."""
        return 'Bearer realm="llm-ops"'


class PortalSessionAuthentication(SessionAuthentication):
    """The browser's session; unsafe verbs need the CSRF token."""

    def authenticate_header(self, request: Request) -> str:
        """For 401 answers."""
        return 'Bearer realm="llm-ops"'


class TokenScheme(OpenApiAuthenticationExtension):
    """Describes bearer tokens in the schema."""

    target_class = "apps.accounts.api.authentication.TokenAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """HTTP bearer."""
        return {"type": "http", "scheme": "bearer"}


class SessionScheme(OpenApiAuthenticationExtension):
    """Describes the session cookie in the schema."""

    target_class = "apps.accounts.api.authentication.PortalSessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """Cookie."""
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}
