"""Lineage and impact of models and datasets. Datasets are asked here, because what was made of them lives up here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rest_framework import serializers
from rest_framework.response import Response

from apps.catalog import selectors
from apps.catalog.api.serializers import LineageGraphSerializer
from apps.catalog.lineage import DEPTH_LIMIT, Key
from apps.catalog.types import Direction
from apps.core.api.schema import api_schema
from apps.core.api.serializers import ApiSerializer
from apps.core.api.views import ApiRequest, ApiView
from apps.core.errors import ValidationFailed

RootOf = Callable[..., Key]


class DependentSerializer(ApiSerializer):
    """Something that depends on the asked thing and that the caller may see."""

    kind = serializers.CharField()
    id = serializers.CharField()
    status = serializers.CharField(allow_blank=True)
    url = serializers.CharField(allow_blank=True)

    def get_fields(self) -> Any:
        """``label`` is the name of an attribute that every field has, so it is added here."""
        return {**super().get_fields(), "label": serializers.CharField()}


class ImpactSerializer(ApiSerializer):
    """What depends on a thing, at any depth; ``hidden`` counts what the caller may not see."""

    total = serializers.IntegerField()
    hidden = serializers.IntegerField()
    counts = serializers.DictField(child=serializers.IntegerField())
    dependents = DependentSerializer(many=True, source="nodes")
    truncated = serializers.BooleanField()


def depth_of(text: str | None) -> int:
    """The asked number of steps. Raises ``ValidationFailed`` on field ``depth``."""
    if not text:
        return DEPTH_LIMIT
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:6]) <= DEPTH_LIMIT:
        raise ValidationFailed.field("depth", "invalid", f"depth must be a whole number from 1 to {DEPTH_LIMIT}.")
    return int(text)


def direction_of(text: str | None) -> Direction:
    """The asked direction. Raises ``ValidationFailed`` on field ``direction``."""
    if not text:
        return Direction.BOTH
    if text not in set(Direction):
        raise ValidationFailed.field(
            "direction",
            "invalid_choice",
            "direction must be up (what it was made of), down (what was made of it) or both.",
        )
    return Direction(text)


class _LineageView(ApiView):
    """Where a thing comes from and what was made of it."""

    query_params = frozenset({"depth", "direction"})
    root: RootOf

    @api_schema(summary="Lineage", responses=LineageGraphSerializer, params=("depth", "direction"))
    def get(self, request: ApiRequest, object_id: str) -> Response:
        """Any depth, unless ``depth`` limits it; what the caller may not see keeps its place without a name."""
        self.refuse_unknown(request)
        depth, direction = (request.query_params.get(name) for name in ("depth", "direction"))
        graph = selectors.lineage_graph(
            request.user,
            type(self).root(actor=request.user, object_id=object_id),
            depth=depth_of(depth),
            direction=direction_of(direction),
        )
        return self.success(LineageGraphSerializer(graph).data)


class _ImpactView(ApiView):
    """What depends on a thing."""

    root: RootOf

    @api_schema(summary="What depends on this", responses=ImpactSerializer)
    def get(self, request: ApiRequest, object_id: str) -> Response:
        """Before it is deprecated, withdrawn or deleted."""
        self.refuse_unknown(request)
        found = selectors.impact(request.user, type(self).root(actor=request.user, object_id=object_id))
        return self.success(ImpactSerializer(found).data)


class ModelLineageView(_LineageView):
    """Of a model."""

    root = staticmethod(selectors.model_key)


class DatasetLineageView(_LineageView):
    """Of a dataset."""

    root = staticmethod(selectors.dataset_key)


class ModelImpactView(_ImpactView):
    """Of a model."""

    root = staticmethod(selectors.model_key)


class DatasetImpactView(_ImpactView):
    """Of a dataset."""

    root = staticmethod(selectors.dataset_key)
