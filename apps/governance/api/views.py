"""Policies and approvals under ``/governance``."""

from __future__ import annotations

from typing import Any

from rest_framework.response import Response

from apps.accounts.selectors import team_resolve
from apps.core.api.schema import api_schema
from apps.core.api.views import ApiRequest, ApiView
from apps.core.errors import NotFound, ValidationFailed
from apps.governance import selectors, services
from apps.governance.api import serializers as shapes
from apps.governance.filters import ApprovalFilter, PolicyFilter


def _with_team(request: ApiRequest, data: dict[str, Any]) -> dict[str, Any]:
    """`owner_team` (slug, name or id) as a team; empty means every team."""
    if "owner_team" in data:
        name = data.pop("owner_team")
        data["team"] = (
            team_resolve(actor=request.user, value=name, action="policy.change", field="ownerTeam") if name else None
        )
    return data


class PolicyListView(ApiView):
    """Policies."""

    @api_schema(summary="Policies", responses=shapes.PolicySerializer, many=True, filterset=PolicyFilter)
    def get(self, request: ApiRequest) -> Response:
        """By name."""
        found = selectors.policies_visible_to(request.user)
        return self.page(request, found, shapes.PolicySerializer, filterset=PolicyFilter)

    @api_schema(summary="Write a policy", request=shapes.PolicyCreateSerializer, responses=shapes.PolicySerializer)
    def post(self, request: ApiRequest) -> Response:
        """As draft, unless told otherwise."""
        data = _with_team(request, self.validated(shapes.PolicyCreateSerializer, request))
        policy = services.policy_create(actor=request.user, **data)
        return self.success(shapes.PolicySerializer(policy).data, f"Policy '{policy.name}' created.")


class PolicyDetailView(ApiView):
    """One policy."""

    @api_schema(summary="One policy", responses=shapes.PolicySerializer)
    def get(self, request: ApiRequest, policy_id: str) -> Response:
        """With its rules as they were sent."""
        self.refuse_unknown(request)
        policy = selectors.policy_get(actor=request.user, policy_id=policy_id)
        return self.success(shapes.PolicySerializer(policy).data)

    @api_schema(summary="Change a policy", request=shapes.PolicyChangeSerializer, responses=shapes.PolicySerializer)
    def put(self, request: ApiRequest, policy_id: str) -> Response:
        """Also its status: draft → active → retired."""
        selectors.policy_get(actor=request.user, policy_id=policy_id)
        data = _with_team(request, self.validated(shapes.PolicyChangeSerializer, request))
        policy = services.policy_change(actor=request.user, policy_id=policy_id, **data)
        return self.success(shapes.PolicySerializer(policy).data, f"Policy '{policy.name}' changed.")

    @api_schema(summary="Delete a policy")
    def delete(self, request: ApiRequest, policy_id: str) -> Response:
        """The audit trail keeps its content."""
        policy = selectors.policy_get(actor=request.user, policy_id=policy_id)
        services.policy_delete(actor=request.user, policy_id=policy_id)
        return self.success(None, f"Policy '{policy.name}' deleted.")


class PolicySimulateView(ApiView):
    """Trying a policy on before it counts."""

    @api_schema(
        summary="What would this policy say?",
        request=shapes.PolicySimulateSerializer,
        responses=shapes.PolicyDecisionSerializer,
    )
    def post(self, request: ApiRequest, policy_id: str) -> Response:
        """Whatever its status; nothing is changed."""
        policy = selectors.policy_get(actor=request.user, policy_id=policy_id)
        data = self.validated(shapes.PolicySimulateSerializer, request)
        name = data.pop("owner_team")
        team = team_resolve(actor=request.user, value=name, action="policy.view", field="ownerTeam") if name else None
        decision = services.policy_simulate(actor=request.user, policy_id=policy.pk, team=team, **data)
        return self.success(shapes.PolicyDecisionSerializer(decision).data, decision.explanation)


class ApprovalListView(ApiView):
    """The queue."""

    query_params = frozenset({"waiting"})

    @api_schema(
        summary="Requests for approval",
        responses=shapes.ApprovalSerializer,
        many=True,
        filterset=ApprovalFilter,
        params=["waiting"],
    )
    def get(self, request: ApiRequest) -> Response:
        """Newest first; `waiting=true`: what waits for the caller, most urgent first."""
        waiting = self.param(request, "waiting", _boolean, False)
        found = (
            selectors.approvals_waiting_for(request.user) if waiting else selectors.approvals_visible_to(request.user)
        )
        return self.page(
            request, found.prefetch_related("decisions__actor"), shapes.ApprovalSerializer, filterset=ApprovalFilter
        )

    @api_schema(
        summary="Ask for an approval", request=shapes.ApprovalCreateSerializer, responses=shapes.ApprovalSerializer
    )
    def post(self, request: ApiRequest) -> Response:
        """The gates of submission must pass."""
        data = self.validated(shapes.ApprovalCreateSerializer, request)
        try:
            made = services.approval_request(actor=request.user, **data)
        except NotFound as error:
            # In a body, what does not exist for the caller is a fault of the field.
            raise ValidationFailed.field("subjectId", "unknown", error.message) from error
        return self.success(self._shape(request, made.pk), f"{made.title} waits for a decision.")

    def _shape(self, request: ApiRequest, approval_id: Any) -> Any:
        found = selectors.approval_get(actor=request.user, approval_id=approval_id)
        return shapes.ApprovalSerializer(found, context={"request": request}).data


class ApprovalDetailView(ApprovalListView):
    """One request."""

    query_params = frozenset()
    http_method_names = ["get", "head", "options"]

    @api_schema(summary="One request for approval", responses=shapes.ApprovalSerializer)
    def get(self, request: ApiRequest, approval_id: str = "") -> Response:
        """With gates, decisions and whether the caller may decide."""
        self.refuse_unknown(request)
        return self.success(self._shape(request, approval_id))


class ApprovalDecisionView(ApprovalListView):
    """A decision."""

    query_params = frozenset()
    http_method_names = ["post", "options"]

    @api_schema(
        summary="Approve, reject or request changes",
        request=shapes.ApprovalDecideSerializer,
        responses=shapes.ApprovalSerializer,
    )
    def post(self, request: ApiRequest, approval_id: str = "") -> Response:
        """Never about the own thing."""
        found = selectors.approval_get(actor=request.user, approval_id=approval_id)
        data = self.validated(shapes.ApprovalDecideSerializer, request)
        decided = services.approval_decide_request(actor=request.user, request_id=found.pk, **data)
        status = decided.get_status_display().lower()
        return self.success(self._shape(request, decided.pk), f"{decided.title}: {status}.")


class ApprovalWithdrawView(ApprovalListView):
    """Taking a request back."""

    query_params = frozenset()
    http_method_names = ["post", "options"]

    @api_schema(summary="Withdraw a request for approval", responses=shapes.ApprovalSerializer)
    def post(self, request: ApiRequest, approval_id: str = "") -> Response:
        """Only who asked may."""
        found = selectors.approval_get(actor=request.user, approval_id=approval_id)
        services.approval_withdraw(actor=request.user, kind=found.kind, subject_id=found.subject_id)
        return self.success(self._shape(request, found.pk), f"{found.title}: withdrawn.")


def _boolean(text: str) -> bool:
    values = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in values:
        raise ValueError(text)
    return values[text.lower()]
