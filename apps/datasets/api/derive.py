"""``/catalog/datasets/{id}/split`` and ``…/repair``: new datasets made out of one."""

from __future__ import annotations

from typing import Any

from rest_framework.response import Response

from apps.core.api.schema import api_schema
from apps.core.api.views import ApiRequest, ApiView
from apps.datasets import selectors, services
from apps.datasets.api import serializers as shapes
from apps.datasets.services import Derived


def _answer(request: ApiRequest, done: Derived) -> tuple[Any, str]:
    """The shape of what came of it, and what to say."""
    data = {
        "source_id": done.source.pk,
        "operation_id": done.operation.pk if done.operation else None,
        "datasets": list(done.datasets),
    }
    shape = shapes.DerivedSerializer(data, context={"request": request}).data
    if done.operation is not None:
        return shape, f"{done.source} is large: a worker makes the new datasets; follow the operation."
    return shape, f"Made {', '.join(str(one) for one in done.datasets)}; the checks have started."


class DatasetSplitView(ApiView):
    """Train, validation and test parts."""

    @api_schema(
        summary="Split into train, validation and test",
        request=shapes.SplitSerializer,
        responses=shapes.DerivedSerializer,
    )
    def post(self, request: ApiRequest, dataset_id: str) -> Response:
        """Each part is a new draft named ``<name>-train`` (validation, test), fixed by the seed, with lineage."""
        fields = self.validated(shapes.SplitSerializer, request)
        done = services.dataset_split(actor=request.user, dataset_id=dataset_id, **fields)
        return self.success(*_answer(request, done))


class DatasetRepairView(ApiView):
    """Repairs as new versions."""

    @api_schema(summary="What could be repaired", responses=shapes.RepairOfferSerializer, many=True)
    def get(self, request: ApiRequest, dataset_id: str) -> Response:
        """Each repair that would change something, with the number of rows; of a large dataset when its checks are
        done."""
        self.refuse_unknown(request)
        offers = services.dataset_repairs(actor=request.user, dataset_id=dataset_id)
        dataset = selectors.dataset_get(actor=request.user, dataset_id=dataset_id)
        awaited = "" if offers else services.repairs_awaited(dataset)
        return self.success(shapes.RepairOfferSerializer(offers, many=True).data, awaited)

    @api_schema(summary="Repair as a new version", request=shapes.RepairSerializer, responses=shapes.DerivedSerializer)
    def post(self, request: ApiRequest, dataset_id: str) -> Response:
        """Drop repeated rows, drop rows that lack values, give columns their type, or mask personal data."""
        fields = self.validated(shapes.RepairSerializer, request)
        done = services.dataset_repair(actor=request.user, dataset_id=dataset_id, **fields)
        return self.success(*_answer(request, done))
