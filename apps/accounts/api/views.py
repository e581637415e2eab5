"""``/me`` and ``/tokens``."""

from __future__ import annotations

from rest_framework.response import Response

from apps.accounts import selectors, services
from apps.accounts.api.serializers import (
    IssuedTokenSerializer,
    MeSerializer,
    TokenCreateSerializer,
    TokenSerializer,
)
from apps.core.api.schema import api_schema
from apps.core.api.views import ApiRequest, ApiView


class MeView(ApiView):
    """Who am I?"""

    @api_schema(summary="The caller and their roles", responses=MeSerializer)
    def get(self, request: ApiRequest) -> Response:
        """Name, roles, token scopes."""
        return self.success(MeSerializer(request.user).data)


class TokenListView(ApiView):
    """The caller's API tokens."""

    @api_schema(summary="API tokens", responses=TokenSerializer, many=True)
    def get(self, request: ApiRequest) -> Response:
        """Without their values."""
        return self.page(request, selectors.tokens_visible_to(request.user), TokenSerializer)

    @api_schema(summary="Create an API token", request=TokenCreateSerializer, responses=IssuedTokenSerializer)
    def post(self, request: ApiRequest) -> Response:
        """The value is in this answer and nowhere else."""
        issued = services.token_create(actor=request.user, **self.validated(TokenCreateSerializer, request))
        return self.success(
            IssuedTokenSerializer(issued).data, "Token created. Copy its value now; it is not shown again."
        )


class TokenDetailView(ApiView):
    """One token."""

    @api_schema(summary="Revoke an API token", responses=TokenSerializer)
    def delete(self, request: ApiRequest, token_id: str) -> Response:
        """Worthless from now on."""
        token = services.token_revoke(actor=request.user, token_id=token_id)
        return self.success(TokenSerializer(token).data, f"Token {token.name} revoked.")
