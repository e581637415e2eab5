"""Going back to an earlier published version, as a subject of approvals."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from django.urls import reverse

from apps.accounts.models import User
from apps.catalog.models import Publication
from apps.catalog.services.access import action_for
from apps.catalog.services.outputs import model_require_deployable
from apps.catalog.services.publishing import PUBLICATION_KIND, publication_enter
from apps.catalog.types import PUBLICATION_TRANSITIONS, PublicationStatus
from apps.core import audit, clock
from apps.core.errors import GateRefused
from apps.core.transitions import transition
from apps.governance.registry import ApprovalSubject, Stage
from apps.governance.types import GateResult


class PublicationSubject(ApprovalSubject):
    """One wish to publish an earlier version again."""

    kind: ClassVar[str] = PUBLICATION_KIND
    label: ClassVar[str] = "Rollback of a model"
    submit_action: ClassVar[str] = "model.submit"
    approve_action: ClassVar[str] = "model.approve"

    def queryset(self) -> QuerySet[Publication]:
        """All of them; visibility is checked by the services."""
        return Publication.objects.select_related("team", "model", "replaces")

    def title(self, obj: Publication) -> str:
        """From which version to which."""
        return f"{obj.name}: back from {obj.replaces.version if obj.replaces else 'nothing'} to {obj.model.version}"

    def submit_action_for(self, obj: Publication) -> str:
        """As for the model itself."""
        return action_for("submit", obj.type)

    def url(self, obj: Publication) -> str:
        """The page of the version to be published."""
        return reverse("catalog:model-detail", args=[obj.model_id])

    def author_ids(self, obj: Publication) -> set[UUID | int]:
        """Who asks, and who made the version or uploaded any of its files."""
        uploaders = obj.model.files.values_list("uploaded_by_id", flat=True)
        authors = {obj.created_by_id, obj.model.created_by_id, obj.model.submitted_by_id, *uploaders}
        return {author for author in authors if author is not None}

    def digest(self, obj: Publication) -> str:
        """Which bytes, in place of which, and why."""
        facts = {
            "model": str(obj.model_id),
            "digest": obj.model.digest,
            "replaces": str(obj.replaces_id),
            "reason": obj.reason,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def gates(self, obj: Publication, stage: Stage) -> Sequence[GateResult]:
        """The version may still be deployed."""
        key, label = "model_deployable", "Approved, safe and unchanged"
        try:
            model_require_deployable(model=obj.model)
        except GateRefused as refusal:
            return [GateResult(key, label, False, refusal.message, "Have it approved again.")]
        return [GateResult(key, label, True, f"{obj.model} is approved.")]

    def on_approved(self, obj: Publication, *, actor: User | None, request: Any) -> None:
        """It is published."""
        publication_enter(actor=actor, publication=obj)

    def on_rejected(self, obj: Publication, *, actor: User | None, request: Any) -> None:
        """Everything stays."""
        self._refuse(obj, actor)

    def on_changes_requested(self, obj: Publication, *, actor: User | None, request: Any) -> None:
        """Everything stays; ask again with what the reviewer wants."""
        self._refuse(obj, actor)

    def on_withdrawn(self, obj: Publication, *, actor: User | None, request: Any) -> None:
        """Everything stays."""
        self._refuse(obj, actor)

    def on_lapsed(self, obj: Publication, *, actor: User | None, request: Any) -> None:
        """The version changed meanwhile."""
        if obj.status == PublicationStatus.PENDING:
            self._refuse(obj, actor)

    @staticmethod
    def _refuse(obj: Publication, actor: User | None) -> None:
        transition(obj, PublicationStatus.REFUSED, PUBLICATION_TRANSITIONS, ended_at=clock.now())
        audit.record(
            actor=actor,
            action="catalog.model.publication_refused",
            resource=obj.model,
            metadata={"version": obj.model.version},
        )
