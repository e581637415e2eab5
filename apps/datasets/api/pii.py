"""``/catalog/pii-rules`` and ``/catalog/datasets/{id}/pii-marks``."""

from __future__ import annotations

from typing import Any

from rest_framework.response import Response

from apps.accounts.models import Team
from apps.accounts.selectors import team_resolve
from apps.core.api.naming import snake
from apps.core.api.schema import api_schema
from apps.core.api.views import ApiRequest, ApiView
from apps.datasets import selectors, selectors_pii, services
from apps.datasets.api import pii_serializers as shapes
from apps.datasets.filters_pii import PiiRuleFilter


def _team(request: ApiRequest, name: Any, action: str) -> Team | None:
    return team_resolve(actor=request.user, value=name, action=action, field="ownerTeam") if name else None


class PiiRuleListView(ApiView):
    """Rules."""

    @api_schema(summary="PII rules", responses=shapes.PiiRuleSerializer, many=True, filterset=PiiRuleFilter)
    def get(self, request: ApiRequest) -> Response:
        """In the order in which they count; retired ones with ``?retired=true``."""
        found = selectors_pii.pii_rules_visible_to(request.user)
        return self.page(request, found, shapes.PiiRuleSerializer, filterset=PiiRuleFilter)

    @api_schema(summary="Add a PII rule", request=shapes.PiiRuleCreateSerializer, responses=shapes.PiiRuleSerializer)
    def post(self, request: ApiRequest) -> Response:
        """Counts from the next check on."""
        selectors_pii.pii_rules_visible_to(request.user)
        fields = self.validated(shapes.PiiRuleCreateSerializer, request)
        team = _team(request, fields.pop("owner_team"), "pii_rule.change")
        rule = services.pii_rule_create(actor=request.user, team=team, **fields)
        return self.success(shapes.PiiRuleSerializer(rule).data, f"PII rule “{rule.key}” created.")


class PiiRuleDetailView(ApiView):
    """One rule."""

    @api_schema(summary="One PII rule", responses=shapes.PiiRuleSerializer)
    def get(self, request: ApiRequest, rule_id: str) -> Response:
        """As it counts now."""
        self.refuse_unknown(request)
        rule = selectors_pii.pii_rule_get(actor=request.user, rule_id=rule_id)
        return self.success(shapes.PiiRuleSerializer(rule).data)

    @api_schema(summary="Change a PII rule", request=shapes.PiiRuleChangeSerializer, responses=shapes.PiiRuleSerializer)
    def patch(self, request: ApiRequest, rule_id: str) -> Response:
        """Makes a new version; checks that were done keep theirs."""
        selectors_pii.pii_rule_get(actor=request.user, rule_id=rule_id)
        fields = self.validated(shapes.PiiRuleChangeSerializer, request)
        rule = services.pii_rule_change(actor=request.user, rule_id=rule_id, **fields)
        return self.success(shapes.PiiRuleSerializer(rule).data, f"PII rule “{rule.key}” is at version {rule.version}.")

    @api_schema(summary="Retire a PII rule", responses=shapes.PiiRuleSerializer)
    def delete(self, request: ApiRequest, rule_id: str) -> Response:
        """Its versions stay readable."""
        return _retired(self, request, rule_id, "")


class PiiRuleRetireView(ApiView):
    """Taking a rule out."""

    @api_schema(
        summary="Retire a PII rule with a note",
        request=shapes.PiiRuleRetireSerializer,
        responses=shapes.PiiRuleSerializer,
    )
    def post(self, request: ApiRequest, rule_id: str) -> Response:
        """The key is free again."""
        return _retired(self, request, rule_id, self.validated(shapes.PiiRuleRetireSerializer, request)["note"])


def _retired(view: ApiView, request: ApiRequest, rule_id: str, note: str) -> Response:
    selectors_pii.pii_rule_get(actor=request.user, rule_id=rule_id)
    rule = services.pii_rule_retire(actor=request.user, rule_id=rule_id, note=note)
    return view.success(shapes.PiiRuleSerializer(rule).data, f"PII rule “{rule.key}” is retired.")


class PiiRuleVersionsView(ApiView):
    """What a rule said when."""

    @api_schema(summary="Versions of a PII rule", responses=shapes.PiiRuleVersionSerializer, many=True)
    def get(self, request: ApiRequest, rule_id: str) -> Response:
        """Newest first."""
        rule = selectors_pii.pii_rule_get(actor=request.user, rule_id=rule_id)
        return self.page(request, selectors_pii.pii_rule_versions(rule), shapes.PiiRuleVersionSerializer)


class PiiRuleTryView(ApiView):
    """Trying rules on a text."""

    @api_schema(
        summary="What do the rules find in this text?",
        request=shapes.PiiTrySerializer,
        responses=shapes.PiiTryAnswerSerializer,
    )
    def post(self, request: ApiRequest) -> Response:
        """Nothing is kept; ``rule`` tries one that is still being written."""
        selectors_pii.pii_rules_visible_to(request.user)
        fields = self.validated(shapes.PiiTrySerializer, request)
        rule = fields["rule"]
        found = services.pii_text_try(
            actor=request.user,
            text=fields["text"],
            team=_team(request, fields["owner_team"], "pii_rule.view"),
            rule=None if rule is None else {snake(str(name)): value for name, value in rule.items()},
        )
        message = f"{len(found)} find{'' if len(found) == 1 else 's'}."
        return self.success(shapes.PiiTryAnswerSerializer({"findings": found}).data, message)


class PiiMarkListView(ApiView):
    """Marks on findings of a dataset."""

    @api_schema(summary="Marks on findings", responses=shapes.PiiMarkSerializer, many=True)
    def get(self, request: ApiRequest, dataset_id: str) -> Response:
        """Newest first, undone ones too."""
        dataset = selectors.dataset_get(actor=request.user, dataset_id=dataset_id)
        return self.page(request, selectors_pii.pii_marks_of(dataset), shapes.PiiMarkSerializer)

    @api_schema(
        summary="Mark findings as no personal data",
        request=shapes.PiiMarkCreateSerializer,
        responses=shapes.PiiMarkSerializer,
    )
    def post(self, request: ApiRequest, dataset_id: str) -> Response:
        """By a reviewer who is no author it counts at once; by the dataset's team it is a proposal."""
        selectors.dataset_get(actor=request.user, dataset_id=dataset_id)
        fields = self.validated(shapes.PiiMarkCreateSerializer, request)
        mark = services.pii_mark_create(
            actor=request.user,
            dataset_id=dataset_id,
            reason=fields["reason"],
            finding_id=fields["finding_id"],
            column=fields["column"],
            pii_type=fields["type"],
        )
        return self.success(shapes.PiiMarkSerializer(mark).data, f"Mark on {mark}: {mark.status}.")


class PiiMarkDetailView(ApiView):
    """One mark."""

    @api_schema(
        summary="Confirm, refuse or undo a mark",
        request=shapes.PiiMarkDecideSerializer,
        responses=shapes.PiiMarkSerializer,
    )
    def post(self, request: ApiRequest, dataset_id: str, mark_id: str) -> Response:
        """A second person confirms; undoing needs a reason."""
        selectors.dataset_get(actor=request.user, dataset_id=dataset_id)
        fields = self.validated(shapes.PiiMarkDecideSerializer, request)
        mark = services.pii_mark_decide(actor=request.user, dataset_id=dataset_id, mark_id=mark_id, **fields)
        return self.success(shapes.PiiMarkSerializer(mark).data, f"Mark on {mark}: {mark.status}.")
