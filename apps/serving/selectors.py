"""Reading endpoints. Every list, picker, page and API view begins here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import Case, IntegerField, Q, QuerySet, Value, When

from apps.accounts.models import User
from apps.catalog.types import LineageNode
from apps.compute.selectors import workloads_of
from apps.core.permissions import visible_to
from apps.core.transitions import get_or_not_found
from apps.serving.models import Endpoint, EndpointRevision, HealthCheck
from apps.serving.types import ENVIRONMENT_ORDER

if TYPE_CHECKING:
    from apps.compute.models import Workload

OWNER_TYPE = "endpoint_revision"
LINEAGE_KIND = "serving_endpoint"
#: A deleted endpoint is gone for everybody while its processes end; if they do not, it comes back and says so.
_PRESENT = Q(delete_requested_at=None) | ~Q(delete_problem="")


def endpoints_visible_to(actor: User | None) -> QuerySet[Endpoint]:
    """The endpoints that exist for ``actor``, newest first, with what lists show."""
    return visible_to(actor, Endpoint.objects.filter(_PRESENT)).select_related(
        "team", "model", "created_by", "wanted__model", "active__model"
    )


def endpoint_get(*, actor: User | None, endpoint_id: UUID | str) -> Endpoint:
    """One visible endpoint. Raises ``NotFound`` for absent, invisible and malformed ids alike."""
    return get_or_not_found(endpoints_visible_to(actor), endpoint_id, "endpoint")


def endpoint_resolve(route: str, environment: str | None = None) -> Endpoint | None:
    """The endpoint at a bare route, whoever may see it: of that environment, else prod, then stg, then dev."""
    found = Endpoint.objects.filter(route=route, delete_requested_at=None)
    if environment is not None:
        found = found.filter(environment=environment)
    return found.order_by(environment_rank()).first()


def environment_rank() -> Case:
    """Orders by the sequence in which calls look for a route."""
    return Case(
        *(When(environment=name, then=Value(rank)) for rank, name in enumerate(ENVIRONMENT_ORDER)),
        output_field=IntegerField(),
    )


def endpoint_revisions(endpoint: Endpoint) -> QuerySet[EndpointRevision]:
    """The whole deployment history, newest first."""
    return endpoint.revisions.select_related("created_by", "model").order_by("-number")


def endpoint_health_checks(endpoint: Endpoint, limit: int = 20) -> QuerySet[HealthCheck]:
    """The newest health checks."""
    return endpoint.health_checks.order_by("-checked_at")[:limit]


def revision_workload(revision: EndpointRevision | None) -> Workload | None:
    """The newest workload of a revision; visibility was decided for the endpoint."""
    if revision is None:
        return None
    return workloads_of(OWNER_TYPE, revision.pk).first()


def endpoints_of_model(actor: User | None, model_id: UUID) -> QuerySet[Endpoint]:
    """The visible endpoints that serve, or are to serve, a model."""
    return endpoints_visible_to(actor).filter(model_id=model_id)


def lineage_nodes(actor: User | None, ids: Collection[UUID]) -> Mapping[UUID, LineageNode]:
    """Endpoints as nodes of the catalog's lineage graph."""
    return {
        endpoint.pk: LineageNode(
            kind=LINEAGE_KIND,
            id=str(endpoint.pk),
            label=str(endpoint),
            url=endpoint.get_absolute_url(),
            status=endpoint.status,
        )
        for endpoint in endpoints_visible_to(actor).filter(pk__in=ids)
    }
