"""The base view of the API: authentication, strict parameters, paging, idempotency, envelope."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from typing import Any, ClassVar, TypeVar

from django.db import models
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from apps.core.api import idempotency, pagination
from apps.core.api.naming import camel, snake
from apps.core.errors import FieldError, NotFound, PermissionRefused, ValidationFailed
from apps.core.filters import ApiFilterSet
from apps.core.models import IdempotencyKey
from apps.core.permissions import Scope

T = TypeVar("T")
SAFE = {"GET", "HEAD", "OPTIONS"}


class ApiRequest(Request):
    """The request as views under ``/llm-ops/v1`` see it: authenticated (annotation only)."""

    user: Any


class ReplayedError(Exception):
    """Carries a stored answer out of the handler chain."""

    def __init__(self, answer: idempotency.StoredAnswer) -> None:
        super().__init__("replayed")
        self.answer = answer


class ApiView(APIView):
    """Base of all views under ``/llm-ops/v1``. Views translate; services and selectors decide.

    ``query_params`` lists (snake_case) parameters that a non-list view reads; anything else is a 400.
    """

    query_params: ClassVar[frozenset[str]] = frozenset()
    _claim: IdempotencyKey | None = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Answers are in UTC, whatever zone the pages use."""
        with timezone.override(UTC):
            return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """After authentication: a token needs ``read`` to look; a repeated key is answered from store."""
        super().initial(request, *args, **kwargs)
        scopes = getattr(request.user, "token_scopes", None)
        if (
            request.method in SAFE
            and scopes is not None
            and Scope.READ not in scopes
            and AllowAny not in self.permission_classes
        ):
            raise PermissionRefused("This token may not read. Use one with the scope 'read'.")
        key = request.headers.get("Idempotency-Key")
        if key and request.method == "POST" and (request.content_type or "").startswith("application/json"):
            # Reading the body first bounds it and lets the parser read it again.
            claim = idempotency.begin(request, request.user, key, request._request.body)
            if isinstance(claim, idempotency.StoredAnswer):
                raise ReplayedError(claim)
            self._claim = claim

    def handle_exception(self, exc: Exception) -> Response:
        """A replay is no failure."""
        if isinstance(exc, ReplayedError):
            self.replay = exc.answer
            response = Response(status=exc.answer.status_code)
            response["Idempotency-Replayed"] = "true"
            return response
        return super().handle_exception(exc)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Render early where an answer is replayed or must be kept."""
        final = super().finalize_response(request, response, *args, **kwargs)
        replay: idempotency.StoredAnswer | None = getattr(self, "replay", None)
        if replay is not None:
            plain = HttpResponse(replay.body, status=replay.status_code, content_type="application/json")
            plain["Idempotency-Replayed"] = "true"
            return plain
        if self._claim is not None:
            body = final.render().content if isinstance(final, Response) else b""
            idempotency.finish(self._claim, final.status_code, body)
            self._claim = None
        return final

    # What views call

    def validated(self, serializer: type[BaseSerializer[Any]], request: Request, **kwargs: Any) -> dict[str, Any]:
        """The body's fields in snake_case; problems become a 400 with every field named."""
        if not isinstance(request.data, dict) and not hasattr(request.data, "getlist"):
            raise ValidationFailed("Send a JSON object.", code="bad_json")
        checked = serializer(data=request.data, context={"request": request}, **kwargs)
        checked.is_valid(raise_exception=True)
        return dict(checked.validated_data)

    def success(self, data: Any = None, message: str = "") -> Response:
        """200 in the envelope."""
        return Response({"status": "success", "message": message, "data": data})

    def page(
        self,
        request: Request,
        queryset: models.QuerySet[Any],
        serializer: type[BaseSerializer[Any]],
        *,
        filterset: type[ApiFilterSet] | None = None,
        message: str = "",
        wrap: Callable[[Any], Any] | None = None,
        total: int | None = None,
    ) -> Response:
        """One page of a visible queryset, filtered strictly, with the paging headers.

        Args:
            wrap: puts the list into an object where the contract wants one.
        """
        if filterset is not None:
            filters = filterset(filterset.normalise(request.query_params), queryset=queryset, request=request)
            queryset = filters.strict_queryset(extra=self.query_params)
        else:
            self.refuse_unknown(request, {"limit", "offset"})
        where = pagination.window(request._request)
        count = queryset.count() if total is None else total
        rows = list(queryset[where.offset : where.offset + where.limit])
        data = serializer(rows, many=True, context={"request": request}).data
        response = self.success(wrap(data) if wrap else data, message)
        return pagination.add_headers(response, request._request, where, count)

    def refuse_unknown(self, request: Request, known: set[str] | None = None) -> None:
        """400 for query parameters that nobody reads.

        Raises:
            ValidationFailed: naming each.
        """
        names = {*self.query_params, *(known or set())}
        unknown = [name for name in request.query_params if snake(name) not in names]
        if unknown:
            shown = ", ".join(sorted(camel(name) for name in names)) or "none"
            errors = [
                FieldError(name, "unknown_parameter", f"There is no parameter {name}. Known: {shown}.")
                for name in unknown
            ]
            raise ValidationFailed(errors[0].message, errors=errors)

    def param(self, request: Request, name: str, kind: Callable[[str], T], default: T) -> T:
        """A query parameter in either spelling.

        Raises:
            ValidationFailed: it does not parse.
        """
        text = request.query_params.get(camel(name)) or request.query_params.get(name)
        if text is None or text == "":
            return default
        try:
            return kind(text)
        except (ValueError, TypeError, ArithmeticError) as error:
            raise ValidationFailed.field(
                camel(name), "invalid", f"{camel(name)}={text[:60]!r} is not usable."
            ) from error


class UnknownPathView(ApiView):
    """404 in the envelope for every path nobody serves."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Any verb."""
        raise NotFound(f"There is nothing at {request.path}. The addresses are listed at /api/docs/.")


def unknown_path(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    """The catch-all under ``/llm-ops/v1``."""
    return UnknownPathView.as_view()(request, *args, **kwargs)
