"""Pages of endpoints. They ask selectors and services and decide nothing."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import reverse

from apps.core.permissions import can
from apps.core.web.views import ServiceActionView, ServiceFormView, VisibleDetailView, VisibleListView
from apps.governance.selectors.audit import audit_history
from apps.governance.selectors.costs import cost_for_resource
from apps.serving import selectors, services
from apps.serving.deployments import deployment_state
from apps.serving.filters import EndpointFilter
from apps.serving.forms import DeployForm, RedeployForm
from apps.serving.models import Endpoint
from apps.serving.types import EndpointStatus

_BUSY = (EndpointStatus.DEPLOYING,)
_CHECKS_SHOWN = 12


class EndpointListView(VisibleListView):
    """All endpoints that exist for the person."""

    template_name = "serving/endpoint_list.html"
    filterset_class = EndpointFilter
    shown_filters = ("q", "environment", "status", "owner_team")

    def get_visible(self) -> QuerySet[Endpoint]:
        """Through the selector."""
        return selectors.endpoints_visible_to(self.actor)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Adds whether one may deploy, and whether the list should refresh itself."""
        context = super().get_context_data(**kwargs)
        context["may_deploy"] = can(self.actor, "serving_endpoint.deploy")
        context["busy"] = any(endpoint.status in _BUSY for endpoint in context["object_list"])
        return context


class EndpointDetailView(VisibleDetailView):
    """Everything about one endpoint."""

    template_name = "serving/endpoint_detail.html"
    fragments = ("status", "revisions")
    context_object_name = "endpoint"

    def get_object(self) -> Endpoint:
        """Through the selector."""
        return selectors.endpoint_get(actor=self.actor, endpoint_id=self.kwargs["pk"])

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Only what the asked part needs."""
        context = super().get_context_data(**kwargs)
        endpoint: Endpoint = self.object
        workload = selectors.revision_workload(endpoint.wanted)
        context |= {
            "workload": workload,
            "busy": endpoint.status in _BUSY
            or (workload is not None and endpoint.status == "stopped" and workload.is_active),
            "checks": list(selectors.endpoint_health_checks(endpoint, _CHECKS_SHOWN)),
            "revisions": list(selectors.endpoint_revisions(endpoint)[:50]),
            "may_deploy": can(self.actor, "serving_endpoint.deploy", endpoint),
            "may_rollback": can(self.actor, "serving_endpoint.rollback", endpoint),
            "may_stop": can(self.actor, "serving_endpoint.stop", endpoint),
            "may_delete": can(self.actor, "serving_endpoint.delete", endpoint),
            "may_invoke": can(self.actor, "serving_endpoint.invoke", endpoint),
        }
        earlier = [row for row in context["revisions"] if row.ready_at and row.pk != endpoint.wanted_id]
        context["may_rollback"] = context["may_rollback"] and bool(earlier)
        if self.request.headers.get("HX-Target") not in self.fragments:
            context |= self._rest(endpoint)
        return context

    def _rest(self, endpoint: Endpoint) -> dict[str, Any]:
        spec = endpoint.wanted.spec if endpoint.wanted is not None else {}
        facts = [
            ("Team", endpoint.team.name),
            ("Shared with", "the organisation" if endpoint.visibility == "organisation" else "its team"),
            ("Model server", deployment_state(endpoint)["framework_status"]["label"]),
            ("Image", spec.get("image", "")),
            ("Replicas", f"{endpoint.min_replicas} to {endpoint.max_replicas}"),
            ("Rollback plan", endpoint.rollback_plan),
            ("Deployed by", endpoint.created_by.display_name if endpoint.created_by else "system"),
        ]
        if not endpoint.model.is_external:
            facts[4:4] = [
                ("CPU", f"{spec.get('cpu_request')} to {spec.get('cpu_limit')}"),
                ("Memory", f"{spec.get('memory_request')} to {spec.get('memory_limit')}"),
                ("GPU", str(spec.get("gpu_count")) if spec.get("use_gpu") else "none"),
            ]
        see_costs = can(self.actor, "cost.view", team=endpoint.team)
        return {
            "facts": facts,
            "cost": cost_for_resource("serving", endpoint.pk, actor=self.actor) if see_costs else None,
            "history": [_history_item(event) for event in audit_history(self.actor, "serving_endpoint", endpoint.pk)],
            "base_url": f"{self.request.scheme}://{self.request.get_host()}",
        }


def _history_item(event: Any) -> dict[str, Any]:
    denied = event.result == "denied"
    words = event.action.removeprefix("serving.").removeprefix("governance.").replace(".", " ").replace("_", " ")
    return {
        "title": words.capitalize(),
        "at": event.occurred_at,
        "who": event.who,
        "tone": "danger" if denied else "neutral",
        "icon": "shield-x" if denied else "point",
        "text": event.metadata.get("reason", ""),
    }


class EndpointCreateView(ServiceFormView):
    """Deploy a model to a new route; ``?model=`` chooses it."""

    template_name = "serving/endpoint_form.html"
    form_class = DeployForm
    success_message = "Accepted. The model is being deployed."

    def get_form_kwargs(self) -> dict[str, Any]:
        """With the person, for the pickers."""
        return {**super().get_form_kwargs(), "actor": self.actor}

    def get_initial(self) -> dict[str, Any]:
        """The model that the link named."""
        return {**super().get_initial(), "model_id": self.request.GET.get("model", "")}

    def perform(self, form: DeployForm) -> Endpoint:
        """One service."""
        return services.endpoint_deploy(actor=self.actor, **form.options())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Whether there is anything to deploy."""
        context = super().get_context_data(**kwargs)
        context["nothing"] = len(context["form"].fields["model_id"].choices) < 2
        return context


