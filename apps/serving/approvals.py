"""Production deployments as something that can be approved."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from django.db.models import QuerySet

from apps.catalog.services import model_require_deployable
from apps.core import clock
from apps.core.errors import GateRefused
from apps.core.tasks import enqueue
from apps.core.transitions import transition
from apps.governance.registry import ApprovalSubject, Stage
from apps.governance.types import GateResult
from apps.serving.models import EndpointRevision
from apps.serving.services.revisions import APPROVAL_KIND, FOLLOW, ROLL_OUT
from apps.serving.types import REVISION_TRANSITIONS, RevisionStatus

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.governance.models import ApprovalRequest


class DeploymentSubject(ApprovalSubject):
    """One revision that is to go to production.

    Only the revision's row is changed here: the endpoint follows by its own task, which locks the endpoint first.
    """

    kind: ClassVar[str] = APPROVAL_KIND
    label: ClassVar[str] = "Production deployment"
    submit_action: ClassVar[str] = "serving_endpoint.deploy"
    approve_action: ClassVar[str] = "serving_endpoint.approve"

    def queryset(self) -> QuerySet[EndpointRevision]:
        """All revisions; visibility is checked by the services."""
        return EndpointRevision.objects.select_related("endpoint", "model", "team")

    def title(self, obj: EndpointRevision) -> str:
        """Route, model and revision."""
        return f"{obj.endpoint.route} to production: {obj.model_name} {obj.model_version} (revision {obj.number})"

    def author_ids(self, obj: EndpointRevision) -> set[UUID | int]:
        """Who asked for the revision; deciding about it is for others."""
        return {obj.created_by_id} if obj.created_by_id else set()

    def digest(self, obj: EndpointRevision) -> str:
        """What is deployed, from which bytes, with which plan."""
        facts = {
            "route": obj.endpoint.path,
            "model": str(obj.model_id),
            "model_digest": obj.model_digest,
            "spec": obj.spec,
            "rollback_plan": obj.endpoint.rollback_plan,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def gates(self, obj: EndpointRevision, stage: Stage) -> Sequence[GateResult]:
        """The model may be deployed, and there is a way back."""
        try:
            model_require_deployable(model=obj.model)
            refusal = ""
        except GateRefused as error:
            refusal = error.message
        plan = bool(obj.endpoint.rollback_plan.strip())
        return [
            GateResult(
                "model_deployable",
                "The model is approved, safe and unchanged",
                not refusal,
                refusal,
                "Have the model approved again, then deploy it." if refusal else "",
            ),
            GateResult(
                "rollback_plan",
                "There is a rollback plan",
                plan,
                "" if plan else "No plan says how to go back.",
                "" if plan else "Send rollbackPlan.",
            ),
        ]

    def on_approved(self, obj: EndpointRevision, *, actor: User | None, request: ApprovalRequest) -> None:
        """The rollout begins."""
        transition(obj, RevisionStatus.PENDING, REVISION_TRANSITIONS, status_detail="Approved; waiting to be prepared.")
        enqueue(ROLL_OUT, str(obj.pk))
        enqueue(FOLLOW, str(obj.endpoint_id))

    def on_rejected(self, obj: EndpointRevision, *, actor: User | None, request: ApprovalRequest) -> None:
        """It will not be deployed."""
        self._end(obj, "The production deployment was rejected.")

    def on_changes_requested(self, obj: EndpointRevision, *, actor: User | None, request: ApprovalRequest) -> None:
        """It will not be deployed like this."""
        self._end(obj, "The reviewer asked for changes; deploy again with them.")

    def on_withdrawn(self, obj: EndpointRevision, *, actor: User | None, request: ApprovalRequest) -> None:
        """Who asked took it back."""
        self._end(obj, "The request for this production deployment was withdrawn.")

    def on_lapsed(self, obj: EndpointRevision, *, actor: User | None, request: ApprovalRequest) -> None:
        """Something it rests on has changed."""
        self._end(obj, "The request for this production deployment lapsed; deploy again.")

    def _end(self, obj: EndpointRevision, detail: str) -> None:
        if obj.status != RevisionStatus.WAITING:
            return  # it runs already; what runs is ended by people, not by paper
        transition(obj, RevisionStatus.FAILED, REVISION_TRANSITIONS, status_detail=detail, ended_at=clock.now())
        enqueue(FOLLOW, str(obj.endpoint_id))
