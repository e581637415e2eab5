"""Shapes of the governance API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.accounts.api.fields import TeamSlugField, UsernameField
from apps.core.api.serializers import ApiSerializer, StrictJSONObject
from apps.core.models import AuditEvent
from apps.governance.models import ApprovalRequest
from apps.governance.selectors import may_decide
from apps.governance.types import ApprovalStatus, CostResource, PolicyScope, PolicyStatus, UsageKind


@extend_schema_field(OpenApiTypes.DOUBLE)
class AmountField(serializers.ReadOnlyField):
    """Money and quantities as JSON numbers; six places are more than any bill shows."""

    def to_representation(self, value: Any) -> float | None:
        """A number."""
        return None if value is None else round(float(value), 6)


class PolicySerializer(ApiSerializer):
    """A policy."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    scope = serializers.ChoiceField(choices=PolicyScope.choices)
    owner_team = TeamSlugField(source="team")
    rules = serializers.JSONField()
    status = serializers.ChoiceField(choices=PolicyStatus.choices)
    version = serializers.IntegerField()
    review_due = serializers.DateTimeField()
    activated_at = serializers.DateTimeField(allow_null=True)
    created_by = UsernameField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class PolicyCreateSerializer(ApiSerializer):
    """A new policy."""

    name = serializers.CharField(max_length=200)
    scope = serializers.ChoiceField(choices=PolicyScope.choices)
    rules = StrictJSONObject(default=dict)
    description = serializers.CharField(default="", allow_blank=True)
    owner_team = serializers.CharField(default=None, allow_null=True, allow_blank=True)
    status = serializers.ChoiceField(choices=PolicyStatus.choices, default=PolicyStatus.DRAFT)


class PolicyChangeSerializer(ApiSerializer):
    """What changes; fields that are not sent stay."""

    name = serializers.CharField(max_length=200, required=False)
    scope = serializers.ChoiceField(choices=PolicyScope.choices, required=False)
    rules = StrictJSONObject(required=False)
    description = serializers.CharField(required=False, allow_blank=True)
    owner_team = serializers.CharField(required=False, allow_null=True, allow_blank=True)
    status = serializers.ChoiceField(choices=PolicyStatus.choices, required=False)


class PolicySimulateSerializer(ApiSerializer):
    """An attempt to try a policy on."""

    action = serializers.CharField(help_text="Such as dataset.upload.")
    username = serializers.CharField(default="", allow_blank=True, help_text="Default: the caller.")
    owner_team = serializers.CharField(default=None, allow_null=True, allow_blank=True)
    resource = StrictJSONObject(default=dict, help_text="Attributes of the thing; what is left out is empty.")
    parameters = StrictJSONObject(default=dict)


class PolicyDecisionSerializer(ApiSerializer):
    """What a policy says."""

    allowed = serializers.BooleanField()
    explanation = serializers.CharField()


# Written as a call because a class attribute `label` means something else to serializers.
GateSerializer: type[ApiSerializer] = type(
    "GateSerializer",
    (ApiSerializer,),
    {
        "__doc__": "One check.",
        "key": serializers.CharField(),
        "label": serializers.CharField(),
        "passed": serializers.BooleanField(),
        "reason": serializers.CharField(allow_blank=True),
        "remedy": serializers.CharField(allow_blank=True),
    },
)


class ApprovalDecisionSerializer(ApiSerializer):
    """One reviewer's word."""

    actor = UsernameField()
    actor_id = serializers.UUIDField()
    decision = serializers.CharField()
    notes = serializers.CharField(allow_blank=True)
    digest = serializers.CharField()
    at = serializers.DateTimeField()


