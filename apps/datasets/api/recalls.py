"""``POST /catalog/datasets/{id}/recall``."""

from __future__ import annotations

from rest_framework import serializers
from rest_framework.response import Response

from apps.core.api.schema import api_schema
from apps.core.api.serializers import ApiSerializer
from apps.core.api.views import ApiRequest, ApiView
from apps.datasets import selectors
from apps.datasets.api.serializers import DatasetDetailSerializer
from apps.datasets.services.recalls import dataset_recall


class RecallSerializer(ApiSerializer):
    """Why."""

    reason = serializers.CharField(max_length=1000)


class DatasetRecallView(ApiView):
    """Taking back an approval."""

    @api_schema(summary="Recall an approved dataset", request=RecallSerializer, responses=DatasetDetailSerializer)
    def post(self, request: ApiRequest, dataset_id: str) -> Response:
        """It is a draft again; models that were made of it lose their approval."""
        data = self.validated(RecallSerializer, request)
        dataset_recall(actor=request.user, dataset_id=dataset_id, **data)
        dataset = selectors.dataset_get(actor=request.user, dataset_id=dataset_id)
        shape = DatasetDetailSerializer(dataset, context={"request": request})
        return self.success(shape.data, f"{dataset} is recalled; it is a draft again.")
