"""What serving tells the apps below it: who answers for its workloads, and what the catalog may show of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import Q

from apps.catalog.types import Blocker, ModelStatus, Panel
from apps.core import audit, clock
from apps.core.permissions import can
from apps.core.tasks import enqueue
from apps.governance.services import notices_send
from apps.serving.models import Endpoint, EndpointRevision
from apps.serving.selectors import LINEAGE_KIND, endpoints_of_model
from apps.serving.services.revisions import FOLLOW
from apps.serving.types import RevisionStatus

STOP = "apps.serving.tasks.endpoint_stop_lapsed"

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.catalog.models import ModelEntry
    from apps.compute.models import Workload


def workload_changed(workload: Workload, previous_state: str) -> None:
    """A workload of ours changed: have its endpoint looked at, once this transaction is over.

    Only a message is sent here: taking the endpoint's lock while the workload's is held would invite deadlocks.
    """
    endpoint_id = EndpointRevision.objects.filter(pk=workload.owner_id).values_list("endpoint_id", flat=True).first()
    if endpoint_id is not None:
        enqueue(FOLLOW, str(endpoint_id))


def model_lapsed(model: ModelEntry, reason: str) -> None:
    """A model's approval lapsed, or it was deprecated: owners of its endpoints are told; by setting those are stopped.

    What runs keeps its loaded weights; only the settings' environments end it. Nothing new is deployed either way.
    """
    endpoints = Endpoint.objects.filter(Q(active__model=model) | Q(wanted__model=model), delete_requested_at=None)
    for endpoint in endpoints.distinct():
        stops = _is_stopped_by_lapse(endpoint, model)
        follow = "It is being stopped." if stops else "It keeps answering; deploy an approved version instead."
        notices_send(
            recipients={endpoint.created_by_id, *endpoint.revisions.values_list("created_by_id", flat=True)},
            about=endpoint,
            key=f"endpoint_model_lapsed:{endpoint.pk}:{model.pk}:{clock.now().isoformat()}",
            tone="danger" if stops else "warning",
            title=f"{endpoint} serves a model that is no longer approved",
            text=f"{model.name} {model.version}: {reason} {follow}",
            url=endpoint.get_absolute_url(),
        )
        audit.record(
            actor=None,
            action="serving.endpoint.model_lapsed",
            resource=endpoint,
            metadata={"model_id": str(model.pk), "reason": reason, "stops": stops},
        )
        if stops:
            enqueue(STOP, str(endpoint.pk))


def _is_stopped_by_lapse(endpoint: Endpoint, model: ModelEntry) -> bool:
    """A deprecated model is only at the end of its life; what lapsed must not be trusted any more."""
    if model.status == ModelStatus.DEPRECATED or endpoint.stop_requested:
        return False
    return endpoint.environment in settings.CATALOG_LAPSE_STOPS


def billed_endpoint(workload: Workload) -> object:
    """What a revision's process uses is the endpoint's cost, like the tokens of its calls."""
    return EndpointRevision.objects.filter(pk=workload.owner_id).values_list("endpoint_id", flat=True).first()


def delete_blockers(model: ModelEntry) -> Iterable[Blocker]:
    """Endpoints that serve a model, or could be rolled back to it, keep it from being deleted."""
    used = EndpointRevision.objects.filter(model=model).exclude(status=RevisionStatus.FAILED)
    for endpoint in Endpoint.objects.filter(pk__in=used.values("endpoint_id")):
        yield Blocker(kind=LINEAGE_KIND, id=str(endpoint.pk), label=str(endpoint))


def deployments_panel(actor: User, model: ModelEntry) -> Panel | None:
    """The endpoints of a model, on its page."""
    return Panel(
        title="Deployments",
        template="serving/_model_panel.html",
        context={
            "endpoints": list(endpoints_of_model(actor, model.pk)),
            "model": model,
            "may_deploy": can(actor, "serving_endpoint.deploy"),
        },
        order=30,
    )