class EndpointRedeployView(ServiceFormView):
    """A new revision with what changes."""

    template_name = "serving/endpoint_redeploy.html"
    form_class = RedeployForm
    success_message = "A new revision is being deployed."

    def get_form_kwargs(self) -> dict[str, Any]:
        """With the person, for the pickers."""
        return {**super().get_form_kwargs(), "actor": self.actor}

    def get_initial(self) -> dict[str, Any]:
        """What it runs with now."""
        wanted = self._endpoint().wanted
        spec = wanted.spec if wanted is not None else {}
        names = ("cpu_request", "cpu_limit", "memory_request", "memory_limit", "use_gpu")
        return {
            **super().get_initial(),
            **{name: spec.get(name) for name in names},
            "serving_framework": spec.get("framework"),
        }

    def _endpoint(self) -> Endpoint:
        if not hasattr(self, "_found"):
            self._found = selectors.endpoint_get(actor=self.actor, endpoint_id=self.kwargs["pk"])
        return self._found

    def perform(self, form: RedeployForm) -> Endpoint:
        """One service."""
        return services.endpoint_redeploy(actor=self.actor, endpoint_id=self.kwargs["pk"], **form.options())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """With the endpoint."""
        return {**super().get_context_data(**kwargs), "endpoint": self._endpoint()}


class EndpointRollbackView(ServiceActionView):
    """Back to the previous revision, or to the one named."""

    success_message = "Rolling back."

    def perform(self) -> Endpoint:
        """One service."""
        number = self.request.POST.get("revision", "")
        return services.endpoint_rollback(
            actor=self.actor,
            endpoint_id=self.kwargs["pk"],
            revision=int(number) if number.isdigit() else None,
        )


class EndpointStopView(ServiceActionView):
    """End its processes, keep its record."""

    success_message = "The endpoint is stopped."

    def perform(self) -> Endpoint:
        """One service."""
        return services.endpoint_stop(actor=self.actor, endpoint_id=self.kwargs["pk"])


class EndpointStartView(ServiceActionView):
    """Start a stopped or failed endpoint as it was."""

    success_message = "The endpoint is being started."

    def perform(self) -> Endpoint:
        """One service."""
        return services.endpoint_redeploy(actor=self.actor, endpoint_id=self.kwargs["pk"])


class EndpointDeleteView(ServiceActionView):
    """End its processes and remove it."""

    success_message = "The endpoint is deleted."

    def perform(self) -> None:
        """One service."""
        services.endpoint_delete(actor=self.actor, endpoint_id=self.kwargs["pk"])

    def get_success_url(self) -> str:
        """Its own page is gone."""
        return reverse("serving:endpoint-list")
