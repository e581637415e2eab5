"""What can be approved. Domain apps register their subjects in `AppConfig.ready()`; governance knows none of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from uuid import UUID

from apps.core.errors import ValidationFailed
from apps.governance.types import GateResult

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from apps.accounts.models import User
    from apps.governance.models import ApprovalRequest

Stage = Literal["submit", "approve"]


class ApprovalSubject:
    """How one kind of thing takes part in approvals. Subclass it in `<app>/approvals.py`.

    The `on_*` methods run inside the decision's transaction with the object's row locked: make the state transition
    there and nothing slow. They receive the request as it is stored after the decision.
    """

    kind: ClassVar[str]
    label: ClassVar[str]
    submit_action: ClassVar[str]
    approve_action: ClassVar[str]
    quorum: ClassVar[int] = 1
    due_days: ClassVar[int] = 7

    def queryset(self) -> QuerySet[Any]:
        """Every object of this kind; visibility is checked by the services."""
        raise LookupError(f"{type(self).__name__} must say which objects it is about.")

    def title(self, obj: Any) -> str:
        """How people call the object."""
        return str(obj)

    def submit_action_for(self, obj: Any) -> str:
        """The permission that asking needs; for kinds whose objects differ in who may change them."""
        return self.submit_action

    def url(self, obj: Any) -> str:
        """The object's page."""
        return str(obj.get_absolute_url())

    def author_ids(self, obj: Any) -> set[UUID | int]:
        """Users who may never decide about this object, besides the requester."""
        return {obj.created_by_id} if obj.created_by_id else set()

    def digest(self, obj: Any) -> str:
        """SHA-256 (hex) over everything that an approval vouches for, lineage included."""
        raise LookupError(f"{type(self).__name__} must compute a digest.")

    def gates(self, obj: Any, stage: Stage) -> Sequence[GateResult]:
        """The checks that must pass at this stage."""
        return []

    def on_submitted(self, obj: Any, *, actor: User | None, request: ApprovalRequest) -> None:
        """A request was opened."""

    def on_approved(self, obj: Any, *, actor: User | None, request: ApprovalRequest) -> None:
        """The quorum was reached."""

    def on_rejected(self, obj: Any, *, actor: User | None, request: ApprovalRequest) -> None:
        """A reviewer refused."""

    def on_changes_requested(self, obj: Any, *, actor: User | None, request: ApprovalRequest) -> None:
        """A reviewer sent it back."""

    def on_withdrawn(self, obj: Any, *, actor: User | None, request: ApprovalRequest) -> None:
        """Who asked took it back."""

    def on_lapsed(self, obj: Any, *, actor: User | None, request: ApprovalRequest) -> None:
        """What was approved (or waits for approval) has changed."""


class SubjectRegistry:
    """Subjects by kind. A kind is registered once; registering the same class again is harmless (app reloads)."""

    def __init__(self) -> None:
        self._subjects: dict[str, ApprovalSubject] = {}

    def register(self, subject: ApprovalSubject | type[ApprovalSubject]) -> ApprovalSubject:
        """Add a subject, given as class or instance."""
        instance = subject() if isinstance(subject, type) else subject
        known = self._subjects.get(instance.kind)
        if known is not None and type(known) is not type(instance):
            raise ValueError(f"The approval kind '{instance.kind}' is registered twice.")
        self._subjects[instance.kind] = instance
        return instance

    def unregister(self, kind: str) -> None:
        """Forget a kind; only tests need this."""
        self._subjects.pop(kind, None)

    def get(self, kind: str) -> ApprovalSubject:
        """The subject of this kind; ValidationFailed on the field `kind` when there is none."""
        subject = self._subjects.get(kind)
        if subject is None:
            known = ", ".join(sorted(self._subjects)) or "nothing"
            raise ValidationFailed.field("kind", "unknown_kind", f"'{kind}' cannot be approved; known are: {known}.")
        return subject

    def find(self, kind: str) -> ApprovalSubject | None:
        """The subject of this kind, or None (old requests may outlive an app)."""
        return self._subjects.get(kind)

    def kinds(self) -> list[str]:
        """All registered kinds, sorted."""
        return sorted(self._subjects)

    def __iter__(self) -> Iterator[ApprovalSubject]:
        return iter(self._subjects.values())


subjects = SubjectRegistry()
