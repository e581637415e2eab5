"""What serving tells the apps below it: who answers for its workloads, and what the catalog may show of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from apps.catalog.types import Blocker, Panel
from apps.core.permissions import can
from apps.core.tasks import enqueue
from apps.serving.models import Endpoint, EndpointRevision
from apps.serving.selectors import LINEAGE_KIND, endpoints_of_model
from apps.serving.services.revisions import FOLLOW
from apps.serving.types import RevisionStatus

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