class ApprovalSerializer(ApiSerializer):
    """A request for approval."""

    id = serializers.UUIDField()
    kind = serializers.CharField()
    subject_id = serializers.UUIDField()
    title = serializers.CharField()
    status = serializers.ChoiceField(choices=ApprovalStatus.choices)
    owner_team = TeamSlugField(source="team")
    submitted_by = UsernameField(source="created_by")
    notes = serializers.CharField(allow_blank=True)
    digest = serializers.CharField()
    quorum = serializers.IntegerField()
    gates = GateSerializer(many=True)
    decision_gates = GateSerializer(many=True)
    decisions = ApprovalDecisionSerializer(many=True)
    may_decide = serializers.SerializerMethodField()
    due_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)
    closed_reason = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()

    def get_may_decide(self, request: ApprovalRequest) -> bool:
        """Whether the caller may decide it now."""
        return bool(may_decide(self.context["request"].user, request))


class ApprovalCreateSerializer(ApiSerializer):
    """Ask for an approval."""

    kind = serializers.CharField()
    subject_id = serializers.UUIDField()
    notes = serializers.CharField(default="", allow_blank=True)


class ApprovalDecideSerializer(ApiSerializer):
    """A decision: approve, reject or request_changes."""

    decision = serializers.CharField()
    notes = serializers.CharField(default="", allow_blank=True)


class AuditEventSerializer(ApiSerializer):
    """One event of the audit trail."""

    id = serializers.UUIDField()
    sequence = serializers.IntegerField()
    actor_id = serializers.UUIDField(allow_null=True)
    actor_name = serializers.CharField()
    action = serializers.CharField()
    resource_type = serializers.CharField()
    resource_id = serializers.CharField(allow_blank=True)
    owner_team = serializers.SerializerMethodField()
    result = serializers.ChoiceField(choices=["allowed", "denied"])
    request_id = serializers.CharField(allow_blank=True)
    metadata = serializers.JSONField()
    occurred_at = serializers.DateTimeField()

    def get_owner_team(self, event: AuditEvent) -> str | None:
        """The team's slug."""
        return event.team.slug if event.team is not None else None


class AuditProblemSerializer(ApiSerializer):
    """One sign of tampering."""

    kind = serializers.CharField()
    message = serializers.CharField()
    position = serializers.IntegerField(allow_null=True)
    sequence = serializers.IntegerField(allow_null=True)


class AuditReportSerializer(ApiSerializer):
    """What a verification found."""

    is_intact = serializers.BooleanField()
    sealed = serializers.IntegerField()
    waiting = serializers.IntegerField()
    head_position = serializers.IntegerField()
    head_hash = serializers.CharField()
    problem_count = serializers.IntegerField()
    problems = AuditProblemSerializer(many=True)


class CostProfileSerializer(ApiSerializer):
    """Use and cost of one resource."""

    resource_type = serializers.ChoiceField(choices=CostResource.choices)
    resource_id = serializers.CharField()
    time_window = serializers.CharField(allow_blank=True)
    gpu_hours = AmountField()
    token_count = serializers.IntegerField()
    cost_amount = AmountField()
    cost_currency = serializers.CharField()
    budget_variance = AmountField()


class CostAggregateSerializer(ApiSerializer):
    """Totals."""

    total_gpu_hours = AmountField()
    total_tokens = serializers.IntegerField()
    total_cost = AmountField()
    currency = serializers.CharField()
    resource_count = serializers.IntegerField()


class PriceSerializer(ApiSerializer):
    """What one unit costs from a moment on."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=UsageKind.choices)
    amount = serializers.DecimalField(max_digits=20, decimal_places=8, coerce_to_string=True)
    unit = serializers.CharField(source="unit_label")
    currency = serializers.CharField()
    model_id = serializers.UUIDField(allow_null=True)
    gpu_type = serializers.CharField(allow_blank=True)
    valid_from = serializers.DateTimeField()
    note = serializers.CharField(allow_blank=True)
    created_by = UsernameField()


class PriceCreateSerializer(ApiSerializer):
    """A new price."""

    kind = serializers.ChoiceField(choices=UsageKind.choices)
    amount = serializers.DecimalField(max_digits=20, decimal_places=8)
    valid_from = serializers.DateTimeField(default=None, allow_null=True)
    model_id = serializers.UUIDField(default=None, allow_null=True)
    gpu_type = serializers.CharField(default="", allow_blank=True, max_length=60)
    note = serializers.CharField(default="", allow_blank=True, max_length=300)
