"""Retention and deletion of datasets."""

from __future__ import annotations

from rest_framework.response import Response

from apps.core.api.schema import api_schema
from apps.core.api.views import ApiRequest, ApiView
from apps.datasets import selectors, services
from apps.datasets.api import keeping_shapes as shapes
from apps.datasets.api.serializers import DatasetDetailSerializer


class DatasetDeletionView(ApiView):
    """What deleting a dataset would do."""

    @api_schema(summary="What deleting would do", responses=shapes.DeletionPlanSerializer)
    def get(self, request: ApiRequest, dataset_id: str) -> Response:
        """Blockers, datasets that were made from it (they stay), files and bytes."""
        self.refuse_unknown(request)
        plan = services.dataset_deletion_plan(actor=request.user, dataset_id=dataset_id)
        return self.success(shapes.DeletionPlanSerializer(plan).data)


class DatasetRetentionView(ApiView):
    """How long an approved dataset is kept."""

    @api_schema(summary="Extend the retention", request=shapes.RetentionSerializer, responses=DatasetDetailSerializer)
    def post(self, request: ApiRequest, dataset_id: str) -> Response:
        """By a reviewer who is no author of it, with a reason."""
        fields = self.validated(shapes.RetentionSerializer, request)
        dataset = services.retention_extend(actor=request.user, dataset_id=dataset_id, **fields)
        shape = DatasetDetailSerializer(dataset, context={"request": request}).data
        return self.success(shape, f"{dataset} is kept until {dataset.retention_until}.")


class TombstoneListView(ApiView):
    """What is known of deleted datasets."""

    @api_schema(summary="Deleted datasets", responses=shapes.TombstoneSerializer, many=True)
    def get(self, request: ApiRequest) -> Response:
        """Of the caller's teams, the last deleted first; with the proof that their files are gone."""
        return self.page(request, selectors.tombstones_visible_to(request.user), shapes.TombstoneSerializer)
